"""compact: a dense copy of all that is live, in the place of the file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
from aeordb import DamagedError, LockedError, NotDurableError
from aeordb.maintenance import compact as compact_module
from aeordb.maintenance.compact import SUFFIX, compact
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import QuickLayer
from tests.crash.judge import state_of
from tests.kit.fixtures import COMPLETE
from tests.kit.folders import noise
from tests.kit.rules import check_file
from tests.maintenance.test_gc import check, indexed, own_records


def fill(db: aeordb.Database) -> None:
    for number in range(20):
        db.put(f"/d/{number}", noise(number, 20_000))
    db.snapshots.create("v1")
    for number in range(0, 20, 2):
        db.delete(f"/d/{number}")
    db.put("/gone", noise("gone", 500_000))
    db.delete("/gone")


def test_the_file_is_as_long_as_what_is_live(db: aeordb.Database) -> None:
    fill(db)
    key = db.create_root_key()
    before = state_of(db)
    created = db.info().created
    planned = db.gc(dry_run=True, compact=True)
    report = db.gc(compact=True)
    live = sum(length for _, _, length in indexed(db).values())
    assert report.size == os.stat(db.path).st_size <= live + 70_000
    assert report.size <= planned.compact_bytes <= report.size + 70_000
    assert report.compacted
    assert db.is_root_key(key)
    assert db.info().created == created
    check(db, before)
    db.put("/after", b"after")
    assert db["/after"] == b"after"


@pytest.mark.parametrize("name", COMPLETE)
def test_files_of_aeordbs(name: str, fixture_copy: Callable[[str], Path]) -> None:
    path = fixture_copy(name)
    own = own_records(path)
    with use_layer(QuickLayer()), aeordb.open(path) as db:
        before = state_of(db)
        kind = db.info().kind
        db.gc(compact=True)
        check(db, before)
        assert db.info().kind == kind
        db.put("/after", b"after")
    assert own_records(path) == own
    assert check_file(path) == []


def test_through_a_symlink_the_file_itself_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "data.aeordb", tmp_path / "link.aeordb"
    with aeordb.open(real, "x") as db:
        fill(db)
        before = state_of(db)
    os.chmod(real, 0o640)
    link.symlink_to(real)
    with aeordb.open(link) as db:
        db.gc(compact=True)
        assert state_of(db) == before
    assert link.is_symlink()
    assert os.stat(real).st_mode & 0o777 == 0o640
    assert check_file(real) == []
    assert sorted(p.name for p in real.parent.iterdir()) == ["data.aeordb", "data.aeordb.lock"]


def test_a_disk_without_room_is_said_before_anything_is_written(
    db: aeordb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db)
    before = indexed(db)
    fields = list(os.statvfs(db.path))
    fields[4] = 1  # free blocks for everybody
    monkeypatch.setattr(compact_module.os, "statvfs", lambda _: os.statvfs_result(fields))
    with pytest.raises(NotDurableError, match="a dense copy takes"):
        db.gc(compact=True)
    assert indexed(db) == before
    assert not os.path.exists(db.path + SUFFIX)


def test_readers_keep_the_file_in_its_place(db: aeordb.Database) -> None:
    fill(db)
    before = indexed(db)
    with aeordb.open(db.path, "r") as reader:
        assert reader["/d/1"]
        with pytest.raises(LockedError) as caught:
            compact(db._store, patience=0.0)
        assert caught.value.readers == 1
        assert reader["/d/1"] == db["/d/1"]
    assert indexed(db) == before
    assert not os.path.exists(db.path + SUFFIX)
    db.gc(compact=True)


def test_the_writers_lock_goes_with_the_name(db: aeordb.Database) -> None:
    fill(db)
    db.gc(compact=True)
    with pytest.raises(LockedError):
        aeordb.open(db.path)
    os.link(db.path, db.path + "2")
    with pytest.raises(LockedError):
        aeordb.open(db.path + "2")


def test_a_damaged_chunk_is_found_while_it_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/a", noise("a", 5000))
    raw = bytearray(path.read_bytes())
    raw[raw.index(noise("a", 5000)[100:200])] ^= 1
    path.write_bytes(raw)
    with aeordb.open(path) as db, pytest.raises(DamagedError):
        db.gc(compact=True)
    assert not os.path.exists(f"{path}{SUFFIX}")
