"""gc: what versions reach stays as it was, everything else leaves index and log and is free."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aeordb
from aeordb import DamagedError, LockedError, NotFoundError, UsageError
from aeordb.format import constants as c
from aeordb.maintenance import gc as gc_module
from aeordb.native.index import split_records
from aeordb.native.log import rebuild_index, scan_log
from aeordb.storage.datafile import use_layer
from aeordb.storage.view import make_index
from aeordb.testing.recording import QuickLayer
from tests.crash.judge import state_of
from tests.kit.child import ENVIRONMENT
from tests.kit.fixtures import COMPLETE, fixture_path
from tests.kit.folders import noise
from tests.kit.layout import FILE
from tests.kit.oracle import Oracle
from tests.kit.rules import check_file

Record = tuple[int, int, int]


def indexed(db: aeordb.Database) -> dict[bytes, Record]:
    """What the index has: KV type, offset and length by key."""
    store = db._store
    index = make_index(store._files, store.state)
    return {r.key: (r.kv & c.KV_TYPE_MASK, r.offset, r.length) for r in index.scan_records()}


def rebuilt(db: aeordb.Database) -> dict[bytes, Record]:
    """The same made anew from the log."""
    state = db._store.state
    source = db._store._files.covering(state.log_end)
    made = rebuild_index(source, state.header.log_start, state.log_end)
    return {
        r.key: (r.kv & c.KV_TYPE_MASK, r.offset, r.length)
        for r in split_records(made.table.record_view())
        if not r.kv & c.KV_DELETED
    }


def free_in_log(db: aeordb.Database) -> int:
    """Bytes of the log that are free: void entries, or listed."""
    state = db._store.state
    source = db._store._files.covering(state.log_end)
    listed = dict(state.voids)
    total = 0
    for batch in scan_log(source, state.header.log_start, state.log_end):
        for entry in batch:
            if entry.type == c.ENTRY_VOID or entry.offset in listed:
                total += entry.length
    return total


def check(db: aeordb.Database, before: object) -> None:
    """All that a gc promises of an open database."""
    assert state_of(db) == before
    assert rebuilt(db) == indexed(db)
    state = db._store.state
    live = sum(length for _, _, length in indexed(db).values())
    room = state.log_end - state.header.log_start - live
    assert free_in_log(db) >= room * 0.99 - c.VOID_MIN_LENGTH
    again = db.gc(dry_run=True)
    assert (again.garbage_entries, again.reclaimed_bytes) == (0, 0)


@pytest.mark.parametrize("name", COMPLETE)
def test_files_of_aeordbs(name: str, fixture_copy: Callable[[str], Path]) -> None:
    """Their versions, tasks and plugins stay; the result keeps to the format's rules."""
    path = fixture_copy(name)
    own = own_records(path)
    with aeordb.open(path, "r") as db:
        before = state_of(db)
        planned = db.gc(dry_run=True)
    assert path.read_bytes() == fixture_path(name).read_bytes()
    with use_layer(QuickLayer()), aeordb.open(path) as db:
        report = db.gc()
        check(db, before)
        db.put("/after", b"after")
    assert report.live_entries == planned.live_entries
    assert report.garbage_entries == planned.garbage_entries
    assert own_records(path) == own
    assert check_file(path, taken_over=True) == []


def own_records(path: Path) -> dict[bytes, bytes]:
    """AeorDB's JSON records of type 2, version 0, by key."""
    oracle = Oracle(path)
    found = {}
    for key, location in oracle.index.items():
        entry = oracle.entry_at(location)
        if entry.type == FILE and entry.version == 0:
            found[key] = entry.value
    return found


def test_an_incomplete_version_is_refused_and_nothing_changed(
    fixture_copy: Callable[[str], Path],
) -> None:
    path = fixture_copy("btree.export-at600")
    with aeordb.open(path, "r") as db:
        before = indexed(db)
    for dry_run, compact in ((False, False), (True, False), (False, True)):
        with aeordb.open(path) as db, pytest.raises(DamagedError) as caught:
            db.gc(dry_run=dry_run, compact=compact)
        assert caught.value.path == "/many"
    with aeordb.open(path, "r") as db:
        assert indexed(db) == before


def test_a_deleted_snapshot_frees_only_what_it_alone_held(db: aeordb.Database) -> None:
    db.put("/shared", noise("shared", 300_000))
    db.put("/old", noise("old", 300_000))
    db.snapshots.create("v1")
    db.delete("/old")
    assert db.gc().reclaimed_bytes < 100_000
    assert db.at("v1").read("/old") == noise("old", 300_000)
    db.snapshots.delete("v1")
    planned = db.gc(dry_run=True)
    report = db.gc()
    assert report.reclaimed_bytes == planned.reclaimed_bytes > 300_000
    assert report.versions == 1
    assert db["/shared"] == noise("shared", 300_000)


def test_disk_usage_falls_by_the_whole_blocks_freed(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        for number in range(20):
            db.put(f"/{number}", noise(number, 100_000))
        for number in range(0, 19, 2):
            db.delete(f"/{number}")
    used = os.stat(path).st_blocks * 512
    with aeordb.open(path) as db:
        assert db.gc().reclaimed_bytes > 1_000_000
    # Of each of the ten freed ranges at most two blocks are partly in use.
    assert used - os.stat(path).st_blocks * 512 >= 10 * (100_000 - 3 * 4096)


def test_free_space_is_used_again(db: aeordb.Database) -> None:
    for number in range(30):
        db.put(f"/{number}", noise(number, 50_000))
    for number in range(29):
        db.delete(f"/{number}")
    db.put("/last", b"last")
    size = db.gc().size
    for number in range(20):
        db.put(f"/{number}", noise(("again", number), 50_000))
    assert db._store.state.region_end <= size + 100_000


def test_room_at_the_end_is_cut_off(db: aeordb.Database) -> None:
    db.put("/first", b"first")
    db.put("/large", noise("large", 2_000_000))
    db.delete("/large")
    report = db.gc()
    assert report.size < 400_000
    assert db.gc(dry_run=True).reclaimed_bytes == 0


def test_what_was_deleted_stays_so_when_the_index_is_rebuilt(db: aeordb.Database) -> None:
    """Deletion entries go with the entries that they hide, and never before them."""
    db.put("/a", b"1")
    db.snapshots.create("v1")
    db.delete("/a")
    db.snapshots.delete("v1")
    before = state_of(db)
    assert any(kv == c.KV_DELETION for kv, _, _ in indexed(db).values())
    db.gc()
    check(db, before)
    assert not any(kv == c.KV_DELETION for kv, _, _ in indexed(db).values())


def test_an_import_without_promote_survives(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/kept", b"kept")
    with aeordb.open(tmp_path / "other.aeordb", "x") as other:
        other.put("/imported", noise("imported", 9000))
        other.export(tmp_path / "full.aeordb")
        root = other.head
    db.import_(tmp_path / "full.aeordb")
    db.gc()
    assert db.at(root.hex()).read("/imported") == noise("imported", 9000)
    db.promote(root.hex())
    assert db["/imported"] == noise("imported", 9000)


def test_forks_and_the_root_key_survive(db: aeordb.Database) -> None:
    key = db.create_root_key()
    db.put("/a", b"1")
    db.forks.create("side")
    db.delete("/a")
    db.gc()
    assert db.at("side").read("/a") == b"1"
    assert db.is_root_key(key)


def test_readers_that_stay_are_counted(
    db: aeordb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc_module, "PATIENCE", 0.0)
    db.put("/a", b"1")
    db.put("/a", b"2")
    before = indexed(db)
    with aeordb.open(db.path, "r") as one, aeordb.open(db.path, "r") as two:
        assert one["/a"] == two["/a"] == b"2"
        with pytest.raises(LockedError) as caught:
            gc_module.gc(db._store, patience=0.0)
        assert caught.value.readers == 2
        assert db["/a"] == one["/a"] == b"2"
    assert indexed(db) == before
    db.gc()
    assert db["/a"] == b"2"


def test_a_reader_opened_between_sees_all(db: aeordb.Database) -> None:
    for number in range(40):
        db.put("/a", noise(number, 500))
    db.gc()
    with aeordb.open(db.path, "r") as reader:
        db.put("/b", b"b")
        assert reader["/a"] == noise(39, 500)


READER = """
import os, sys, aeordb
path, stop = sys.argv[1:]
print("ready", flush=True)
rounds = 0
while not os.path.exists(stop) or rounds == 0:
    with aeordb.open(path, "r") as db:
        assert db["/kept"] == bytes(range(256)) * 300
        assert db.at("v1").read("/old") == b"old" * 9000
        assert {stat.path for stat in db.walk()} >= {"/kept", "/changing"}
        assert len(set(db["/changing"])) == 1
    rounds += 1
"""


def test_readers_in_other_processes_go_on(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/old", b"old" * 9000)
    db.snapshots.create("v1")
    db.delete("/old")
    db.put("/kept", bytes(range(256)) * 300)
    db.put("/changing", b"0" * 20_000)
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", READER, db.path, str(stop)]
    readers = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"ready\n"
        for number in range(12):
            db.put("/changing", b"%d" % (number % 10) * 20_000)
            assert db.gc().garbage_entries > 0
    finally:
        stop.touch()
        codes = [reader.wait() for reader in readers]
        for reader in readers:
            assert reader.stdout is not None
            reader.stdout.close()
    assert codes == [0, 0]


def test_nothing_to_do_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/a", b"1")
        db.put("/a", b"2")
        db.gc()
    content = path.read_bytes()
    with aeordb.open(path) as db:
        report = db.gc()
    assert (report.garbage_entries, report.reclaimed_bytes) == (0, 0)
    assert path.read_bytes() == content


PLACES = ("/a", "/b", "/dir/a", "/dir/b", "/dir/sub/a", "/many/1", "/many/2")
Operation = tuple[str, str, int]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "delete", "snapshot", "drop", "restore", "gc", "crowd"]),
            st.sampled_from(PLACES),
            st.integers(0, 3000),
        ),
        max_size=25,
    )
)
def test_random_histories(steps: list[Operation]) -> None:
    with tempfile.TemporaryDirectory() as folder, use_layer(QuickLayer()):
        path = Path(folder) / "data.aeordb"
        with aeordb.open(path, "x", jobs=1) as db:
            for step in steps:
                with suppress(NotFoundError, UsageError, aeordb.ExistsError):
                    do(db, *step)
            before = state_of(db)
            planned = db.gc(dry_run=True)
            report = db.gc()
            assert report.live_entries == planned.live_entries
            assert report.garbage_entries == planned.garbage_entries
            assert report.reclaimed_bytes == planned.reclaimed_bytes
            check(db, before)
        assert check_file(path) == []
        with aeordb.open(path, jobs=1) as db:
            db.gc(compact=True)
            check(db, before)
            db.put("/after", b"after")
        assert check_file(path) == []


def do(db: aeordb.Database, what: str, place: str, number: int) -> None:
    """One step of a history."""
    name = f"v{number % 3}"
    if what == "put":
        db.put(place, noise((place, number), number))
    elif what == "delete":
        db.delete(place)
    elif what == "snapshot":
        db.snapshots.create(name)
    elif what == "drop":
        db.snapshots.delete(name)
    elif what == "restore":
        db.snapshots.restore(name)
    elif what == "gc":
        db.gc()
    else:
        with db.transaction() as tx:
            for i in range(300):
                tx.put(f"/crowd/{i}", b"%d" % (i * number))
