"""Carrying entries into an export or a patch: plan, windows, the new index (native/carry.h)."""

from __future__ import annotations

from typing import Any, NamedTuple

from aeordb.native._native import ffi, lib
from aeordb.native.index import Index
from aeordb.native.memory import new_unset
from aeordb.native.pages import PAGE
from aeordb.native.table import RECORD, check_records
from aeordb.native.walk import Marks, raise_fault


class Window(NamedTuple):
    """Items `first` to `end` - 1 of a plan: the bytes and entries that they make."""

    first: int
    end: int
    bytes: int
    entries: int


class Plan:
    """The entries of `marks` in the order of their offsets; 16 bytes of memory for each.

    Records whose slot is in `paths` get a path key's entry beside their own, with the same value
    and time; entries whose slot is in `system` get the system flag.
    Raises WalkFault, PageFault, MapFault.
    """

    def __init__(
        self,
        index: Index,
        marks: Marks,
        *,
        paths: Marks | None = None,
        system: Marks | None = None,
    ) -> None:
        self._index = index
        self._paths, self._system = paths, system
        self.count = len(marks)
        self._items: Any = new_unset("struct aeor_plan_item[]", max(1, self.count))
        sums: Any = ffi.new("struct aeor_plan_sums *")
        fault: Any = ffi.new("struct aeor_fault *")
        code = lib.aeor_plan_fill(
            index.pointer, marks.pointer, _pointer(paths), self._items, self.count, sums, fault
        )
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        self.counts = [int(number) for number in sums.counts]
        self.bytes = sum(sums.bytes) + int(sums.path_bytes)
        self.entries = self.count + int(sums.path_count)

    def window(self, first: int, most: int) -> Window:
        """The window from item `first` on: at least one item, else not above `most` bytes."""
        size: Any = ffi.new("uint64_t[2]")
        end = lib.aeor_plan_window(
            self._items, self.count, first, _pointer(self._paths), most, size, size + 1
        )
        return Window(first, int(end), int(size[0]), int(size[1]))

    def older(self, time: int) -> int:
        """How many of the entries are not later than `time` (milliseconds). Reads their headers."""
        count: Any = ffi.new("uint64_t *")
        fault: Any = ffi.new("struct aeor_fault *")
        code = lib.aeor_plan_older(self._index.pointer, self._items, self.count, time, count, fault)
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        return int(count[0])

    def carry(self, window: Window, image: Image) -> None:
        """Fills `image` with a window's entries, each verified there.

        Raises WalkFault with the entry's key, PageFault, MapFault.
        """
        image.reserve(window.bytes, window.entries)
        latest: Any = ffi.new("int64_t *")
        fault: Any = ffi.new("struct aeor_fault *")
        code = lib.aeor_carry(
            self._index.pointer,
            self._items + window.first,
            window.end - window.first,
            _pointer(self._paths),
            _pointer(self._system),
            image.buffer,
            window.bytes,
            image.records,
            window.entries,
            latest,
            fault,
        )
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        image.length, image.entries, image.latest = window.bytes, window.entries, int(latest[0])


class Image:
    """A window's bytes as they are to be written, and their index records; to be used again."""

    __slots__ = ("buffer", "entries", "latest", "length", "records")

    def __init__(self) -> None:
        self.buffer: Any = new_unset("uint8_t[]", 1)
        self.records: Any = new_unset("uint8_t[]", 1)
        self.length = 0
        self.entries = 0
        self.latest = 0

    def reserve(self, length: int, entries: int) -> None:
        """Room for so many bytes and entries; what was there is lost."""
        if len(self.buffer) < length:
            self.buffer = new_unset("uint8_t[]", length)
        if len(self.records) < entries * RECORD:
            self.records = new_unset("uint8_t[]", entries * RECORD)

    def data(self) -> memoryview:
        """The bytes; valid until the next use."""
        return memoryview(ffi.buffer(self.buffer, self.length))

    def index_records(self) -> memoryview:
        """The records of the entries, 46 bytes each, offsets from the start of the data."""
        return memoryview(ffi.buffer(self.records, self.entries * RECORD))


class Block:
    """A new KV block in memory that is mapped for writing; keys are put in, then it is sealed."""

    def __init__(self, memory: Any, pages: int) -> None:
        """`memory`: zeros, at least `pages` pages; let go of by :meth:`close`."""
        lib.aeor_guard_install()
        self._data: Any = ffi.from_buffer("uint8_t[]", memory, require_writable=True)
        if pages < 1 or pages * PAGE > len(self._data):
            raise ValueError(f"{pages} pages in {len(self._data)} bytes")
        self.pages = pages
        self._overflow: Any = ffi.gc(ffi.new("struct aeor_bytes *"), lib.aeor_bytes_free)

    def insert(self, records: bytes | memoryview, base: int = 0) -> None:
        """Puts records in, `base` added to their offsets.

        Raises WalkFault for a key that is there already, MapFault if the memory cannot be had.
        """
        fault: Any = ffi.new("struct aeor_fault *")
        with check_records(records) as data:
            code = lib.aeor_block_insert(
                self._data, self.pages, data, len(data) // RECORD, base, self._overflow, fault
            )
        if code != lib.AEOR_OK:
            raise_fault(code, fault)

    def seal(self) -> bytes:
        """Completes the pages; the records that found theirs full, for the hot tail."""
        code = lib.aeor_block_seal(self._data, self.pages)
        if code != lib.AEOR_OK:
            raise_fault(code, ffi.new("struct aeor_fault *"))
        length = self._overflow.length
        return ffi.buffer(self._overflow.data, length)[:] if length else b""

    def close(self) -> None:
        """Lets go of the memory."""
        if self._data is not None:
            ffi.release(self._data)
            self._data = None


def _pointer(marks: Marks | None) -> Any:
    return ffi.NULL if marks is None else marks.pointer
