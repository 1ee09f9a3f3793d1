"""Files under working names: one process at a time, and what a killed one left behind goes."""

import os
from pathlib import Path

import pytest

import aeordb
from aeordb.backup.sink import new_file
from aeordb.errors import LockedError
from aeordb.storage.working import at_work, open_working, remove_left


def test_what_nobody_works_on_is_removed(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"half of it")
    file = open_working(str(part))
    assert file.size() == 0
    file.close()
    assert remove_left(str(part))
    assert not part.exists()
    assert remove_left(str(part)), "there is none: nobody is at it"


def test_a_working_name_is_one_ones_alone(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    file = open_working(str(part))
    file.write(0, b"first")
    with pytest.raises(LockedError) as caught:
        open_working(str(part))
    assert caught.value.pid == os.getpid()
    assert "x.part" in str(caught.value)
    assert not remove_left(str(part))
    assert part.read_bytes() == b"first"
    file.close()
    open_working(str(part)).close()


def test_a_symlink_or_folder_under_the_name(tmp_path: Path) -> None:
    """A link goes, not what it leads to."""
    part, precious = tmp_path / "x.part", tmp_path / "precious"
    precious.write_bytes(b"kept")
    part.symlink_to(precious)
    open_working(str(part)).close()
    assert precious.read_bytes() == b"kept"
    assert not part.is_symlink()
    part.unlink()
    part.mkdir()
    with pytest.raises(OSError, match="directory"):
        open_working(str(part))


def test_at_work(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with at_work(str(path)):
        """There is nothing yet: no error."""
    path.write_bytes(b"")
    with at_work(str(path)):
        assert not remove_left(str(path))
    assert remove_left(str(path))


def test_two_that_replace_what_was_left_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other is faster between the removal and the new file, or right behind it."""
    part = str(tmp_path / "x.part")
    remove = aeordb.storage.working.remove
    others = []

    def beaten(path: str) -> None:
        remove(path)
        monkeypatch.setattr(aeordb.storage.working, "remove", remove)
        others.append(open_working(path))

    Path(part).write_bytes(b"left")
    monkeypatch.setattr(aeordb.storage.working, "remove", beaten)
    with pytest.raises(LockedError):
        open_working(part)
    others.pop().close()

    class Slow(aeordb.storage.working.DataFile):
        """Made, and taken for something left behind before it is locked."""

        @classmethod
        def open(cls, path: str, *, create: bool = False) -> "Slow":
            file = super().open(path, create=create)
            monkeypatch.undo()
            others.append(open_working(path))
            return file

    monkeypatch.setattr(aeordb.storage.working, "DataFile", Slow)
    with pytest.raises(LockedError):
        open_working(part)
    assert os.path.samestat(os.stat(part), os.fstat(others[0].fd))
    others[0].close()


def test_two_outputs_of_one_name(tmp_path: Path) -> None:
    """The second began by removing the first one's file; the first then gave the name to what the
    second was still writing, and in the end there was nothing under it."""
    output = str(tmp_path / "out.aeordb")
    with new_file(output) as first:
        with pytest.raises(LockedError), new_file(output):
            raise AssertionError("both are at it")
        first.begin(0)
        first.finish(0, bytes(32), bytes(32))
    assert os.listdir(tmp_path) == ["out.aeordb"]
