"""Sweeping: what leaves the index, and the room between the entries that stay (native/sweep.h)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import accumulate, chain
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from aeordb.native._native import ffi, lib
from aeordb.native.faults import CountFault, MapFault
from aeordb.native.index import Index
from aeordb.native.memory import new_unset
from aeordb.native.pages import Checkpoint, new_checkpoint
from aeordb.native.table import RECORD, check_records
from aeordb.native.walk import Marks, raise_fault

T = TypeVar("T")
R = TypeVar("R")
# A survey goes through the pages in so many parts, or fewer.
_PARTS: Final = 8
_PAGES_LEAST: Final = 512


class Survey(NamedTuple):
    """What an index holds: marked entries are live, all others that count garbage; bytes are those
    of their entries. `bins`: live entries in each 4,096th of the log."""

    live: int
    live_bytes: int
    garbage: int
    garbage_bytes: int
    bins: tuple[int, ...]


class Room(NamedTuple):
    """A range of the log without a live entry.

    `free` bytes of it are free already, in void entries or listed; `settled`: it is one void entry;
    `deletions`: deletion entries stand in it.
    """

    offset: int
    end: int
    free: int
    settled: bool
    deletions: bool


class InTurn(Protocol):
    """The results of `work` for all items, in their order; some may be made ahead in threads."""

    def __call__(self, items: Iterable[T], work: Callable[[T], R], /) -> Iterator[R]: ...


def one_by_one(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """All in the calling thread."""
    return map(work, items)


def survey(
    index: Index, marks: Marks, start: int, end: int, *, in_turn: InTurn = one_by_one
) -> Survey:
    """Counts an index whose log goes from `start` to `end`; the work is cut into parts.

    Raises WalkFault for a live entry that leaves the log, PageFault, MapFault.
    """

    def count(pages: range) -> Any:
        out: Any = ffi.new("struct aeor_survey *")
        fault = _new_fault()
        first, last = pages.start, pages.stop
        code = lib.aeor_sweep_survey(
            index.pointer, marks.pointer, first, last, start, end, out, fault
        )
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        return out

    sums: Any = ffi.new("struct aeor_survey *")
    for part in in_turn(_page_parts(index), count):
        lib.aeor_survey_add(sums, part)
    return Survey(sums.live, sums.live_bytes, sums.garbage, sums.garbage_bytes, tuple(sums.bins))


def drop_records(
    index: Index, marks: Marks, first: int, most: int, waiting: bytes
) -> tuple[Checkpoint | None, int, bytes]:
    """(checkpoint, the page to go on at, those of `waiting` that belong to the pages before).

    The checkpoint takes what is not marked out of the pages from `first` on; it ends where the
    pages that lose an entry hold `most` entries. `waiting` are the tables' records of these and
    later pages, by page, which go along. It is None if no entry leaves and all of them stay.
    """
    result: Any = ffi.gc(ffi.new("struct aeor_checkpoint *"), lib.aeor_checkpoint_free)
    used: Any = ffi.new("uint64_t *")
    after: Any = ffi.new("uint64_t *")
    drops: Any = ffi.new("_Bool *")
    fault = _new_fault()
    count = len(waiting) // RECORD
    last = index.pages
    with check_records(waiting) as records:
        code = lib.aeor_sweep_drop(
            index.pointer,
            marks.pointer,
            first,
            last,
            most,
            records,
            count,
            used,
            after,
            drops,
            result,
            fault,
        )
    if code != lib.AEOR_OK:
        raise_fault(code, fault)
    plan = new_checkpoint(result) if drops[0] else None
    return plan, int(after[0]), waiting[: used[0] * RECORD]


def table_records(index: Index, marks: Marks) -> bytes:
    """All records of the index's tables, those that are not marked with the deleted flag."""
    records: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
    if lib.aeor_sweep_tables(index.pointer, marks.pointer, records) != lib.AEOR_OK:
        raise MemoryError("no memory for index records")
    return _bytes(records)


class Ranges:
    """Free ranges that are to be written as void entries, none of them longer than SMALL_ROOM."""

    def __init__(self, data: Any, count: int) -> None:
        self._data = data
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(offset, length) of each."""
        for i in range(self._count):
            yield int(self._data[i].offset), int(self._data[i].length)

    @classmethod
    def join(cls, parts: list[Ranges]) -> Ranges:
        """Those of some."""
        count = sum(len(part) for part in parts)
        data: Any = new_unset("struct aeor_range[]", max(1, count))
        at = 0
        for part in parts:
            ffi.memmove(data + at, part._data, len(part) * ffi.sizeof("struct aeor_range"))
            at += len(part)
        return cls(data, count)

    def parts(self, most: int) -> Iterator[Ranges]:
        """The same, at most `most` at a time."""
        for first in range(0, self._count, most):
            end = min(first + most, self._count)
            yield Ranges(self._data[first:end], end - first)

    def above(self, least: int) -> list[tuple[int, int]]:
        """(offset, length) of those of `least` bytes or more."""
        out: Any = new_unset("struct aeor_range[]", max(1, self._count))
        count = lib.aeor_ranges_above(self._data, self._count, least, out)
        return [(int(one.offset), int(one.length)) for one in out[0:count]]

    def records(self) -> bytes:
        """The ranges as void records of a hot tail."""
        out: Any = new_unset("uint8_t[]", max(1, lib.AEOR_VOID_RECORD * self._count))
        lib.aeor_ranges_records(self._data, self._count, out)
        records: bytes = ffi.buffer(out, lib.AEOR_VOID_RECORD * self._count)[:]
        return records

    def write(self, fd: int) -> int:
        """Writes void entries over the ranges of an open file; how many before an error."""
        return int(lib.aeor_ranges_write(fd, self._data, self._count, _headers()))


class Rooms(NamedTuple):
    """Rooms of a stretch of the log: `bytes` in all, of which `reclaimed` were not free.

    `ranges` are the short ones; `special` are longer, one void entry already, or hold deletions.
    """

    bytes: int
    reclaimed: int
    ranges: Ranges
    special: list[Room]


def rooms(
    index: Index,
    marks: Marks | None,
    found: Survey,
    log: tuple[int, int, int],
    voids: bytes,
    most: int,
    *,
    in_turn: InTurn = one_by_one,
) -> Generator[Rooms, None, None]:
    """The rooms of a log, in the order of their offsets, a stretch at a time.

    `log` is where the log starts, where it ended for the survey `found`, and where it ends; `marks`
    are those of the survey, or None if all that the index has is live. `voids`: what the hot tail
    lists, as an index takes it. `most` live entries are looked at together, at 8 bytes of memory
    each. Raises PageFault, MapFault, CountFault.
    """
    start, surveyed, end = log
    width = (surveyed - start) // len(found.bins) + 1
    at: Any = ffi.new("uint64_t *", start)
    for bins in _windows(found.bins, width, most):
        low = start + bins.start * width
        items, total, large = _gather(index, marks, found, (start, width), bins, in_turn)
        for first in range(0, total, _ITEMS_AT_ONCE):
            part = min(_ITEMS_AT_ONCE, total - first)
            # Where the next entry begins is not known yet: its room waits for it.
            yield _sort_out(index, (low, items + first, part), large, at, 0, voids)
        ffi.release(items)
    yield _sort_out(index, (start, ffi.NULL, 0), b"", at, end, voids)


_ITEMS_AT_ONCE = 1 << 16
_SPAN_MAX: Final = 1 << 40


def _windows(bins: tuple[int, ...], width: int, most: int) -> Iterator[range]:
    """Some neighbouring bins each, of `most` entries if one alone has no more."""
    low = count = 0
    for number, held in enumerate(bins):
        wide = number > low and (number + 1 - low) * width > _SPAN_MAX
        if wide or (count and count + held > most):
            yield range(low, number)
            low, count = number, 0
        count += held
    yield range(low, len(bins))


def _gather(
    index: Index,
    marks: Marks | None,
    found: Survey,
    log: tuple[int, int],
    bins: range,
    in_turn: InTurn,
) -> tuple[Any, int, bytes]:
    """(items, how many, large ones): the live entries that begin in these bins, by offset."""
    ends = list(accumulate(found.bins[bins.start : bins.stop]))
    items: Any = new_unset("uint64_t[]", max(1, ends[-1]))
    following: Any = ffi.new("uint64_t[]", [0, *ends[:-1]])
    limits: Any = ffi.new("uint64_t[]", ends)
    gather: Any = ffi.new("struct aeor_gather *")
    gather.start, gather.width = log
    gather.first, gather.bins, gather.low = bins.start, len(bins), log[0] + bins.start * log[1]
    gather.next, gather.ends, gather.items = following, limits, items
    pointer = ffi.NULL if marks is None else marks.pointer

    def work(pages: range) -> bytes:
        large: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
        fault = _new_fault()
        first, last = pages.start, pages.stop
        code = lib.aeor_sweep_extents(index.pointer, pointer, first, last, gather, large, fault)
        if code == lib.AEOR_ERR_ARGUMENT:
            raise CountFault
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        return _bytes(large)

    rows = array("Q", b"".join(in_turn(_page_parts(index), work)))
    pairs = sorted(zip(rows[::2], rows[1::2], strict=True))
    large = array("Q", chain.from_iterable(pairs)).tobytes()
    return items, int(lib.aeor_sweep_order(gather)), large


def _page_parts(index: Index) -> list[range]:
    """The pages in parts for threads; the tables come along with the first."""
    step = index.pages // _PARTS + _PAGES_LEAST
    return [range(at, at + step) for at in range(0, max(1, index.pages), step)]


def _sort_out(
    index: Index, items: tuple[int, Any, int], large: bytes, at: Any, limit: int, voids: bytes
) -> Rooms:
    held: Any = ffi.new("uint64_t *")
    count = items[2]
    out: Any = new_unset("struct aeor_room[]", count + 1)
    code = lib.aeor_sweep_rooms(
        index.pointer.map,
        index.pointer.map_length,
        *items,
        ffi.cast("struct aeor_range *", ffi.from_buffer(large)),
        len(large) // 16,
        at,
        limit,
        voids,
        len(voids) // 16,
        out,
        held,
    )
    if code != lib.AEOR_OK:
        raise MapFault
    ranges: Any = new_unset("struct aeor_range[]", count + 1)
    special: Any = new_unset("struct aeor_room[]", count + 1)
    sums: Any = ffi.new("struct aeor_sorted *")
    lib.aeor_sweep_sort(out, held[0], ranges, special, sums)
    rows = [
        Room(room.offset, room.end, room.free, room.settled, room.deletions)
        for room in special[0 : sums.special]
    ]
    return Rooms(sums.bytes, sums.reclaimed, Ranges(ranges, sums.small), rows)


_loaded_headers: Any = None


def _headers() -> Any:
    """The headers of void entries that were made so far, by length."""
    global _loaded_headers
    if _loaded_headers is None:
        _loaded_headers = ffi.new("uint8_t[]", 64 * (lib.AEOR_SMALL_ROOM + 1))
    return _loaded_headers


def _new_fault() -> Any:
    return ffi.new("struct aeor_fault *")


def _bytes(part: Any) -> bytes:
    return ffi.buffer(part.data, part.length)[:] if part.length else b""
