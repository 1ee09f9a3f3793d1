"""A disk that fails at any step of an export, and a process that is killed in one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import NotDurableError
from aeordb.storage.datafile import Bytes, OsLayer, use_layer
from tests.kit.folders import noise
from tests.kit.killing import killed_at
from tests.kit.rules import assert_file
from tests.kit.small_disk import enlarge, small_disk


class Failing(OsLayer):
    """Every call from number `after` on fails, save those that take names away."""

    def __init__(self, after: int, code: int = errno.ENOSPC) -> None:
        self.left = after
        self.code = code

    def _turn(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self._turn()
        return super().open(path, flags, mode)

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        if self.left <= 0:
            # As a full disk does: what still fits is written.
            super().pwrite(fd, memoryview(data)[: len(data) // 2], offset)
        self._turn()
        return super().pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        self._turn()
        super().fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._turn()
        super().truncate(fd, size)

    def rename_noreplace(self, source: str, target: str) -> None:
        self._turn()
        super().rename_noreplace(source, target)

    def fsync_folder(self, path: str) -> None:
        self._turn()
        super().fsync_folder(path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("patch", [False, True])
def test_a_disk_that_is_full(db: aeordb.Database, tmp_path: Path, patch: bool, code: int) -> None:
    """Error 16 at whichever step, nothing left; once there is room it works."""
    db.snapshots.create("empty")
    db.put("/large", noise("large", 9 << 20))
    place = tmp_path / "place"
    after = 0
    while not made_after(db, place / "out", after, patch, code):
        assert list(place.iterdir()) == []
        after += 1
    assert after > 6
    assert [path.name for path in place.iterdir()] == ["out"]


def made_after(db: aeordb.Database, output: Path, after: int, patch: bool, code: int) -> bool:
    """Whether the output can be made when so many calls succeed; a failure must be error 16."""
    try:
        with use_layer(Failing(after, code)):
            if patch:
                db.export_patch(output, "empty", jobs=1)
            else:
                db.export(output, jobs=1)
    except NotDurableError:
        return False
    return True


def test_a_file_system_that_is_full(db: aeordb.Database, tmp_path: Path) -> None:
    """Each backup that does not fit ends with error 16 and leaves nothing; with room it works."""
    db.put("/old", noise("old", 1 << 20))
    db.snapshots.create("old")
    db.put("/large", noise("large", 5 << 20))
    makers: list[Callable[[Path], object]] = [
        lambda output: db.export(output),
        lambda output: db.export_patch(output, "old"),
        lambda output: db.backup(output.parent),
    ]
    for number, make in enumerate(makers):
        with small_disk(tmp_path / f"small{number}", 4) as small:
            with pytest.raises(NotDurableError) as caught:
                make(small / "out")
            assert caught.value.exit_code == 16
            assert list(small.iterdir()) == []
            enlarge(small, 30)
            make(small / "out")
            (made,) = small.glob("*")
            with aeordb.open(tmp_path / f"copy{number}.aeordb", "x") as copy:
                if number == 1:
                    copy.import_(db.export(tmp_path / "base", version="old").output, promote=True)
                copy.import_(made, promote=True)
                assert copy.head == db.head
    # The database's own disk fills up while a version is promoted.
    with small_disk(tmp_path / "own", 9) as small:
        path = small / "data.aeordb"
        with aeordb.open(path, "x") as own:
            for i in range(300):
                own.put(f"/folder/{i}", b"%d" % i)
            own.snapshots.create("many")
            own.delete("/folder", recursive=True)
        # Closed in between: what a writer has written ahead of its commits is room.
        with aeordb.open(path) as own:
            head = own.head
            filler = small / "filler"
            filler.write_bytes(bytes(_room(small)))
            with pytest.raises(NotDurableError) as caught:
                own.promote("many")
            assert caught.value.exit_code == 16
            assert (own.head, list(own)) == (head, [])
            filler.unlink()
            own.promote("many")
            assert own.head == own.resolve("many")
            assert len(own) == 300
        assert_file(path)


def _room(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_bsize


_EXPORT = """
with aeordb.open(sys.argv[1], "r") as db:
    db.export(sys.argv[2])
"""
_PATCH = """
with aeordb.open(sys.argv[1], "r") as db:
    db.export_patch(sys.argv[2], "empty")
"""


@pytest.mark.parametrize("code", [_EXPORT, _PATCH])
def test_killed_at_any_moment(db: aeordb.Database, tmp_path: Path, code: str) -> None:
    """No file under its name unless it is whole; doing it again finishes."""
    db.snapshots.create("empty")
    db.put("/large", noise("large", 6 << 20))
    place = tmp_path / "place"
    place.mkdir()
    out = place / "out"
    whole = 0
    calls = killed_at(0, code, db.path, out)
    assert calls is not None
    assert calls > 6
    for call in range(1, calls + 1):
        out.unlink(missing_ok=True)
        assert killed_at(call, code, db.path, out) is None
        if out.exists():
            whole += 1
            assert_file(out)
        else:
            # Over what the killed one left.
            killed_at(0, code, db.path, out)
            assert_file(out)
        assert [path.name for path in place.iterdir()] == ["out"]
    assert 0 < whole < calls
