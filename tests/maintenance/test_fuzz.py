"""The kept recipes of hostile files, and new ones by chance (fuzz/python/hostile_targets.py)."""

import random
from pathlib import Path

import pytest

from fuzz.python.kit import driver
from fuzz.python.kit.draft import Draft
from fuzz.python.kit.recipes import FILES, file_bytes
from tests.kit.fuzzing import load_targets

PARTS = 3


fuzz = load_targets("hostile_targets")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a recipe that fails is kept."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", sorted(fuzz.TARGETS))
def test_the_kept_recipes(name: str, part: int) -> None:
    kept = driver.corpus(fuzz.PREFIX, name)
    assert len(kept) >= PARTS
    for data in kept[part::PARTS]:
        fuzz.run(name, data)


@pytest.mark.parametrize("name", sorted(fuzz.TARGETS))
def test_new_recipes(name: str) -> None:
    chance = random.Random(name)
    for _ in range(5):
        fuzz.run(name, chance.randbytes(12))


@pytest.mark.parametrize("name", sorted(path.stem for path in FILES.glob("*.gz")))
def test_a_file_taken_apart_is_put_together_as_it_was(name: str) -> None:
    assert Draft.parse(file_bytes(name)).build() == file_bytes(name)
