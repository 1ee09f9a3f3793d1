"""A disk that fails at any step of an export, and a process that is killed in one."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import NotDurableError
from aeordb.storage.datafile import Bytes, OsLayer, use_layer
from tests.kit.folders import noise
from tests.kit.rules import assert_file


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


def test_killed_at_any_moment(db: aeordb.Database, tmp_path: Path) -> None:
    """No file under its name unless it is whole; doing it again finishes."""
    db.put("/large", noise("large", 30 << 20))
    command = f"import aeordb; aeordb.open({str(db.path)!r}, 'r').export('out')"
    for number in range(12):
        exporter = subprocess.Popen([sys.executable, "-c", command], cwd=tmp_path)
        time.sleep(0.1 + 0.02 * number)
        exporter.send_signal(signal.SIGKILL)
        exporter.wait()
        if (tmp_path / "out").exists():
            assert_file(tmp_path / "out")
            (tmp_path / "out").unlink()
    db.export(tmp_path / "out")
    assert_file(tmp_path / "out")
    assert not (tmp_path / "out.part").exists()
