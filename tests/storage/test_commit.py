"""The shadow commit from the outside: where entries and tails go, and what a close leaves.

Every file is judged by the independent reader (tests.kit.rules); cuts are tested in tests/crash.
"""

import itertools
import os
import struct
import zlib
from pathlib import Path

import pytest

import aeordb
from aeordb.format import constants as c
from aeordb.storage import store
from aeordb.storage.datafile import use_layer
from aeordb.storage.state import State
from aeordb.storage.view import View
from tests.kit.layout import (
    FLAG_CHECKPOINT,
    FLAG_CLEAN,
    HEADER_LENGTH,
    read_slot,
    stage_length,
)
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file
from tests.storage.layers import CountingLayer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequent checkpoints, and growth as soon as a page is full."""
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 0)


def state_of(db: aeordb.Database) -> State:
    return db._store.state


def test_every_commit_leaves_a_good_file(path: Path) -> None:
    """At rest one gap is in the log, the other slot's hot tail; after a close there is none."""
    with aeordb.open(path, "x") as db:
        assert_file(path, closed=True)
        for i in range(60):
            db.put(f"/{i % 9}", os.urandom(1 + i * 997 % 5000))
            assert_file(path, closed=False)
            state = state_of(db)
            assert state.region[1] >= HEADER_LENGTH
            assert os.stat(path).st_size >= state.region_end
    assert_file(path)
    with aeordb.open(path):
        pass
    assert_file(path)


def test_the_header_counts_the_entries(path: Path) -> None:
    """By this number a bulk operation knows how far the index must grow ahead of it."""
    with aeordb.open(path, "x") as db:
        for i in range(20):
            db.put(f"/{i % 7}", os.urandom(1 + i * 97))
        with db.transaction() as tx:
            for i in range(30):
                tx.put(f"/folder/{i}", b"text %d" % i)
    oracle = Oracle(path)
    entries = [e for e in oracle.scan(end=oracle.slot.hot_tail) if e.type != c.ENTRY_VOID]
    assert len(entries) > 100
    assert oracle.slot.entry_count == len(entries)


def test_sequences_take_turns_between_the_slots(path: Path) -> None:
    with aeordb.open(path, "x") as db:
        slots = []
        for i in range(6):
            db.put("/a", b"%d" % i)
            state = state_of(db)
            slots.append((state.slot, state.header.sequence))
            assert state.other.sequence == state.header.sequence - 1
    assert [s for s, _ in slots] == [slots[0][0] ^ (i % 2) for i in range(6)]
    numbers = [n for _, n in slots]
    assert numbers == list(range(numbers[0], numbers[0] + 6))


def test_a_commit_writes_data_and_slot_with_a_sync_each(path: Path) -> None:
    layer = CountingLayer()
    with use_layer(layer), aeordb.open(path, "x") as db:
        db.put("/a", b"1")
        for i in range(20):
            before = layer.calls.copy()
            db.put("/a", b"%d" % i)
            assert layer.calls["fdatasync"] - before["fdatasync"] == 2


def test_a_transaction_that_placed_nothing_makes_no_call(path: Path) -> None:
    """Rolled back, or without a change, it cut the file: 0.4 ms for nothing."""
    layer = CountingLayer()
    with use_layer(layer), aeordb.open(path, "x") as db:
        db.put("/a", b"1")
        before = layer.calls.copy()
        with db.transaction() as tx:
            assert tx.exists("/a")
        with db.transaction() as tx:
            tx.put("/b", b"2")
            tx.rollback()
        with pytest.raises(aeordb.NotFoundError):
            db.delete("/c")
        assert layer.calls == before
    with aeordb.open(path) as db:
        assert dict(db) == {"/a": b"1"}


def test_small_commits_in_a_row_seldom_make_the_file_longer(path: Path) -> None:
    """Where a sync finds new blocks in a file it waits for the file system's journal too."""
    grown, size = 0, 0
    with aeordb.open(path, "x") as db:
        for i in range(200):
            db.put(f"/{i}", os.urandom(3000))
            grown += path.stat().st_size > size
            size = path.stat().st_size
        end = state_of(db).region_end
        assert end < size
    assert grown < 25
    assert path.stat().st_size == end
    assert_file(path)


def test_a_clean_close_spares_the_next_writer_the_mending(path: Path) -> None:
    with aeordb.open(path, "x") as db:
        for _ in range(30):
            db.put("/a", os.urandom(50_000))
    clean, dirty = CountingLayer(), CountingLayer()
    copy = path.with_name("copy.aeordb")
    with use_layer(clean), aeordb.open(path) as db:
        db.put("/b", b"1")
        copy.write_bytes(path.read_bytes())
    with use_layer(dirty), aeordb.open(copy) as db:
        assert not state_of(db).flags & FLAG_CLEAN
        db.put("/c", b"2")
        assert set(db) == {"/a", "/b", "/c"}
    assert_file(copy)
    assert dirty.written > clean.written, "every free range was written again"


def test_the_log_end_moves_down_when_all_fits_into_free_room(path: Path) -> None:
    """A checkpoint's long tail leaves a range in front of the small tail behind it."""
    with aeordb.open(path, "x") as db:
        ends = []
        for _ in range(3):
            with db.transaction() as tx:
                for i in range(300):
                    tx.put(f"/{i}", os.urandom(10))
            for _ in range(5):
                db.put("/small", os.urandom(10))
                ends.append(state_of(db).region_end)
        assert any(later < earlier for earlier, later in itertools.pairwise(ends))
        assert_file(path, closed=False)
    assert_file(path)
    assert os.stat(path).st_size <= max(ends)


def test_free_room_is_used_again(path: Path) -> None:
    """Nothing dead is collected before gc; but the tails' own room is not lost with each commit."""
    with aeordb.open(path, "x") as db:
        sizes = []
        for i in range(400):
            db.put("/a", b"%d" % i)
            sizes.append(os.stat(path).st_size)
        per_commit = (sizes[-1] - sizes[100]) / 300
    assert per_commit < 2500


def test_checkpoints_put_every_record_into_its_page(path: Path, small: None) -> None:
    with aeordb.open(path, "x") as db:
        for turn in range(6):
            with db.transaction() as tx:
                for i in range(15):
                    tx.put(f"/{i}", b"%d %d" % (turn, i))
            assert_file(path, closed=False)
            assert not state_of(db).flags & FLAG_CHECKPOINT
            assert len(state_of(db).table) <= 20
        oracle = Oracle(path)
        paged = {record.key for n in range(45) for record in oracle.page(n)}
        assert len(paged) > 100
        db.delete("/3")
        db.snapshots.create("v1")
        db.snapshots.delete("v1")
        with db.transaction() as tx:
            for i in range(15, 30):
                tx.put(f"/{i}", b"x")
        oracle = Oracle(path)
        assert "/3" not in {place.path for place in oracle.walk(oracle.head)}
        assert oracle.snapshots == {}
    assert_file(path)


def test_a_bulk_put_is_read_back_from_pages_and_overflow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many entries as the pages hold: some find theirs full and ride in the hot tail."""
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 100_000)
    with aeordb.open(path, "x") as db:
        with db.transaction() as tx:
            for i in range(450):
                tx.put(f"/{i}", b"%d" % i)
        assert aeordb.info(path).stage == 0
        assert len(state_of(db).table) > 0
        assert {p: db[p] for p in db} == {f"/{i}": b"%d" % i for i in range(450)}
        assert_file(path, closed=False)
    assert_file(path)


@pytest.mark.parametrize("size", [*range(0, 700, 63), 200_000, 447_000, 448_000, 460_000])
def test_growth_with_entries_at_every_distance_from_the_edge(
    path: Path, size: int, small: None
) -> None:
    """What crosses the new edge moves, and its neighbour where less than a void entry stays; the
    log may also end before the edge."""
    edge = 512 + stage_length(1)
    with aeordb.open(path, "x") as db:
        # One file brings the log's end near the edge, then small ones lie across it.
        start = state_of(db).region_end
        fill = max(0, edge - start - 3000 - size) if size < 1000 else size
        db.put("/fill", os.urandom(fill))
        files = {f"/{i}": os.urandom(i * 7 % 90) for i in range(60)}
        for name, data in list(files.items())[:20]:
            db.put(name, data)
        old = db.at("HEAD")
        held = {stat.path: old.read(stat.path) for stat in old.walk()}
        with db.transaction() as tx:
            for name, data in files.items():
                tx.put(name, data)
            for i in range(500):
                tx.put(f"/more/{i}", b"%d" % i)
        assert aeordb.info(path).stage == 1
        assert_file(path, closed=False)
        assert {stat.path: old.read(stat.path) for stat in old.walk()} == held
        assert {p: db[p] for p in files} == files
        del old
        db.put("/after", b"1")
        assert_file(path, closed=False)
    assert_file(path)
    with aeordb.open(path) as db:
        assert len(db) == 562
        db.put("/again", b"2")
    assert_file(path)


def test_a_database_made_for_many_entries_starts_large(path: Path) -> None:
    with aeordb.open(path, "x", expect_entries=20_000) as db:
        assert aeordb.info(path).stage == 3
        db.put("/a", b"1")
    assert_file(path)


def test_two_slots_name_states_that_both_read(path: Path) -> None:
    """The other slot's state is whole until the next commit: a cut may bring it back."""
    with aeordb.open(path, "x") as db:
        for i in range(10):
            db.put("/a", b"%d" % i)
            data = bytearray(path.read_bytes())
            live = 256 * state_of(db).slot
            if i:
                data[live : live + 4] = b"torn"
                copy = path.with_name("copy.aeordb")
                copy.write_bytes(data)
                with aeordb.open(copy, "r") as before:
                    assert before["/a"] == b"%d" % (i - 1)


def test_a_writer_is_refused_by_an_old_layout_without_a_change(path: Path) -> None:
    """The index behind the log (offset over 512) can be read, not written."""
    with aeordb.open(path, "x") as db:
        db.put("/a", b"1")
    data = bytearray(path.read_bytes())
    log = bytes(data[512 + stage_length(0) :])
    shift = stage_length(0)
    slots = [read_slot(bytes(data[:256])), read_slot(bytes(data[256:512]))]
    assert all(slot.kv_offset == 512 for slot in slots)
    # An old file: log from 512, then an empty index, no marker; found by a scan.
    head = slots[0].head if slots[0].sequence > slots[1].sequence else slots[1].head
    entries = log[: max(slot.hot_tail for slot in slots) - shift - 512]
    slot = bytearray(data[:256])
    struct.pack_into("<Q", slot, 31, 512 + len(entries))
    slot[65:97] = head
    struct.pack_into("<Q", slot, 122, 512 + len(entries) + shift)
    slot[197:252] = bytes(55)
    slot[252:256] = struct.pack("<I", zlib.crc32(slot[:252]))
    raw = bytes(slot) + bytes(256) + entries + bytes(shift)
    path.write_bytes(raw)
    with aeordb.open(path, "r") as db:
        assert db["/a"] == b"1"
    with aeordb.open(path) as db, pytest.raises(aeordb.AeorDBError, match="old layout"):
        db.put("/b", b"2")
    assert path.read_bytes() == raw


# -- views ---------------------------------------------------------------------------------


def test_a_view_asks_again_when_the_writer_was_faster(path: Path, small: None) -> None:
    with aeordb.open(path, "x") as db, aeordb.open(path, "r") as other:
        db.put("/a", b"1")
        other.refresh()
        view: View = other.reader()
        key = view.head
        for i in range(30):
            db.put(f"/{i}", b"x")
        asked = []

        def ask(index: object) -> int:
            asked.append(index)
            return 1

        assert view._again(ask, None) == 1
        assert view.sequence < db._store.sequence
        assert view.head == key
        assert view._newest.header.sequence == db._store.sequence
        missing = b"\x77" * 32
        assert view.read(missing) is None
        assert view.has_many([missing, key]) == [False, True]


def test_what_is_missing_in_a_file_at_rest_is_damage(path: Path) -> None:
    with aeordb.open(path, "x") as db:
        view = db.reader()
        with pytest.raises(aeordb.DamagedError, match="missing") as caught:
            view.read_as(b"\x77" * 32, c.ENTRY_DIRECTORY)
        assert caught.value.key == b"\x77" * 32
        with pytest.raises(aeordb.DamagedError, match="is a directory"):
            view.read_as(view.head, c.ENTRY_CHUNK)


def test_an_unclean_file_may_be_read_as_often_as_one_likes(path: Path) -> None:
    with aeordb.open(path, "x") as db:
        for _ in range(20):
            db.put("/a", os.urandom(3000))
        raw = path.read_bytes()
    dirty = path.with_name("dirty.aeordb")
    dirty.write_bytes(raw + b"half an entry")
    for _ in range(2):
        with aeordb.open(dirty, "r") as db:
            assert len(db["/a"]) == 3000
        assert dirty.read_bytes() == raw + b"half an entry"
    with aeordb.open(dirty) as db:
        assert dirty.read_bytes() == raw + b"half an entry"
        db.put("/b", b"1")
    assert_file(dirty)
