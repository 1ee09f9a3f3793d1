"""The public crash driver: it passes what is right, and finds what is not."""

import subprocess
import sys
from pathlib import Path

import pytest

import aeordb.testing
from aeordb.storage.datafile import DataFile
from aeordb.testing import CLOSE, Step, explore_crashes
from aeordb.testing.scenario import delete, gc, mkdir, move, put, snapshot


def test_no_cut_loses_anything(tmp_path: Path) -> None:
    steps = [put("/a.txt", b"1"), mkdir("/x"), move("/a.txt", "/x/b"), delete("/x"), gc(), CLOSE]
    report = explore_crashes(tmp_path, steps, before=[put("/old", b"old"), snapshot("v1")])
    assert report.states > 200
    assert 10 < report.written < report.states
    assert report.calls > 30


def test_a_skipped_sync_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug, in five lines of a user's test."""
    monkeypatch.setattr(DataFile, "sync", lambda self: None)
    with pytest.raises(AssertionError, match=r"write .*lost"):
        explore_crashes(tmp_path, [put("/a.txt", b"1"), put("/b.txt", b"2")])


def test_an_operation_that_does_not_do_what_it_says_is_found(tmp_path: Path) -> None:
    mine = Step("mine", lambda db: db.put("/a", b"1"), lambda model: model.put("/a", b"2"))
    with pytest.raises(AssertionError, match="are allowed"):
        explore_crashes(tmp_path, [mine])


def test_all_names_are_there_and_the_import_waits_for_them() -> None:
    code = (
        "import sys, aeordb.testing as t; from aeordb.testing import explore_crashes;"
        "assert not {'pytest', 'hypothesis'} & set(sys.modules);"
        "assert set(t.__all__) <= set(dir(t))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in aeordb.testing.__all__:
        assert getattr(aeordb.testing, name) is not None
    with pytest.raises(AttributeError):
        aeordb.testing.nothing  # noqa: B018
