"""The fuzz targets of the codecs: the kept corpora, and arbitrary bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.fuzzing import load_targets

fuzz = load_targets("format_targets")


@pytest.mark.parametrize("name", sorted(fuzz.TARGETS))
def test_the_kept_inputs(name: str) -> None:
    decoded = [fuzz.run(name, data) for data in fuzz.corpus(name)]
    assert any(decoded), f"no good input for {name}"


@pytest.mark.parametrize("name", sorted(fuzz.TARGETS))
@settings(max_examples=50)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(fuzz.corpus(name)))
    chance = data.draw(st.randoms(use_true_random=False))
    fuzz.run(name, fuzz.mutate(seed, chance))
    fuzz.run(name, data.draw(st.binary(max_size=100)))
