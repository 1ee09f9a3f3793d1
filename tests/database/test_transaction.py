"""Transactions: one new HEAD or none, and what happens to those that are misused."""

import io
import os
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError, ExistsError, NotFoundError, PathError, UsageError
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


def test_all_or_nothing(db: aeordb.Database) -> None:
    db.put("/a", b"old")
    before = db.head
    tx = db.transaction()
    tx.put("/a", b"new")
    tx.put("/b", b"new")
    assert tx.stat("/b").size == 3
    with pytest.raises(RuntimeError), tx:
        raise RuntimeError
    assert (db.head, dict(db)) == (before, {"/a": b"old"})
    with db.transaction() as tx:
        tx.put("/a", b"new")
        tx.delete("/a")
        tx.put("/b/c", b"new")
        assert db.get("/b/c") is None
        assert [s.path for s in tx.list("/")] == ["/b"]
    assert dict(db) == {"/b/c": b"new"}


def test_an_empty_transaction_ends(db: aeordb.Database) -> None:
    """Its commit had nothing to write, and left the handle in it: the next transaction was
    refused as one inside another."""
    db.put("/first", b"0")
    head, sequence = db.head, db.status().sequence
    with db.transaction():
        pass
    assert (db.head, db.status().sequence) == (head, sequence)
    db.put("/a", b"1")
    assert db["/a"] == b"1"


def test_a_refused_step_leaves_the_others(db: aeordb.Database) -> None:
    with db.transaction() as tx:
        tx.put("/a", b"1")
        with pytest.raises(PathError):
            tx.put("/a/b", b"2")
        with pytest.raises(NotFoundError):
            tx.delete("/nothing")
        tx.mkdir("/f/g")
        with pytest.raises(ExistsError):
            tx.put("/f", b"3")
        with pytest.raises(UsageError):
            tx.delete("/f")
        tx.put("/h", b"4")
    assert dict(db) == {"/a": b"1", "/h": b"4"}
    assert db.stat("/f/g").kind == "folder"


def test_a_transaction_is_over_when_it_is_over(db: aeordb.Database) -> None:
    tx = db.transaction()
    tx.put("/a", b"1")
    tx.commit()
    for action in (tx.commit, tx.rollback, lambda: tx.put("/b", b""), lambda: tx.root):
        with pytest.raises(UsageError, match="over"):
            action()
    assert dict(db) == {"/a": b"1"}


def test_one_inside_another_is_refused_and_harms_nobody(db: aeordb.Database) -> None:
    with db.transaction() as tx:
        tx.put("/a", b"1")
        with pytest.raises(UsageError, match="open in this thread"):
            db.transaction()
        with pytest.raises(UsageError, match="open in this thread"):
            db.put("/b", b"2")
        with pytest.raises(UsageError, match="open in this thread"):
            db.snapshots.restore("v1")
        tx.put("/c", b"3")
    assert dict(db) == {"/a": b"1", "/c": b"3"}


def test_closing_in_a_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    """What it had put into free ranges was left there, and the close was marked as clean: AeorDB's
    scan would have found the file that was never committed."""
    path = tmp_path / "data.aeordb"
    db = aeordb.open(path, "x")
    for i in range(5):
        db.put("/a", bytes(5000 * i))
    tx = db.transaction()
    tx.put("/uncommitted", os.urandom(300))
    tx.writer.flush()
    db.close()
    assert_file(path)
    with pytest.raises(UsageError, match="closed"):
        tx.put("/b", b"")
    with pytest.raises(UsageError, match="closed"):
        tx.commit()
    with pytest.raises(UsageError, match="over"):
        tx.rollback()
    with aeordb.open(path) as db:
        assert list(db) == ["/a"]


def test_a_promote_takes_back_what_was_changed_before_it(db: aeordb.Database) -> None:
    """The path keys of changes already written stayed live: AeorDB would have shown the file."""
    db.put("/a", b"1")
    old = db.head
    with db.transaction() as tx:
        tx.put("/b/c", b"2")
        tx.symlink("/a", "/l")
        assert tx.root != old
        tx.promote(old)
    assert db.head == old
    assert_file(db.path, closed=False)
    with db.transaction() as tx:
        tx.put("/b/c", b"2")
        tx.promote(old)
        tx.put("/d", b"3")
    assert dict(db) == {"/a": b"1", "/d": b"3"}


def test_a_promote_of_what_is_not_whole_ends_the_transaction(db: aeordb.Database) -> None:
    db.put("/a", b"1")
    head = db.head
    with db.transaction() as tx:
        tx.put("/b", b"2")
        with pytest.raises(DamagedError):
            tx.promote(b"\x11" * 32)
        with pytest.raises(UsageError, match="over"):
            tx.put("/c", b"3")
    assert db.head == head
    assert_file(db.path, closed=False)


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 1_000_000])
def test_files_around_the_chunk_length(db: aeordb.Database, tmp_path: Path, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    (tmp_path / "source").write_bytes(data)
    db.put("/bytes", data)
    db.put("/path", tmp_path / "source")
    db.put("/name", str(tmp_path / "source"))
    db.put("/object", io.BytesIO(data))
    db.put("/view", memoryview(data))
    stats = [db.stat(path) for path in sorted(db)]
    assert len({stat.hash for stat in stats}) == 1
    for stat in stats:
        assert (stat.size, db[stat.path]) == (size, data)
        with db.open(stat.path) as file:
            assert file.seek(size // 2) == size // 2
            assert file.read() == data[size // 2 :]
    chunks = Oracle(db.path).file_record(Oracle(db.path).find("/path").hash).chunks
    assert len(chunks) == -(-size // 262_144)


def test_times_and_types_are_kept(db: aeordb.Database) -> None:
    first = db.put("/a.txt", b"1", created=5, updated=7, metadata=b'{"x":"y"}')
    assert (first.created, first.updated, first.content_type) == (5, 7, "text/plain")
    again = db.put("/a.txt", b"2", updated=9)
    assert (again.created, again.updated) == (5, 9)
    assert db.put("/b", b"", content_type="x/y").content_type == "x/y"
    assert db.stat("/a.txt") == again


def test_a_source_that_breaks_leaves_nothing(db: aeordb.Database) -> None:
    class Broken(io.RawIOBase):
        def __init__(self) -> None:
            self.left = 3

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(5, "Input/output error")
            buffer[:] = os.urandom(len(buffer))
            return len(buffer)

    db.put("/a", b"1")
    before = (db.head, db.status().sequence)
    with pytest.raises(OSError, match="Input/output"):
        db.put("/b", Broken())
    with pytest.raises(FileNotFoundError):
        db.put("/b", "/no/such/file")
    assert (db.head, db.status().sequence) == before
    assert dict(db) == {"/a": b"1"}


def test_a_name_that_is_taken_is_said_before_a_version_that_is_not_there(
    db: aeordb.Database,
) -> None:
    """For a name of the same kind the version was looked up first: the contract's model, which has
    one order for both kinds, found it by chance after some hundred runs."""
    db.snapshots.create("v1")
    db.forks.create("f1")
    for name in ("v1", "f1"):
        for names in (db.snapshots, db.forks):
            with pytest.raises(ExistsError, match="already"):
                names.create(name, "nothing")
