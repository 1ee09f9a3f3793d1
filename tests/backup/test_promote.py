"""Promotion: only of a version whose whole tree is there, in its place."""

from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError, NotFoundError
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/docs/a.txt", b"a")
        db.put("/docs/b.txt", b"b" * 1000)
        db.mkdir("/empty/folder")
    return path


def test_a_version_without_a_name_is_promoted_by_its_hash(path: Path) -> None:
    with aeordb.open(path) as db:
        old = db.head
        db.put("/docs/c.txt", b"c")
        db.delete("/docs/a.txt")
        assert db.promote(old.hex()) == old
        assert db.head == old
        assert sorted(db) == ["/docs/a.txt", "/docs/b.txt"]
        assert db.promote(old.hex()[:12]) == old
        assert db.promote("HEAD") == old
    assert_file(path)


def test_what_is_no_version_is_refused(path: Path) -> None:
    with aeordb.open(path) as db:
        chunk = next(e.key for e in Oracle(path).scan() if e.type == 1)
        for text in ("0" * 64, chunk.hex(), "none"):
            with pytest.raises(NotFoundError):
                db.promote(text)


def test_a_folder_of_the_tree_is_no_version(path: Path) -> None:
    """Its records name other paths than they would have there."""
    before = path.read_bytes()
    oracle = Oracle(path)
    docs, empty = oracle.find("/docs"), oracle.find("/empty")
    assert docs is not None
    assert empty is not None
    with aeordb.open(path) as db, pytest.raises(DamagedError, match="another path"):
        db.promote(docs.hash.hex())
    assert path.read_bytes() == before
    with aeordb.open(path) as db:
        # A folder without files is as good a tree as any.
        assert db.promote(empty.hash.hex()) == empty.hash
        assert [stat.path for stat in db.walk()] == ["/folder"]
    assert_file(path)


def test_a_version_with_holes_is_refused_and_counted(path: Path) -> None:
    with aeordb.open(path) as db:
        old = db.head
        chunks = [e.key for e in Oracle(path).scan() if e.type == 1]
        for name in ("/docs/a.txt", "/docs/b.txt"):
            db.delete(name)
        with db.transaction() as tx:
            for key in chunks:
                tx.writer.tombstone(key)
        head = db.head
        with pytest.raises(DamagedError, match="2 chunks") as caught:
            db.promote(old.hex())
        assert caught.value.missing == 2
        assert db.head == head
