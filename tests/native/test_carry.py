"""Plans, windows and new KV blocks, against plain Python."""

import random

import pytest

from aeordb.native.carry import Block, Image, Plan, Window
from aeordb.native.faults import WalkFault
from aeordb.native.index import ALL, Index
from aeordb.native.map import Map
from aeordb.native.pages import build_pages
from aeordb.native.table import Table
from aeordb.native.walk import Marks, Walk
from tests.kit.layout import LOG_START, Entry, read_entry
from tests.kit.values import path_key
from tests.native import bits
from tests.native.trees import CHUNK, FILE, SYMLINK, Forest


def forest(count: int) -> Forest:
    f = Forest()
    for i in range(count):
        f.chunk(b"%d:" % i * (i % 50 + 1))
        f.file(f"/{i}", bits.key_of("none"))
        f.symlink(f"/link-{i}")
    return f


def entry_at(data: bytes, offset: int) -> Entry:
    """The reader wants a file, in which no entry lies before the log."""
    return read_entry(bytes(LOG_START) + data, LOG_START + offset)


def all_marks(f: Forest, index: Index) -> Marks:
    marks = Marks(index)
    walk = Walk(index, marks)
    for kind in (CHUNK, FILE, SYMLINK):
        keys = [key for key in f.entries if f.kinds[key] == bits.KV_TYPE[kind]]
        walk.add(kind, b"".join(keys), alone=True)
    return marks


def windows(plan: Plan, most: int) -> list[Window]:
    found: list[Window] = []
    while (first := found[-1].end if found else 0) < plan.count:
        found.append(plan.window(first, most))
    return found


def carried(plan: Plan, most: int) -> tuple[bytes, list[tuple[bytes, bits.Location]]]:
    """The bytes of all windows, and their records with offsets from the first."""
    image, data, rows = Image(), b"", []
    for window in windows(plan, most):
        plan.carry(window, image)
        for key, (kv, offset, length) in bits.split(bytes(image.index_records())):
            rows.append((key, (kv, offset + len(data), length)))
        data += bytes(image.data())
    return data, rows


@pytest.mark.parametrize("pages", [0, 40])
def test_entries_come_in_the_order_of_their_offsets(pages: int) -> None:
    f = forest(700)
    index = f.index(pages)
    plan = Plan(index, all_marks(f, index))
    assert plan.count == plan.entries == 2_100
    assert [plan.counts[kv] for kv in (0, 1, 9)] == [700] * 3
    log = bytes(index._alive[0])[pages * bits.PAGE :]  # type: ignore[arg-type]
    for most in (1, 1_000, 1 << 30):
        data, rows = carried(plan, most)
        assert data == log
        assert plan.bytes == len(log)
        for key, (kv, offset, length) in rows:
            entry = entry_at(data, offset)
            assert (entry.key, entry.total, bits.KV_TYPE[entry.type]) == (key, length, kv)


def test_windows_hold_what_they_promise() -> None:
    f = forest(50)
    index = f.index()
    plan = Plan(index, all_marks(f, index))
    for window in windows(plan, 2_000):
        assert window.bytes <= 2_000 or window.entries == 1
    assert windows(plan, 0)[-1].end == plan.count


def test_path_keys_and_system_flags() -> None:
    f = forest(30)
    index = f.index(2)
    marks = all_marks(f, index)
    some = Marks(index)
    walk = Walk(index, some)
    files = [f.file(f"/{i}", bits.key_of("none")) for i in range(0, 30, 2)]
    links = [f.symlink(f"/link-{i}") for i in range(0, 30, 3)]
    walk.add(FILE, b"".join(files), alone=True)
    walk.add(SYMLINK, b"".join(links), alone=True)
    plan = Plan(index, marks, paths=some, system=some)
    data, rows = carried(plan, 3_000)
    assert plan.entries == len(rows) == 90 + len(files) + len(links)
    assert plan.bytes == len(data)
    entries = {key: entry_at(data, offset) for key, (_, offset, _) in rows}
    assert all(entry.intact for entry in entries.values())
    for kind, keys, name in ((FILE, files, "/{}"), (SYMLINK, links, "/link-{}")):
        step = 2 if kind == FILE else 3
        for i, key in enumerate(keys):
            path = entries.pop(path_key(kind, name.format(i * step)))
            origin = entries.pop(key)
            assert (path.value, path.time) == (origin.value, origin.time)
            assert path.flags & origin.flags & 1
    assert not any(entry.flags for entry in entries.values())


def test_every_byte_but_the_time_is_checked() -> None:
    """And the version and flags, which no hash covers."""
    f = Forest()
    key = f.chunk(b"value")
    whole = f.entries[key]
    for at in range(len(whole)):
        f.entries[key] = whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :]
        index = f.index()
        plan = Plan(index, all_marks(f, index))
        if at in (4, 6, 9) or 19 <= at < 27:
            plan.carry(plan.window(0, 1), Image())
            continue
        with pytest.raises(WalkFault) as caught:
            plan.carry(plan.window(0, 1), Image())
        assert caught.value.key == key


def test_offsets_outside_the_file() -> None:
    f = Forest()
    key = f.chunk(b"value")
    for offset, length in ((1 << 40, 100), (0, 101), (1, 100), ((1 << 64) - 1, 100), (0, 94)):
        table = Table.from_records(bits.record(key, 0, offset, length))
        index = Index(Map(f.entries[key]), 0, 0, table, b"", ALL)
        with pytest.raises(WalkFault):
            Plan(index, all_marks(f, index))


def test_older() -> None:
    f = forest(20)
    index = f.index()
    plan = Plan(index, all_marks(f, index))
    assert [plan.older(time) for time in (0, 1, 30, 60, 100)] == [0, 1, 30, 60, 60]


def test_a_block_is_what_a_bulk_build_makes() -> None:
    rng = random.Random(1)
    for count, pages in ((0, 1), (1, 1), (40, 1), (500, 45), (2_000, 45)):
        rows = {bits.key_of(f"{count}:{i}"): (i % 5, 100 * i, 95 + i) for i in range(count)}
        records = bits.records(rows)
        memory = bytearray(pages * bits.PAGE + 7)
        block = Block(memory, pages)
        at = 0
        while at < count:
            step = rng.randint(1, 90)
            block.insert(records[46 * at : 46 * (at + step)])
            at += step
        overflow = block.seal()
        block.close()
        expected, over, _ = build_pages(records, pages)
        assert bytes(memory) == bytes(expected) + bytes(7)
        assert sorted(bits.split(overflow)) == sorted(bits.split(over))


def test_a_base_is_added_to_offsets() -> None:
    memory = bytearray(bits.PAGE)
    block = Block(memory, 1)
    block.insert(bits.record(bits.key_of("a"), 3, 5, 99), 1_000)
    block.seal()
    assert bits.rows_of(bytes(memory)) == [(bits.key_of("a"), (3, 1_005, 99))]


def test_a_key_twice_is_a_fault() -> None:
    block = Block(bytearray(bits.PAGE), 1)
    record = bits.record(bits.key_of("a"), 3, 5, 99)
    block.insert(record)
    with pytest.raises(WalkFault) as caught:
        block.insert(record)
    assert (caught.value.code, caught.value.key) == (-56, bits.key_of("a"))


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="2 pages"):
        Block(bytearray(2 * bits.PAGE - 1), 2)
    f = forest(5)
    index, other = f.index(), f.index(3)
    plan = Plan(index, all_marks(f, index))
    with pytest.raises(ValueError, match="fit the index"):
        plan.carry(Window(0, 5, 100, 5), Image())
    with pytest.raises(ValueError, match="fit the index"):
        Plan(index, all_marks(f, other))
