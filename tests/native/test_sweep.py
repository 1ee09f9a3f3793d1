"""What leaves an index and the room between what stays, against plain Python."""

from pathlib import Path

import pytest

import aeordb
from aeordb.format import constants as c
from aeordb.format.hottail import decode_voids, encode_tail_record
from aeordb.native._native import ffi
from aeordb.native.framing import void_header
from aeordb.native.index import ALL, Index, split_records
from aeordb.native.map import Map
from aeordb.native.pages import checkpoint, page_of
from aeordb.native.sweep import Ranges, Room, drop_records, rooms, survey, table_records
from aeordb.native.table import RECORD, Table
from aeordb.native.walk import Marks
from aeordb.storage.view import make_index


@pytest.fixture
def index(db: aeordb.Database) -> Index:
    """An index with entries in pages and in the hot tail."""
    with db.transaction() as tx:
        for number in range(900):
            tx.put(f"/d/{number}", b"%d" % number)
    db.put("/last", b"last")
    return make_index(db._store._files, db._store.state)


def some(index: Index, every: int) -> tuple[Marks, dict[bytes, tuple[int, int, int]]]:
    """Marks of every manieth entry, and where these are."""
    marks = Marks(index)
    chosen = sorted(index.scan_records())[::every]
    assert marks.add_keys(index, b"".join(r.key for r in chosen)) == len(chosen) == len(marks)
    return marks, {r.key: (r.kv, r.offset, r.length) for r in chosen}


@pytest.mark.parametrize("every", [1, 2, 7])
def test_survey_and_rooms(index: Index, every: int) -> None:
    marks, chosen = some(index, every)
    everything = list(index.scan_records())
    end = max(r.offset + r.length for r in everything) + 100
    start = min(r.offset for r in everything)
    found = survey(index, marks, start, end)
    assert (found.live, found.garbage) == (len(chosen), len(everything) - len(chosen))
    assert found.live_bytes == sum(length for _, _, length in chosen.values())
    assert sum(found.bins) == found.live
    expected, at = [], start
    for _, offset, length in sorted(chosen.values(), key=lambda row: row[1]):
        if offset > at:
            expected.append((at, offset))
        at = max(at, offset + length)
    expected.append((at, end))
    for most in (10, 1 << 20):
        got = []
        for batch in rooms(index, marks, found, (start, end, end), b"", most):
            got += [(offset, offset + length) for offset, length in batch.ranges]
            got += [(room.offset, room.end) for room in batch.special]
        assert sorted(got) == [row for row in expected if row[1] - row[0] >= c.VOID_MIN_LENGTH]


def test_garbage_is_all_that_is_not_marked(index: Index) -> None:
    marks, chosen = some(index, 3)
    records = table_records(index, marks)
    tables = [records[at : at + RECORD] for at in range(0, len(records), RECORD)]
    waiting = b"".join(sorted(tables, key=lambda record: page_of(record[1:33], index.pages)))
    assert waiting
    gone, kept, beside = set[bytes](), set[bytes](), b""
    first = 0
    while first < index.pages:
        plan, after, taken = drop_records(index, marks, first, 50, waiting)
        assert after > first
        assert waiting.startswith(taken)
        pages = {page_of(taken[at + 1 : at + 33], index.pages) for at in range(0, len(taken), 46)}
        assert pages <= set(range(first, after))
        waiting = waiting[len(taken) :]
        if plan is None:
            beside += taken
        else:
            assert set(plan.page_numbers) <= set(range(first, after))
            beside += plan.overflow_records
            leads = list(split_records(plan.lead_records))
            gone |= {r.key for r in leads if r.kv & c.KV_DELETED}
            kept |= {r.key for r in leads if not r.kv & c.KV_DELETED}
        first = after
    assert not waiting
    stay = list(split_records(beside))
    assert not any(r.kv & c.KV_DELETED for r in stay)
    assert not gone & kept
    everything = {r.key for r in index.scan_records()}
    # Of the tables' garbage the pages know nothing: it leaves with its records.
    tail = {record[1:33] for record in tables}
    assert everything - chosen.keys() - tail <= gone <= everything - chosen.keys()
    assert kept | {r.key for r in stay} <= chosen.keys()
    assert tail & chosen.keys() <= kept | {r.key for r in stay}


def test_a_drop_plans_what_a_checkpoint_does(index: Index) -> None:
    marks, chosen = some(index, 3)
    records = table_records(index, marks)
    tables = [records[at : at + RECORD] for at in range(0, len(records), RECORD)]
    waiting = sorted(tables, key=lambda record: page_of(record[1:33], index.pages))
    tail = {record[1:33] for record in tables}
    garbage = [
        encode_tail_record(r.key, r.kv | c.KV_DELETED, r.offset, r.length)
        for r in index.scan_records()
        if r.key not in chosen and r.key not in tail
    ]
    plan, after, _ = drop_records(index, marks, 0, 1 << 20, b"".join(waiting))
    assert after == index.pages
    source = Map(bytes(ffi.buffer(index.pointer.map, index.pointer.map_length)))
    kv_offset = index.pointer.kv_offset
    wanted = checkpoint(
        source, kv_offset, index.pages, b"".join(garbage + waiting), drops=True, images=False
    )
    assert plan == wanted


def test_large_entries_leave_room_behind_them(index: Index) -> None:
    table = Table()
    sizes = [100, (1 << 24) - 2, (1 << 24) - 1, 1 << 24, 1 << 25, 70]
    at = start = 1000
    for number, size in enumerate(sizes):
        table.put(bytes([number]) * 32, 1, at, size)
        at += size + 100
    content = Map(bytes(at))
    index = Index(content, 0, 1, table, covered=ALL)
    marks = Marks(index)
    marks.add_keys(index, b"".join(bytes([n]) * 32 for n in range(len(sizes))))
    for most in (1, 2, 1 << 20):
        found = survey(index, marks, start, at)
        batches = list(rooms(index, marks, found, (start, at, at), b"", most))
        assert [length for batch in batches for _, length in batch.ranges] == [100] * len(sizes)
        assert sum(batch.bytes for batch in batches) == 100 * len(sizes)


def test_kinds_by_pages_are_all_of_them(index: Index) -> None:
    whole, parts = Marks(index), Marks(index)
    whole.add_kinds(index, range(16))
    for page in range(0, index.pages, 7):
        parts.add_kinds(index, range(16), pages=range(page, min(page + 7, index.pages)))
    assert len(whole) == len(parts) == len(list(index.scan_records()))


def test_a_live_entry_outside_the_log_is_a_fault(index: Index) -> None:
    marks, chosen = some(index, 1)
    offset = max(offset for _, offset, _ in chosen.values())
    with pytest.raises(Exception, match="leaves the file"):
        survey(index, marks, 0, offset + 1)


def test_void_entries_are_written_over_ranges(index: Index, tmp_path: Path) -> None:
    marks, _ = some(index, 2)
    start, end = 512, index.pointer.map_length
    found = survey(index, marks, start, end)
    batches = list(rooms(index, marks, found, (start, end, end), b"", 1 << 20))
    ranges = Ranges.join([batch.ranges for batch in batches])
    assert list(decode_voids(ranges.records())) == list(ranges)
    path = tmp_path / "ranges"
    path.write_bytes(b"\xff" * end)
    with open(path, "r+b") as file:
        assert ranges.write(file.fileno()) == len(ranges) > 100
    content = path.read_bytes()
    for offset, length in ranges:
        head = void_header(length)
        assert content[offset : offset + length] == head + bytes(length - len(head))
    assert content.count(b"\xff") >= end - sum(length for _, length in ranges)
    with open(path, "rb") as file:
        assert ranges.write(file.fileno()) == 0
    assert [len(part) for part in ranges.parts(100)][:-1] == [100] * (len(ranges) // 100)
    longest = max(length for _, length in ranges)
    assert {length for _, length in ranges.above(longest)} == {longest}
    assert Room._fields[:2] == ("offset", "end")
