"""Verification of the log, the index and path keys by the helper (native/verify.h)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from aeordb.native._native import ffi, lib
from aeordb.native.faults import EntryFault, MapFault, NodeFault, PageFault, WalkFault
from aeordb.native.index import PAGES_AT_ONCE, Index
from aeordb.native.map import Map
from aeordb.native.memory import new_unset
from aeordb.native.walk import PLACE, Marks, Walk, raise_fault

GAP: Final[int] = lib.AEOR_FOUND_GAP
ADDRESS: Final[int] = lib.AEOR_FOUND_ADDRESS
FIELDS: Final[int] = lib.AEOR_FOUND_FIELDS
TIME: Final[int] = lib.AEOR_FOUND_TIME
KIND: Final[int] = lib.AEOR_FOUND_KIND
OUTDATED: Final[int] = lib.AEOR_FOUND_OUTDATED
UNINDEXED: Final[int] = lib.AEOR_FOUND_UNINDEXED
PATH: Final[int] = lib.AEOR_FOUND_PATH
STRAY: Final[int] = lib.AEOR_FOUND_STRAY
LOST: Final[int] = lib.AEOR_FOUND_LOST
MISPLACED: Final[int] = lib.AEOR_FOUND_MISPLACED
PAGE: Final[int] = lib.AEOR_FOUND_PAGE
OVERLAP: Final[int] = lib.AEOR_FOUND_OVERLAP
COMPRESSED: Final[int] = lib.AEOR_FOUND_COMPRESSED
FILE: Final[int] = lib.AEOR_FOUND_FILE
UNREADABLE: Final[int] = lib.AEOR_ERR_FAULT

_REASONS: Final[dict[int, str]] = {
    GAP: "no entry begins there",
    ADDRESS: "its key is not the address that its content gives",
    FIELDS: "its header has a version, flags or a compression that no entry has",
    TIME: "its time was never handed out",
    KIND: "the index has it with another type or length",
    OUTDATED: "the index has an older entry of its key",
    UNINDEXED: "the index lacks it",
    PATH: "the path key of HEAD leads elsewhere, or is not there",
    STRAY: "a path key of what HEAD does not have",
    LOST: "no intact entry of its key is there",
    MISPLACED: "it is in a page that its key does not belong to, or there twice",
    PAGE: "an empty page that is not all zeros",
    OVERLAP: "it lies in a range that is listed as free",
    UNREADABLE: "it cannot be read",
    **EntryFault.REASONS,
    **NodeFault.REASONS,
}

_ENTRIES = 16_384
_PAGE_ROWS = 4096
_TABLE_ROWS = 1 << 16


# What is allocated so is filled as far as it is looked at.


class Row(NamedTuple):
    """What was found about one entry or index record; `code` as above, else an entry's or a
    record's fault. Offset and length in bytes; `kv` is of an index record."""

    code: int
    offset: int
    length: int
    type: int
    version: int
    kv: int
    key: bytes

    @property
    def reason(self) -> str:
        """Why, in words."""
        return _REASONS.get(self.code, f"code {self.code}")


class Sums(NamedTuple):
    """Counts and bytes of what was gone through; `foreign` are entries that only AeorDB makes."""

    entries: int = 0
    bytes: int = 0
    hashed: int = 0
    unindexed: int = 0
    unindexed_bytes: int = 0
    void_entries: int = 0
    void_bytes: int = 0
    foreign: int = 0
    rows: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*map(sum, zip(self, other, strict=True)))


class Window:
    """Entries that lie one after the other in the log."""

    __slots__ = ("count", "end", "entries", "start")

    def __init__(self, entries: Any, count: int, start: int, end: int) -> None:
        self.entries, self.count, self.start, self.end = entries, count, start, end

    def first_type(self) -> int:
        """The first entry's type; 0 if it is a gap."""
        return int(self.entries[0].type)

    def alone(self, number: int) -> Window:
        """A window of one of the entries."""
        entry = self.entries + number
        return Window(entry, 1, entry.offset, entry.offset + entry.length)


def log_windows(source: Map, start: int, end: int, most: int) -> Iterator[Window]:
    """The log from `start` (where an entry begins) to `end`, in windows of about `most` bytes.

    Raises MapFault.
    """
    scan: Any = ffi.new("struct aeor_log_scan *")
    scan.map, scan.map_length = source.pointer, source.length
    scan.offset, scan.end = start, end
    capacity = min(_ENTRIES, (end - start) // 64 + 1)
    count: Any = ffi.new("uint64_t *")
    while scan.offset < end:
        entries: Any = new_unset("struct aeor_log_entry[]", capacity)
        before = scan.offset
        if lib.aeor_log_window(scan, most, entries, capacity, count) != lib.AEOR_OK:
            raise MapFault(scan.offset, end - scan.offset)
        if not count[0]:
            return
        yield Window(entries, int(count[0]), before, int(scan.offset))


class Verification:
    """One verification over one index: bitmaps that its threads fill together.

    `head` and `reached`: what HEAD and what all versions reach (`head` None: path keys are not
    looked at). `skip`: what need not be hashed. `voids`: (u64 offset, u64 end) little-endian,
    rising. `roots`: `dir:` keys, joined, that the index must have if the log has them. `latest`: no
    entry has a later time (milliseconds). `sample`: the part of the chunks that is hashed; `files`:
    the records of files that a version reaches come back as rows, too. `system`: the path keys of
    system folders count as path keys.
    """

    def __init__(
        self,
        index: Index,
        *,
        head: Marks | None,
        reached: Marks,
        skip: Marks | None = None,
        voids: bytes = b"",
        roots: bytes = b"",
        latest: int,
        sample: float = 1.0,
        seed: int = 0,
        files: bool = False,
        system: bool = False,
    ) -> None:
        self.index = index
        self.seen, self.loose, self.paths = Marks(index), Marks(index), Marks(index)
        verify: Any = ffi.new("struct aeor_verify *")
        verify.index = index.pointer
        verify.seen, verify.loose = self.seen.pointer, self.loose.pointer
        verify.paths = self.paths.pointer
        verify.head = ffi.NULL if head is None else head.pointer
        verify.reached = reached.pointer
        verify.skip = ffi.NULL if skip is None else skip.pointer
        held = ffi.from_buffer("uint8_t[]", voids), ffi.from_buffer("uint8_t[]", roots)
        verify.voids, verify.void_count = held[0], len(voids) // 16
        verify.roots, verify.root_count = held[1], len(roots) // 32
        verify.latest, verify.seed = latest, seed
        verify.files, verify.system = files, system
        verify.sample = round(sample * (1 << 32))
        self._alive = head, reached, skip, held, voids, roots
        self._verify = verify

    def window(self, window: Window) -> tuple[list[Row], Sums]:
        """Verifies a window's entries; from any thread. Where the file cannot be read, each of its
        entries is tried alone."""
        capacity = lib.AEOR_VERIFY_ROWS * window.count
        rows: Any = new_unset("struct aeor_verify_row[]", capacity)
        sums: Any = ffi.new("struct aeor_verify_sums *")
        code = lib.aeor_verify_window(
            self._verify, window.entries, window.count, rows, capacity, sums
        )
        if code == lib.AEOR_OK:
            return _rows(rows, capacity, sums), _sums(sums)
        if code == lib.AEOR_ERR_MEMORY:
            raise MemoryError("no memory to verify")
        if code != lib.AEOR_ERR_FAULT:
            raise ValueError("a window that is not of this file")
        if window.count == 1:
            entry = window.entries[0]
            key = ffi.buffer(entry.key)[:]
            row = Row(UNREADABLE, entry.offset, entry.length, entry.type, entry.version, 0, key)
            return [row], Sums(1, entry.length)
        parts = [self.window(window.alone(number)) for number in range(window.count)]
        total = Sums()
        for _, part in parts:
            total = total.plus(part)
        return [row for found, _ in parts for row in found], total

    def report_strays(self) -> None:
        """From now on path keys of what HEAD does not have are found, too."""
        self._verify.strays = True

    def page_ranges(self) -> range:
        """The first page of each range that :meth:`pages` takes."""
        return range(0, self.index.pages, PAGES_AT_ONCE)

    def pages(self, first: int) -> tuple[list[Row], Sums]:
        """Goes through a range of the index's pages, once all windows are done; from any thread.

        Its live records are the entries of the sums. Raises PageFault, MapFault.
        """
        rows: Any = new_unset("struct aeor_verify_row[]", _PAGE_ROWS)
        sums: Any = ffi.new("struct aeor_verify_sums *")
        bad: Any = ffi.new("uint64_t *")
        last = min(first + PAGES_AT_ONCE, self.index.pages)
        code = lib.aeor_verify_pages(self._verify, first, last, rows, _PAGE_ROWS, sums, bad)
        if code == lib.AEOR_ERR_PAGE:
            raise PageFault(int(bad[0]))
        if code != lib.AEOR_OK:
            raise MapFault
        return _rows(rows, _PAGE_ROWS, sums), _sums(sums)

    def tables(self) -> tuple[list[Row], Sums]:
        """The same for the records that are not in pages."""
        capacity = min(_TABLE_ROWS, 2 * sum(len(table) for table in self.index.tables) + 1)
        rows: Any = new_unset("struct aeor_verify_row[]", capacity)
        sums: Any = ffi.new("struct aeor_verify_sums *")
        lib.aeor_verify_tables(self._verify, rows, capacity, sums)
        return _rows(rows, capacity, sums), _sums(sums)

    def places(self, places: bytes) -> list[Row]:
        """Compares folders' path keys with the index: rows of `list_places`.

        A row's key is the path key, its `length` the folder's number. Raises MapFault.
        """
        count = len(places) // PLACE
        rows: Any = new_unset("struct aeor_verify_row[]", max(1, count))
        sums: Any = ffi.new("struct aeor_verify_sums *")
        code = lib.aeor_verify_places(self._verify, places, count, rows, count, sums)
        if code == lib.AEOR_ERR_MEMORY:
            raise MemoryError("no memory to verify")
        if code != lib.AEOR_OK:
            raise MapFault
        return _rows(rows, count, sums)


def check_pages(index: Index) -> list[int]:
    """The pages that do not hold. Raises MapFault."""
    bad: list[int] = []
    verify: Any = ffi.new("struct aeor_verify *")
    verify.index = index.pointer
    sums: Any = ffi.new("struct aeor_verify_sums *")
    page: Any = ffi.new("uint64_t *")
    first = 0
    while first < index.pages:
        last = min(first + PAGES_AT_ONCE, index.pages)
        code = lib.aeor_verify_pages(verify, first, last, ffi.NULL, 0, sums, page)
        if code == lib.AEOR_ERR_PAGE:
            bad.append(int(page[0]))
            first = bad[-1] + 1
        elif code == lib.AEOR_OK:
            first = last
        else:
            raise MapFault
    return bad


class Faults:
    """What a walk that goes on behind each fault has met."""

    def __init__(self, walk: Walk, capacity: int) -> None:
        self._walk = walk
        self._faults: Any = ffi.new("struct aeor_fault[]", capacity)
        code = lib.aeor_walk_collect(walk.pointer, self._faults, capacity)
        if code != lib.AEOR_OK:
            raise_fault(code, ffi.new("struct aeor_fault *"))

    def __len__(self) -> int:
        """How many there were, perhaps more than are kept."""
        return int(lib.aeor_walk_collected(self._walk.pointer))

    def __iter__(self) -> Iterator[WalkFault]:
        for number in range(min(len(self), len(self._faults))):
            fault = self._faults[number]
            yield WalkFault(fault.code, fault.type, ffi.buffer(fault.key)[:], fault.offset)


def _rows(rows: Any, capacity: int, sums: Any) -> list[Row]:
    return [
        Row(
            row.code,
            row.offset,
            row.length,
            row.type,
            row.version,
            row.kv,
            ffi.buffer(row.key)[:],
        )
        for row in rows[0 : min(sums.rows, capacity)]
    ]


def _sums(sums: Any) -> Sums:
    return Sums(
        sums.entries,
        sums.bytes,
        sums.hashed,
        sums.unindexed,
        sums.unindexed_bytes,
        sums.void_entries,
        sums.void_bytes,
        sums.foreign,
        sums.rows,
    )
