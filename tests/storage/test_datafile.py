"""The one door to the disk: whole writes, typed errors, nothing after a failed sync."""

import errno
import os
from pathlib import Path

import pytest

from aeordb.errors import ExistsError, NotDurableError
from aeordb.storage.datafile import (
    Bytes,
    DataFile,
    OsLayer,
    current_layer,
    remove,
    rename_new,
    use_layer,
)
from tests.storage.layers import CountingLayer, ShortLayer, fails_once, no_space


@pytest.mark.parametrize("most", [1, 7, 100])
def test_short_writes_are_finished(tmp_path: Path, most: int) -> None:
    data = bytes(range(256)) * 3
    with use_layer(ShortLayer(most)):
        file = DataFile.open(str(tmp_path / "f"), create=True)
        file.write(11, data)
        file.write(0, memoryview(data)[:5])
        file.close()
    assert (tmp_path / "f").read_bytes() == data[:5] + bytes(6) + data


def test_a_write_that_makes_no_progress_is_an_error(tmp_path: Path) -> None:
    with use_layer(ShortLayer(0)):
        file = DataFile.open(str(tmp_path / "f"), create=True)
    with pytest.raises(NotDurableError) as caught:
        file.write(0, b"abc")
    assert str(caught.value).startswith(f"'{tmp_path}/f': write: write returned no progress")
    assert caught.value.hint, "it once said no more than 'not durable'"
    file.close()


def test_an_interrupted_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal after part of a write gives a short count; the rest follows at its place."""
    counts = iter([3, 1, 100])
    monkeypatch.setattr(
        OsLayer, "pwrite", lambda _, fd, data, at: os.pwrite(fd, data[: next(counts)], at)
    )
    file = DataFile.open(str(tmp_path / "f"), create=True)
    file.write(2, b"interrupted")
    file.close()
    assert (tmp_path / "f").read_bytes() == b"\0\0interrupted"


def test_reads_end_at_the_end_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DataFile.open(str(tmp_path / "f"), create=True)
    file.write(0, b"0123456789")
    assert file.read(4, 3) == b"456"
    assert file.read(4, 100) == b"456789"
    assert file.read(10, 1) == b""
    assert file.size() == 10
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, at: real(fd, min(length, 2), at))
    assert file.read(1, 8) == b"12345678"
    file.close()
    file.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failed_sync_makes_the_file_read_only_for_good(tmp_path: Path, code: int) -> None:
    layer = CountingLayer(fails_once("fdatasync", 2, code))
    with use_layer(layer):
        file = DataFile.open(str(tmp_path / "f"), create=True)
    file.write(0, b"one")
    file.sync()
    file.write(0, b"two")
    with pytest.raises(NotDurableError, match="sync") as caught:
        file.sync()
    assert caught.value.exit_code == 16
    for action in (
        lambda: file.write(0, b"x"),
        file.sync,
        lambda: file.truncate(0),
        lambda: file.punch(0, 1),
    ):
        with pytest.raises(NotDurableError, match="read-only in this process"):
            action()
    assert layer.calls["fdatasync"] == 2, "a sync that succeeds later would prove nothing"
    assert file.read(0, 3) == b"two"
    file.close()


def test_a_full_disk_says_so_and_may_be_tried_again(tmp_path: Path) -> None:
    layer = CountingLayer(lambda name, _: no_space(name))
    with use_layer(layer):
        file = DataFile.open(str(tmp_path / "f"), create=True)
    with pytest.raises(NotDurableError, match="No space left"):
        file.write(0, b"x")
    layer.fail = None
    file.write(0, b"x")
    file.close()


def test_a_file_system_without_holes_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    for code, answer in ((errno.EOPNOTSUPP, False), (None, True)):
        layer = CountingLayer(fails_once("punch", 1, code) if code else None)
        with use_layer(layer):
            file = DataFile.open(str(tmp_path / f"f{code}"), create=True)
        file.write(0, b"x" * 10_000)
        assert file.punch(0, 8192) is answer
        file.close()
    layer = CountingLayer(fails_once("punch", 1))
    with use_layer(layer):
        file = DataFile.open(str(tmp_path / "g"), create=True)
    with pytest.raises(NotDurableError):
        file.punch(0, 4096)
    file.close()


def test_a_new_name_never_covers_another_file(tmp_path: Path) -> None:
    source, target = str(tmp_path / "part"), str(tmp_path / "data")
    Path(source).write_bytes(b"new")
    Path(target).write_bytes(b"old")
    with pytest.raises(ExistsError) as caught:
        rename_new(source, target)
    assert caught.value.path == target
    assert Path(target).read_bytes() == b"old"
    os.unlink(target)
    rename_new(source, target)
    assert Path(target).read_bytes() == b"new"
    assert not os.path.exists(source)


def test_a_new_name_where_the_kernel_cannot_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without RENAME_NOREPLACE a hard link refuses the name just as well, and as atomically."""

    class Old:
        def renameat2(self, *_: object) -> int:
            return -1

    monkeypatch.setattr("aeordb.storage.datafile._libc", Old)
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EINVAL)
    source, target = str(tmp_path / "part"), str(tmp_path / "data")
    Path(source).write_bytes(b"new")
    Path(target).write_bytes(b"old")
    with pytest.raises(ExistsError):
        rename_new(source, target)
    assert Path(target).read_bytes() == b"old"
    os.unlink(target)
    rename_new(source, target)
    assert Path(target).read_bytes() == b"new"
    assert not os.path.exists(source)


def test_creation_refuses_a_taken_name_and_removal_a_missing_one_not(tmp_path: Path) -> None:
    name = str(tmp_path / "f")
    DataFile.open(name, create=True).close()
    with pytest.raises(ExistsError):
        DataFile.open(name, create=True)
    remove(name)
    remove(name)
    with pytest.raises(FileNotFoundError):
        DataFile.open(name)


def test_a_layer_is_for_the_files_opened_under_it(tmp_path: Path) -> None:
    before = current_layer()
    layer = CountingLayer()
    with use_layer(layer):
        assert current_layer() is layer
        file = DataFile.open(str(tmp_path / "f"), create=True)
    assert current_layer() is before
    data: Bytes = bytearray(b"abc")
    file.write(0, data)
    file.close()
    assert layer.calls["pwrite"] == 1
