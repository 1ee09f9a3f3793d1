"""Every planted bug still fits the code; a few are planted here, `run.py` plants them all."""

import re
from pathlib import Path

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.run import ROOT, NotPlantedError, apply, plant


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_line_is_there_once(bug: Bug) -> None:
    """What is changed in the code must be changed in the list."""
    assert (ROOT / bug.file).read_text().count(bug.old) == 1
    assert bug.old != bug.new


def test_names_and_checks_are_what_they_say() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 30
    for bug in BUGS:
        assert bug.checks, bug.name
        for check in bug.checks:
            path, _, test = check.partition("::")
            place = ROOT / path
            assert place.exists(), f"{bug.name}: {path}"
            if test:
                name = test.partition("[")[0]
                assert re.search(rf"^(async )?def {name}\(", place.read_text(), re.MULTILINE), check


def test_a_bug_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\ntwo\n")
    apply(Bug("fits", "a.py", "one", "1", ()), tmp_path)
    assert (tmp_path / "a.py").read_text() == "1\ntwo\ntwo\n"
    for old in ("one", "two"):
        with pytest.raises(NotPlantedError, match=r"[02] times"):
            apply(Bug("does not", "a.py", old, "", ()), tmp_path)


@pytest.mark.parametrize(
    "name", ["sync-before-slot-skipped", "rename-over-what-is-there", "leaf-halves-exchanged"]
)
def test_a_planted_bug_is_caught(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == name)
    outcome = plant(bug)
    assert outcome is not None
    assert outcome.said
