"""Sweeping: what leaves the index, and the room between the entries that stay (native/sweep.h)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from aeordb.native._native import ffi, lib
from aeordb.native.faults import MapFault
from aeordb.native.index import Index
from aeordb.native.walk import Marks, raise_fault

_new_unset: Any = ffi.new_allocator(should_clear_after_alloc=False)


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

    `free` bytes of it are free already, in void entries or listed; `settled`: it is one void entry.
    """

    offset: int
    end: int
    free: int
    settled: bool


def survey(index: Index, marks: Marks, start: int, end: int) -> Survey:
    """Counts an index whose log goes from `start` to `end`.

    Raises WalkFault for a live entry that leaves the log, PageFault, MapFault.
    """
    out: Any = ffi.new("struct aeor_survey *")
    fault = _new_fault()
    code = lib.aeor_sweep_survey(index.pointer, marks.pointer, start, end, out, fault)
    if code != lib.AEOR_OK:
        raise_fault(code, fault)
    return Survey(out.live, out.live_bytes, out.garbage, out.garbage_bytes, tuple(out.bins))


def garbage_records(index: Index, marks: Marks, first: int, most: int) -> tuple[bytes, int]:
    """(deleted records for what is not marked in the pages from `first` on, the page to go on at).

    Ends where the pages that lose an entry hold `most` entries. What the tables have is left out.
    """
    records: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
    after: Any = ffi.new("uint64_t *")
    fault = _new_fault()
    code = lib.aeor_sweep_garbage(
        index.pointer, marks.pointer, first, index.pages, most, after, records, fault
    )
    if code != lib.AEOR_OK:
        raise_fault(code, fault)
    return _bytes(records), int(after[0])


def table_records(index: Index, marks: Marks) -> bytes:
    """All records of the index's tables, those that are not marked with the deleted flag."""
    records: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)
    if lib.aeor_sweep_tables(index.pointer, marks.pointer, records) != lib.AEOR_OK:
        raise MemoryError("no memory for index records")
    return _bytes(records)


def rooms(
    index: Index, marks: Marks, found: Survey, start: int, end: int, voids: bytes, most: int
) -> Iterator[list[Room]]:
    """The rooms of a log from `start` to `end`, in the order of their offsets, in batches.

    `found` is the survey of the same marks, `voids` what the hot tail lists, as an index takes it;
    `most` live entries are looked at together, at 40 bytes of memory each.
    Raises PageFault, MapFault.
    """
    at: Any = ffi.new("uint64_t *", start)
    for low, high, count in _windows(found.bins, start, end, most):
        last = high >= end
        items: Any = _new_unset("struct aeor_plan_item[]", max(1, count))
        number: Any = ffi.new("uint64_t *")
        fault = _new_fault()
        code = lib.aeor_sweep_extents(
            index.pointer, marks.pointer, low, high, items, count, number, fault
        )
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        # Where the next window's first entry begins is not known yet: its room waits for it.
        limit = end if last else 0
        out: Any = _new_unset("struct aeor_room[]", count + 1)
        code = lib.aeor_sweep_rooms(
            index.pointer.map,
            index.pointer.map_length,
            items,
            number[0],
            at,
            limit,
            voids,
            len(voids) // 16,
            out,
            number,
        )
        if code != lib.AEOR_OK:
            raise MapFault
        ffi.release(items)
        for first in range(0, number[0], _ROOMS_AT_ONCE):
            part = out[first : min(first + _ROOMS_AT_ONCE, number[0])]
            yield [Room(room.offset, room.end, room.free, room.settled) for room in part]


_ROOMS_AT_ONCE = 8192


def _windows(
    bins: tuple[int, ...], start: int, end: int, most: int
) -> Iterator[tuple[int, int, int]]:
    """(low, high, live entries that begin in [low, high)): some neighbouring bins each."""
    width = (end - start) // len(bins) + 1
    low, count = start, 0
    for number, held in enumerate(bins):
        if count and count + held > most:
            high = start + number * width
            yield low, high, count
            low, count = high, 0
        count += held
    yield low, max(end, low), count


def _new_fault() -> Any:
    return ffi.new("struct aeor_fault *")


def _bytes(part: Any) -> bytes:
    return ffi.buffer(part.data, part.length)[:] if part.length else b""
