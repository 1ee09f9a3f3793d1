"""One writer under any name of the file, and readers that never stand in its way."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import LockedError, NotDurableError
from aeordb.storage import store
from aeordb.storage.locks import (
    VIEW_BYTE,
    WALK_BYTE,
    ExclusiveLock,
    ReaderLock,
    WriterLock,
    _set_lock,
    holder,
    readers,
)
from tests.kit.child import ENVIRONMENT

HOLD = """
import sys, aeordb
db = aeordb.open(sys.argv[1], sys.argv[2])
if sys.argv[2] == "r":
    db.head
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    aeordb.open(tmp_path / "data.aeordb", "x").close()
    return tmp_path / "data.aeordb"


class Holder:
    """Another process that has the database open until `end`."""

    def __init__(self, path: Path, mode: str = "r+") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"held\n"

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture
def writer(path: Path) -> Iterator[Holder]:
    holder = Holder(path)
    yield holder
    holder.end()


def test_a_second_writer_is_told_the_firsts_process_id_at_once(path: Path, writer: Holder) -> None:
    before = path.read_bytes()
    for mode in ("r+", "a"):
        with pytest.raises(LockedError) as caught:
            aeordb.open(path, mode)
        assert caught.value.pid == writer.process.pid
        assert caught.value.exit_code == 11
        assert str(writer.process.pid) in str(caught.value)
    assert path.read_bytes() == before
    with aeordb.open(path, "r") as db:
        assert list(db) == []


@pytest.mark.parametrize("kind", ["symlink", "symlink to a folder", "hard link", "relative"])
def test_no_other_name_of_the_file_gets_a_second_writer(
    path: Path, writer: Holder, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_name("other.aeordb")
    if kind == "symlink":
        other.symlink_to(path.name)
    elif kind == "symlink to a folder":
        path.with_name("folder").symlink_to(path.parent)
        other = path.parent / "folder" / path.name
    elif kind == "hard link":
        other.hardlink_to(path)
    else:
        monkeypatch.chdir(path.parent)
        other = Path(path.name)
    with pytest.raises(LockedError) as caught:
        aeordb.open(other)
    assert caught.value.pid == writer.process.pid
    writer.end()
    with aeordb.open(other) as db:
        db.put("/a", b"1")
        with pytest.raises(LockedError) as caught:
            aeordb.open(path)
        assert caught.value.pid == os.getpid()


@pytest.mark.parametrize("link", [False, True])
def test_a_timeout_waits_for_the_holder(path: Path, link: bool) -> None:
    """Under another hard link the holder is met only at the file itself, where a waiting writer
    once gave up at once."""
    other = path.with_name("other.aeordb") if link else path
    if link:
        other.hardlink_to(path)
    first = aeordb.open(path)
    waiting = threading.Event()
    got = []

    def second() -> None:
        waiting.set()
        with aeordb.open(other, timeout=60) as db:
            got.append(db["/a"])

    thread = threading.Thread(target=second)
    thread.start()
    waiting.wait()
    first.put("/a", b"first")
    first.close()
    thread.join()
    assert got == [b"first"]


def test_a_short_timeout_ends_in_the_same_error(path: Path) -> None:
    with aeordb.open(path), pytest.raises(LockedError) as caught:
        aeordb.open(path, timeout=0.03)
    assert caught.value.pid == os.getpid()


def test_the_lock_ends_with_the_close_whatever_is_kept(path: Path) -> None:
    """A view, file or transaction that outlived its database held a duplicate of the locked
    descriptor through its map: nobody could write any more."""
    db = aeordb.open(path)
    db.put("/a", b"1")
    kept = [db.at("HEAD"), db.open("/a"), db.transaction()]
    db.close()
    with aeordb.open(path) as again:
        again.put("/b", b"2")
    assert len(kept) == 3


def test_a_file_that_was_replaced_meanwhile_is_not_written(path: Path) -> None:
    lock = WriterLock(str(path))
    fd = os.open(path, os.O_RDWR)
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    os.replace(new, path)
    with pytest.raises(LockedError):
        lock.take_inode(fd)
    lock.release()
    os.close(fd)


def test_an_unwritable_folder_is_not_called_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("aeordb.storage.locks.os.open", refuse)
    with pytest.raises(NotDurableError, match="cannot lock"):
        WriterLock(str(path))


# -- readers -------------------------------------------------------------------------------


def test_views_are_counted_and_go_with_their_objects(path: Path) -> None:
    """A view that was dropped and not closed kept its descriptor for ever: two thousand puts with
    a read between them ran out of descriptors."""
    with aeordb.open(path) as db:
        before = len(os.listdir("/proc/self/fd"))
        for i in range(50):
            db.put("/a", b"%d" % i)
            assert db["/a"] == b"%d" % i
        assert len(os.listdir("/proc/self/fd")) <= before + 2
        first, second = db.at("HEAD"), aeordb.open(path, "r")
        assert second["/a"] == b"49"
        fd = os.open(path, os.O_RDONLY)
        assert readers(fd) == 2
        assert readers(fd, WALK_BYTE) == 0
        second.close()
        del first, second
        db.put("/a", b"last")
        assert readers(fd) == 0
        os.close(fd)


def test_only_walks_are_counted_as_walks(path: Path) -> None:
    """The two bytes lie side by side: a lock on the lower one counted as one on the higher."""
    fd = os.open(path, os.O_RDONLY)
    view, walk = ReaderLock(fd), ReaderLock(fd)
    walk.share_walk()
    assert (readers(fd, VIEW_BYTE), readers(fd, WALK_BYTE)) == (2, 1)
    walk.end_walk()
    assert (readers(fd, VIEW_BYTE), readers(fd, WALK_BYTE)) == (2, 0)
    view.release()
    view.release()
    walk.release()
    assert readers(fd) == 0
    os.close(fd)


def test_the_exclusive_lock_names_the_readers_in_its_way(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    other = Holder(path, "r")
    mine = ReaderLock(fd)
    with pytest.raises(LockedError) as caught, ExclusiveLock(str(path), fd, VIEW_BYTE, 0.0):
        pass
    assert (caught.value.readers, caught.value.pid) == (2, None)
    assert "2 readers" in str(caught.value)
    with ExclusiveLock(str(path), fd, WALK_BYTE, 0.0):
        pass
    mine.release()
    other.end()
    again = os.open(path, os.O_RDONLY)
    with ExclusiveLock(str(path), fd, VIEW_BYTE, 0.0), pytest.raises(BlockingIOError):
        _set_lock(again, fcntl.F_RDLCK, VIEW_BYTE, wait=False)
    _set_lock(again, fcntl.F_RDLCK, VIEW_BYTE, wait=False)
    os.close(again)
    os.close(fd)


def test_a_reader_waits_for_the_exclusive_lock_to_end(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    started, done = threading.Event(), threading.Event()

    def read() -> None:
        started.set()
        ReaderLock(fd).release()
        done.set()

    with ExclusiveLock(str(path), fd, VIEW_BYTE, 0.0):
        thread = threading.Thread(target=read)
        thread.start()
        started.wait()
        assert not done.is_set()
    thread.join()
    os.close(fd)


def test_the_holder_of_a_free_lock_is_nobody(path: Path) -> None:
    fd = os.open(f"{path}.lock", os.O_RDWR)
    assert holder(fd) is None
    os.close(fd)


def test_growth_waits_for_walks_not_for_views(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 0)
    monkeypatch.setattr(store, "_PATIENCE", 0.0)
    with aeordb.open(path) as db, aeordb.open(path, "r") as other:
        view = other.reader()
        view.begin_walk()
        with db.transaction() as tx:
            for i in range(600):
                tx.put(f"/f/{i}", b"%d" % i)
        assert aeordb.info(path).stage == 0
        assert len(db) == 600
        view.end_walk()
        with db.transaction() as tx:
            for i in range(20):
                tx.put(f"/g/{i}", b"%d" % i)
        assert aeordb.info(path).stage == 1
        assert len(db) == 620
        assert len(other) == 0
