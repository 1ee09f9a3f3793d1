"""Snapshots and forks: which names there may be, and what a version's name means."""

import pytest

import aeordb
from aeordb.errors import ExistsError, NotFoundError, PathError, UsageError
from aeordb.format.keys import snapshot_key
from aeordb.format.records import SnapshotRecord


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "1 to 255 bytes"),
        ("n" * 256, "1 to 255 bytes"),
        ("ü" * 128, "1 to 255 bytes"),
        ("a\nb", "control"),
        ("a\0", "control"),
        ("\x7f", "control"),
        ("\x85", "control"),
        ("a/b", "slash"),
        ("HEAD", "HEAD"),
        ("head", "HEAD"),
        ("\udc80", "UTF-8"),
    ],
)
def test_names_that_are_refused(db: aeordb.Database, name: str, reason: str) -> None:
    db.snapshots.create("old")
    for action in (
        db.snapshots.create,
        db.forks.create,
        lambda new: db.snapshots.rename("old", new),
    ):
        with pytest.raises(PathError, match=reason) as caught:
            action(name)
        assert caught.value.exit_code == 2
    assert [s.name for s in db.snapshots.list()] == ["old"]
    with pytest.raises(NotFoundError):
        db.snapshots.delete(name)


@pytest.mark.parametrize("name", ["n", "n" * 255, "ü" * 127, "v1.0 beta", "..", "-x", "日本"])
def test_names_that_are_fine(db: aeordb.Database, name: str) -> None:
    db.put("/a", b"1")
    made = db.snapshots.create(name, metadata={"author": "me"})
    assert made.metadata == {"type": "manual", "author": "me"}
    assert db.snapshots.get(name) == made
    assert db.snapshots.list() == [made]
    assert db.resolve(name) == made.root == db.head
    assert db.at(name).read("/a") == b"1"
    assert db.snapshots.delete(name) == made
    assert db.forks.create(name).name == name
    assert db.forks.delete(name).name == name
    assert (db.snapshots.list(), db.forks.list()) == ([], [])


def test_a_name_is_taken_once(db: aeordb.Database) -> None:
    """A snapshot of a fork's name would have taken over what the name means."""
    first = db.snapshots.create("v1")
    db.put("/a", b"1")
    db.forks.create("work")
    for action in (
        lambda: db.snapshots.create("v1"),
        lambda: db.forks.create("v1"),
        lambda: db.forks.create("work"),
        lambda: db.snapshots.create("work"),
        lambda: db.snapshots.rename("v1", "work"),
    ):
        with pytest.raises(ExistsError):
            action()
    assert db.snapshots.list() == [first]
    assert db.snapshots.rename("v1", "v1") == first
    assert db.snapshots.rename("v1", "v2").created == first.created
    assert db.snapshots.create("v1").root == db.head
    db.snapshots.delete("v2")
    with pytest.raises(NotFoundError):
        db.snapshots.get("v2")
    for action in (
        lambda: db.snapshots.rename("v2", "v3"),
        lambda: db.snapshots.delete("v2"),
        lambda: db.snapshots.restore("v2"),
        lambda: db.forks.promote("v2"),
        lambda: db.forks.get("v2"),
        lambda: db.forks.delete("v2"),
        lambda: db.snapshots.create("x", at="v2"),
    ):
        with pytest.raises(NotFoundError):
            action()


def test_names_that_aeordb_gave_still_work(db: aeordb.Database) -> None:
    db.put("/a", b"1")
    name = "auto/2024\n" + "x" * 300
    with db.transaction() as tx:
        record = SnapshotRecord(name, db.head, 5, b"not json")
        tx.writer.append(5, snapshot_key(name), record.encode())
    assert db.snapshots.get(name).metadata == {}
    assert db.at(name).read("/a") == b"1"
    db.put("/a", b"2")
    db.snapshots.restore(name)
    assert db["/a"] == b"1"
    assert db.snapshots.rename(name, "tidy").name == "tidy"
    assert db.resolve("tidy") == db.head


def test_versions_by_hash_and_by_its_beginning(db: aeordb.Database) -> None:
    db.put("/a", b"1")
    first = db.head
    db.snapshots.create("v1")
    db.put("/a", b"2")
    text = first.hex()
    for name in (text, text.upper(), text[:8], text[:9], text[:63], "v1"):
        assert db.resolve(name) == first
        assert db.at(name).read("/a") == b"1"
    assert db.resolve("HEAD") == db.head != first
    for name in ("", text[:7], "zz345678", "ff" * 32, "0" * 8, text + "0", "head", "\udcff" * 9):
        with pytest.raises(NotFoundError) as caught:
            db.resolve(name)
        assert (caught.value.what, caught.value.exit_code) == ("version", 20)


def test_an_ambiguous_beginning_is_refused(
    db: aeordb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.put("/a", b"1")
    db.snapshots.create("v1")
    db.put("/a", b"2")
    db.snapshots.create("v2")
    monkeypatch.setattr("aeordb.versions.resolve.PREFIX_MIN", 0)
    with pytest.raises(UsageError, match="beginning of"):
        db.resolve("")


def test_a_name_wins_over_the_hash_that_it_looks_like(db: aeordb.Database) -> None:
    db.put("/a", b"1")
    first = db.head
    db.put("/a", b"2")
    db.snapshots.create(first.hex()[:12])
    db.forks.create(first.hex())
    assert db.resolve(first.hex()[:12]) == db.resolve(first.hex()) == db.head
    assert db.resolve(first.hex()[:13]) == first


def test_restore_and_promote_move_head(db: aeordb.Database) -> None:
    db.put("/a", b"1")
    db.put("/gone", b"x")
    db.snapshots.create("v1")
    db.delete("/gone")
    db.put("/a/../a".replace("/a/..", ""), b"2")
    db.symlink("/a", "/l")
    db.forks.create("work")
    new = db.head
    assert db.snapshots.restore("v1") == db.head != new
    assert dict(db) == {"/a": b"1", "/gone": b"x"}
    assert db.forks.promote("work") == db.head == new
    assert dict(db) == {"/a": b"2"}
    sequence = db.status().sequence
    assert db.forks.promote("work") == new
    assert db.status().sequence == sequence


def test_the_log_of_a_path(db: aeordb.Database) -> None:
    db.put("/a", b"1")
    db.snapshots.create("v1")
    db.snapshots.create("same")
    db.put("/a", b"22")
    db.snapshots.create("v2")
    db.delete("/a")
    items = db.log("/a")
    assert [item.version for item in items] == ["HEAD", "v2", "v1"] or [
        item.version for item in items
    ] == ["HEAD", "v2", "same"]
    assert items[0].stat is None
    assert [item.stat.size for item in items[1:]] == [2, 1]
    with pytest.raises(NotFoundError):
        db.log("/never")
