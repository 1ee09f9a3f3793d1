"""Lookups through tables, pages and voids, on made-up blocks and on AeorDB's own files."""

import mmap
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.native import pages
from aeordb.native.entries import Entry
from aeordb.native.faults import EntryFault, PageFault
from aeordb.native.index import ALL, SCRATCH, Index, split_records
from aeordb.native.log import rebuild_index, scan_log
from aeordb.native.map import Map
from aeordb.native.table import Table
from tests.kit.fixtures import DATABASES, EXPORTS, PATCHES, fixture_path

from . import bits

KEYS = [bits.key_of(str(i)) for i in range(60)]
COUNT = 3
LOCATIONS = st.tuples(
    st.sampled_from([0, 1, 4, 0x20, 0x24]), st.integers(0, 500), st.integers(1, 100)
)
ROWS = st.dictionaries(st.sampled_from(KEYS), LOCATIONS, max_size=30)
VOIDS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 90)), max_size=6)
Rows = dict[bytes, bits.Location]


def pack(voids: list[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack("<QQ", start, start + length) for start, length in voids)


@given(st.lists(ROWS, max_size=4), ROWS, VOIDS, st.sets(st.integers(0, COUNT - 1)), st.booleans())
def test_layers(
    tables: list[Rows], paged: Rows, voids: list[tuple[int, int]], covered: set[int], all_: bool
) -> None:
    """Each key is answered by the first table that knows it, else by its page."""
    by_page: list[list[tuple[bytes, bits.Location]]] = [[] for _ in range(COUNT)]
    for row in paged.items():
        by_page[bits.page_of(row[0], COUNT)].append(row)
    block = b"".join(bits.page(rows) for rows in by_page)
    bitmap = bytes([sum(1 << page for page in covered)])

    killed = {
        key: where
        for key, where in paged.items()
        for start, length in voids
        if length and start < where[1] + where[2] and where[1] < start + length
    }
    model: Rows = {
        key: where
        for key, where in paged.items()
        if not all_ and bits.page_of(key, COUNT) not in covered and key not in killed
    }
    for table in reversed(tables):
        model.update(table)
    live = {key: where for key, where in model.items() if not where[0] & bits.DELETED}

    index = Index(
        Map(block),
        0,
        COUNT,
        [Table.from_records(bits.records(table)) for table in tables],
        pack(voids),
        ALL if all_ else bitmap,
    )
    assert {key: index.find(key) for key in KEYS} == {key: live.get(key) for key in KEYS}
    mask, found = index.find_many(b"".join(KEYS))
    assert mask == bytes(key in live for key in KEYS)
    assert index.has_many(b"".join(KEYS)) == [key in live for key in KEYS]
    zeros = bytes(46)
    assert found == b"".join(bits.record(key, *live[key]) if key in live else zeros for key in KEYS)
    for kind in (None, 0, 4):
        rows = [row for records in index.scan(kind) for row in bits.split(records)]
        assert len(rows) == len(dict(rows))
        wanted = {key: where for key, where in live.items() if kind in (None, where[0] & 15)}
        assert dict(rows) == wanted
    for prefix in (KEYS[0][:4], KEYS[1][:1], b"", KEYS[2]):
        assert {record.key for record in index.scan_prefix(prefix)} == {
            key for key in live if key.startswith(prefix)
        }
    dead = [row for records in index.dead_records() for row in bits.split(records)]
    hidden = {key for table in tables for key in table}
    assert dict(dead) == {
        key: (kv | bits.DELETED, offset, length)
        for key, (kv, offset, length) in killed.items()
        if not all_ and bits.page_of(key, COUNT) not in covered and key not in hidden
    }


def database(value: bytes, kind: int = 1, *, in_table: bool = False) -> tuple[bytearray, Index]:
    """One entry behind a block of one page, and its index."""
    image = bits.entry(kind, KEYS[0], value, 77)
    row = (KEYS[0], (0, bits.PAGE, len(image)))
    data = bytearray(bits.page([] if in_table else [row]) + image)
    table = Table.from_records(bits.records(dict([row] if in_table else [])))
    return data, Index(Map(data), 0, 1, table)


@pytest.mark.parametrize("in_table", [False, True])
@pytest.mark.parametrize("size", [0, 1, 900, SCRATCH - 96, SCRATCH - 95, SCRATCH - 94, 262_144])
def test_read(size: int, in_table: bool) -> None:
    value = bytes(i * 7 % 251 for i in range(size))
    _, index = database(value, 2, in_table=in_table)
    for _ in range(2):  # the second time with a used scratch buffer
        assert index.read(KEYS[0]) == Entry(2, 0, 0, 0, 77, bits.PAGE, value)
        assert index.read(KEYS[1]) is None


@pytest.mark.parametrize("size", [10, SCRATCH])
def test_read_of_a_damaged_entry(size: int) -> None:
    """Any flipped bit in what is hashed or says where it is; then it reads again."""
    data, index = database(bytes(size))
    places = [0, 5, 7, 10, 11, 14, 15, 18, 27, 30, *range(31, 96), 95 + size - 1]
    for at in places:
        data[bits.PAGE + at] ^= 0x40
        with pytest.raises(EntryFault) as caught:
            index.read(KEYS[0])
        assert caught.value.offset == bits.PAGE
        assert caught.value.key == KEYS[0]
        data[bits.PAGE + at] ^= 0x40
    assert index.read(KEYS[0]) is not None


@pytest.mark.parametrize(
    ("offset", "length", "reason"),
    [
        (0, 105, "no entry"),
        (bits.PAGE, 104, "lengths"),
        (bits.PAGE, 94, "lengths"),
        (bits.PAGE, 0, "lengths"),
        (bits.PAGE + 1, 105, "leaves"),
        (bits.PAGE, 2**32 - 1, "leaves"),
        (2**64 - 1, 105, "leaves"),
        (2**64 - 105, 105, "leaves"),
    ],
)
def test_read_of_a_wrong_location(offset: int, length: int, reason: str) -> None:
    data, _ = database(bytes(10))
    table = Table.from_records(bits.record(KEYS[0], 0, offset, length))
    with pytest.raises(EntryFault, match=reason):
        Index(Map(data), 0, 1, table).read(KEYS[0])


def test_read_of_another_entry() -> None:
    data, _ = database(bytes(10))
    table = Table.from_records(bits.record(KEYS[1], 0, bits.PAGE, 105))
    with pytest.raises(EntryFault, match="another key"):
        Index(Map(data), 0, 1, table).read(KEYS[1])


@pytest.mark.parametrize(("offset", "count"), [(0, 2), (1, 1), (2**64 - 1, 1), (2**63, 2**40)])
def test_pages_outside_the_map(offset: int, count: int) -> None:
    index = Index(Map(bytes(bits.PAGE)), offset, count)
    with pytest.raises(PageFault) as caught:
        index.find(b"\xff" * 32)
    assert caught.value.page == count - 1
    with pytest.raises(PageFault):
        list(index.scan())


def test_no_pages_at_all() -> None:
    index = Index(Map(b""), 0, 0)
    assert index.find(KEYS[0]) is None
    assert list(index.scan()) == []
    assert list(index.scan_prefix(b"abcd")) == []


def test_a_table_is_seen_as_it_grows() -> None:
    table = Table()
    index = Index(Map(b""), 0, 0, table)
    for number, key in enumerate(KEYS):
        assert index.find(key) is None
        table.put(key, 0, number, 95)
        assert index.find(key) == (0, number, 95)
    table.put(KEYS[5], 0x20, 1, 95)
    assert index.find(KEYS[5]) is None


def test_arguments() -> None:
    index = Index(Map(b""), 0, 0)
    for use in (index.find, index.read, index.has_many, index.find_many):
        with pytest.raises(ValueError, match="32 bytes"):
            use(bytes(31))
    with pytest.raises(ValueError, match="too many"):
        Index(Map(b""), 0, 0, [Table()] * 5)
    with pytest.raises(ValueError, match="a bit per page"):
        Index(Map(b""), 0, 9, (), b"", b"\0")
    with pytest.raises(ValueError, match="16 bytes"):
        Index(Map(b""), 0, 0, (), bytes(17))


@dataclass
class Opened:
    """A file of AeorDB's, mapped, with its index."""

    mapped: mmap.mmap
    data: Map
    index: Index
    log: int
    end: int
    head: bytes


def opened(name: str) -> Opened:
    with fixture_path(name).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    slots = [mapped[at : at + 256] for at in (0, 256)]
    slot = max(slots, key=lambda slot: struct.unpack_from("<Q", slot, 7)[0])
    start, length = struct.unpack_from("<QQ", slot, 31)
    end = struct.unpack_from("<Q", slot, 122)[0]
    tail, voids = b"", []
    if mapped[end : end + 5] == bytes.fromhex("AE017DB10D"):
        count, void_count = struct.unpack_from("<II", mapped, end + 6)
        tail = mapped[end + 18 : end + 18 + 46 * count]
        places = (end + 18 + 46 * count + 13 * i for i in range(void_count))
        voids = [struct.unpack_from("<QI", mapped, at + 1) for at in places]
    data = Map(mapped)
    index = Index(data, start, length // bits.PAGE, Table.from_records(tail), pack(voids))
    return Opened(mapped, data, index, start + length, end, slot[65:97])


@pytest.mark.parametrize("name", DATABASES + EXPORTS + PATCHES)
def test_every_entry_of_aeordbs_files(name: str) -> None:
    """Each live record reads back, and is what a rebuild from the log finds."""
    file = opened(name)
    rebuilt = rebuild_index(file.data, file.log, len(file.mapped))
    found = 0
    for record in file.index.scan_records():
        entry = file.index.read(record.key)
        assert entry is not None
        assert (entry.offset, bits.KV_TYPE[entry.type]) == (record.offset, record.kv & 15)
        assert rebuilt.table.get(record.key) == record[1:]
        found += 1
    assert found
    assert file.index.read(file.head) is not None
    stale_tail = name == "dirty"
    assert (rebuilt.end == file.end) != stale_tail
    gaps = [e for batch in scan_log(file.data, file.log, rebuilt.end) for e in batch if not e.type]
    assert bool(gaps) == (name == "voids-reused")

    extra = {
        record.key
        for record in split_records(rebuilt.table.records())
        if not record.kv & bits.DELETED and file.index.find(record.key) is None
    }
    # A gc of AeorDB's leaves the dead entries' bytes, so a scan finds them; a crash, newer ones.
    assert bool(extra) == (name in ("voids", "voids-reused", "dirty"))


def test_what_aeordb_collected_leaves_the_pages() -> None:
    file = opened("voids")
    dead = b"".join(file.index.dead_records())
    assert len(dead) // 46 == 761
    result = pages.checkpoint(file.data, 512, 45, dead, drops=True)
    kept = [
        row
        for at in range(0, len(result.page_bytes), bits.PAGE)
        for row in bits.rows_of(result.page_bytes[at : at + bits.PAGE])
    ]
    assert not {key for key, _ in kept} & {key for key, _ in bits.split(dead)}
    assert all(file.index.find(key) == where for key, where in kept)
