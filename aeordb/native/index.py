"""One view's index: tables of newer records over the pages of a map, less what voids cover."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

from ._native import ffi, lib
from .entries import Entry, entry_fault
from .faults import MapFault, NativeFault, PageFault
from .map import Map, fetch_located
from .memory import new_unset
from .pages import page_of
from .table import RECORD, Table, check_key

SCRATCH = 260 << 10  # entries up to this total length, and so most chunks, are read in one call
PAGES_AT_ONCE = 512


# (hit, buffer, its bytes), for whoever reads next: pop and append are atomic, so that each thread
# has one of its own for the time of a read. As many are made as ever read at once.
_spare_scratch: list[tuple[Any, Any, Any]] = []


class _Covered(Enum):
    ALL = "all"


ALL: Final = _Covered.ALL
"""Every page is covered: the tables are all there is, and no page is read."""


class Record(NamedTuple):
    """An index record; `kv` is KV type and flags, offset and total length in bytes."""

    key: bytes
    kv: int
    offset: int
    length: int


class Index:
    """Finds and reads entries: the first table that knows the key answers, else its one page.

    A deleted record in a table hides the page.  Entries of pages that meet a void are dead.
    Raises PageFault for a bad page, EntryFault for a bad entry, MapFault for a cut file; any of
    them may be a writer's work in progress (engine: take the newest header and try again).
    """

    def __init__(
        self,
        map: Map,  # noqa: A002
        kv_offset: int,
        pages: int,
        tables: Table | Sequence[Table] = (),
        voids: bytes = b"",
        covered: bytes | Literal[_Covered.ALL] | None = None,
    ) -> None:
        """`voids`: (u64 offset, u64 end) little-endian; `covered`: a bit per page (pages.mark).

        A covered page is one that a flagged checkpoint writes: the tables alone answer for it.
        """
        self.tables = (tables,) if isinstance(tables, Table) else tuple(tables)
        self.pages = pages
        if len(self.tables) > lib.AEOR_INDEX_TABLES:
            raise ValueError("too many tables")
        if isinstance(covered, bytes) and len(covered) * 8 < pages:
            raise ValueError("a bit per page")
        index: Any = ffi.new("struct aeor_index *")
        index.map, index.map_length = map.pointer, map.length
        index.kv_offset, index.pages = kv_offset, pages
        for number, table in enumerate(self.tables):
            index.tables[number] = table.pointer
        index.table_count = len(self.tables)
        index.no_pages = covered is ALL
        if voids:
            voids = _rising(voids)
            index.voids, index.void_count = ffi.from_buffer("uint8_t[]", voids), len(voids) // 16
        marks: Any = None
        if isinstance(covered, bytes):
            marks = index.covered = ffi.from_buffer("uint8_t[]", covered)
        self._index = index
        self._alive = map.pointer, index.voids, voids, marks, covered

    @property
    def pointer(self) -> Any:
        """The index for the helper's calls; this object must outlive them."""
        return self._index

    def find(self, key: bytes) -> tuple[int, int, int] | None:
        """(KV type and flags, offset, total length), or None if absent or deleted."""
        hit: Any = ffi.new("struct aeor_hit *")
        code = lib.aeor_index_find(self._index, check_key(key), hit)
        if code == lib.AEOR_OK:
            return hit.kv, hit.offset, hit.total_length
        if code == lib.AEOR_ABSENT:
            return None
        raise self._fault(code, hit, key)

    def has_many(self, keys: bytes) -> list[bool]:
        """For 32-byte keys that stand one after the other whether each is there."""
        count, rest = divmod(len(keys), 32)
        if rest:
            raise ValueError("keys are 32 bytes each")
        there: Any = ffi.new("bool[]", count)
        hit: Any = ffi.new("struct aeor_hit *")
        code = lib.aeor_index_has(self._index, keys, count, there, hit)
        if code != lib.AEOR_OK:
            raise self._fault(code, hit, None)
        return list(there)

    def find_many(self, keys: bytes) -> tuple[bytes, bytes]:
        """For 32-byte keys that stand one after the other: (mask, records).

        `mask` has a byte per key, 1 if found; `records` 46 bytes per key, zeros if not found.
        """
        if len(keys) % 32:
            raise ValueError("keys are 32 bytes each")
        count = len(keys) // 32
        records = bytearray(count * RECORD)
        hit: Any = ffi.new("struct aeor_hit *")
        out = ffi.from_buffer("uint8_t[]", records)
        code = lib.aeor_index_find_many(self._index, keys, count, out, hit)
        if code != lib.AEOR_OK:
            raise self._fault(code, hit, None)
        return bytes(records[::RECORD]), bytes(records)

    def read(self, key: bytes) -> Entry | None:
        """The verified entry of `key`, or None if the index has none."""
        if len(key) != 32:
            raise ValueError("a key is 32 bytes")
        try:
            scratch = _spare_scratch.pop()
        except IndexError:
            scratch = _new_scratch()
        hit, buffer, view = scratch
        code = lib.aeor_index_read(self._index, key, buffer, SCRATCH, hit)
        if code == 0:
            start = hit.value_at
            entry = Entry(
                hit.type,
                hit.version,
                hit.flags,
                hit.compression,
                hit.time,
                hit.offset,
                view[start : start + hit.value_length],
            )
            _spare_scratch.append(scratch)
            return entry
        if code == lib.AEOR_ABSENT:
            _spare_scratch.append(scratch)
            return None
        if code == lib.AEOR_LARGE:
            index = self._index
            place = hit.offset, hit.total_length, hit.value_length
            _spare_scratch.append(scratch)
            return fetch_located(index.map, index.map_length, *place, key)
        raise self._fault(code, hit, key)

    def read_chunks(self, keys: bytes, capacity: int) -> tuple[memoryview, list[int]]:
        """The values of the first of some chunks, each checked against its address: (all of them,
        one after the other; the length of each).

        `keys` stand one after the other; the values have at most `capacity` bytes together. It
        stops before a chunk that is compressed, a system's, missing or bad: `read` says which.
        """
        count = len(keys) // 32
        out: Any = new_unset("uint8_t[]", max(1, capacity))
        lengths: Any = ffi.new("uint32_t[]", count)
        done = lib.aeor_index_chunks(self._index, keys, count, out, capacity, lengths)
        found = list(lengths[0:done])
        return memoryview(ffi.buffer(out))[: sum(found)].toreadonly(), found

    def scan(self, kv_type: int | None = None) -> Iterator[bytes]:
        """The live records (46 bytes each) of a KV type, or of all: the tables', then by page."""
        return self._scan(lib.AEOR_SCAN_LIVE if kv_type is None else kv_type, 0, self.pages)

    def scan_tables(self) -> Iterator[list[Record]]:
        """The live records of the tables."""
        found: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
        if lib.aeor_index_scan_tables(self._index, lib.AEOR_SCAN_LIVE, found) != lib.AEOR_OK:
            raise MemoryError("no memory for index records")
        if found.length:
            yield list(split_records(ffi.buffer(found.data, found.length)[:]))

    def page_records(self, page: int) -> list[Record]:
        """The live records of one page; PageFault if it is bad."""
        hit: Any = ffi.new("struct aeor_hit *")
        found: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
        live = lib.AEOR_SCAN_LIVE
        code = lib.aeor_index_scan_pages(self._index, page, page + 1, live, found, hit)
        if code != lib.AEOR_OK:
            raise self._fault(code, hit, None)
        return list(split_records(ffi.buffer(found.data, found.length)[:])) if found.length else []

    def scan_records(self, kv_type: int | None = None) -> Iterator[Record]:
        """The same, one by one."""
        for records in self.scan(kv_type):
            yield from split_records(records)

    def scan_prefix(self, prefix: bytes) -> Iterator[Record]:
        """The live records whose key begins with `prefix`, in no particular order."""
        first, last = prefix[:32].ljust(32, b"\0"), prefix[:32].ljust(32, b"\xff")
        pages = (
            (page_of(first, self.pages), page_of(last, self.pages) + 1) if self.pages else (0, 0)
        )
        for records in self._scan(lib.AEOR_SCAN_LIVE, *pages):
            for record in split_records(records):
                if record.key.startswith(prefix):
                    yield record

    def dead_records(self) -> Iterator[bytes]:
        """Deleted records for all page entries that meet a void and that no table overlays.

        A checkpoint with drops takes these entries out of their pages.
        """
        return self._scan(lib.AEOR_SCAN_KILLED, 0, self.pages)

    def _scan(self, kind: int, first: int, last: int) -> Iterator[bytes]:
        hit: Any = ffi.new("struct aeor_hit *")
        found: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
        if kind != lib.AEOR_SCAN_KILLED:
            code = lib.aeor_index_scan_tables(self._index, kind, found)
            if code != lib.AEOR_OK:
                raise MemoryError("no memory for index records")
            if found.length:
                yield ffi.buffer(found.data, found.length)[:]
        for page in range(first, last, PAGES_AT_ONCE):
            found.length = 0
            end = min(page + PAGES_AT_ONCE, last)
            code = lib.aeor_index_scan_pages(self._index, page, end, kind, found, hit)
            if code != lib.AEOR_OK:
                raise self._fault(code, hit, None)
            if found.length:
                yield ffi.buffer(found.data, found.length)[:]

    def _fault(self, code: int, hit: Any, key: bytes | None) -> NativeFault | MemoryError:
        if code == lib.AEOR_ERR_PAGE:
            return PageFault(hit.page)
        if code == lib.AEOR_ERR_MEMORY:
            return MemoryError("no memory for index records")
        if code == lib.AEOR_ERR_FAULT:
            return MapFault(hit.offset, hit.total_length)
        return entry_fault(code, hit.offset, hit.total_length, key)


def _new_scratch() -> tuple[Any, Any, Any]:
    buffer = ffi.new("uint8_t[]", SCRATCH)
    return ffi.new("struct aeor_hit *"), buffer, ffi.buffer(buffer)


def split_records(records: bytes | memoryview) -> Iterator[Record]:
    """Records that stand one after the other, one by one."""
    data = bytes(records)
    for at in range(0, len(data), RECORD):
        yield Record(
            data[at + 1 : at + 33],
            data[at + 33],
            int.from_bytes(data[at + 34 : at + 42], "little"),
            int.from_bytes(data[at + 42 : at + 46], "little"),
        )


def _rising(voids: bytes) -> bytes:
    """The voids in rising order, joined where they touch, as the helper's search needs them."""
    if len(voids) % 16:
        raise ValueError("voids are 16 bytes each")
    if lib.aeor_voids_rise(voids, len(voids) // 16):
        return voids
    joined: list[tuple[int, int]] = []
    for start, end in sorted(
        (
            int.from_bytes(voids[at : at + 8], "little"),
            int.from_bytes(voids[at + 8 : at + 16], "little"),
        )
        for at in range(0, len(voids), 16)
    ):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif start < end:
            joined.append((start, end))
    return b"".join(s.to_bytes(8, "little") + e.to_bytes(8, "little") for s, e in joined)
