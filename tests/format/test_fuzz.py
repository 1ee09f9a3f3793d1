"""The fuzz targets of the codecs: the kept corpora, and arbitrary bytes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PATH = Path(__file__).resolve().parents[2] / "fuzz" / "python" / "format_targets.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_format_targets", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fuzz = load()


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
