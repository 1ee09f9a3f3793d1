"""Free ranges of a log in the helper's memory: where entries go, and what must still be written."""

from array import array
from collections.abc import Iterator
from typing import Any

from ._native import ffi, lib
from .table import Table

NO_RECORD = int(lib.AEOR_NO_RECORD)
"""The kind of an entry that the index shall not have."""

_runs_of: Any = ffi.typeof("struct aeor_run[]")
_FEW = 64


class Voids:
    """Disjoint free ranges in the order of offsets, with best-fit allocation.

    Invariant: a range either stands in the log as one intact void entry with zeros in it, or
    `pending_writes` still yields what makes it one.
    """

    def __init__(self) -> None:
        voids: Any = ffi.new("struct aeor_voids *")
        self.pointer: Any = ffi.gc(voids, lib.aeor_voids_free)
        self._runs: Any = ffi.new(_runs_of, _FEW)
        self._found: Any = ffi.new("uint64_t[2]")
        write: Any = ffi.new("struct aeor_void_write *")
        self._write = write
        self._header: Any = ffi.buffer(write.header)

    def __len__(self) -> int:
        return int(self.pointer.count)

    def extents(self) -> list[tuple[int, int]]:
        """All ranges as (offset, length), in offset order."""
        return [(item.offset, item.length) for item in self._items()]

    def waiting(self) -> list[tuple[int, int]]:
        """Those that are no intact void entry yet."""
        return [(item.offset, item.length) for item in self._items() if item.waiting]

    def _items(self) -> Iterator[Any]:
        voids = self.pointer
        return (voids.items[i] for i in range(voids.count))

    def insert(self, offset: int, length: int, *, waiting: bool) -> None:
        """Lists a range as it is; `waiting`: its bytes are anything.

        ValueError if it meets another one or passes the end of numbers.
        """
        self._check(lib.aeor_voids_insert(self.pointer, offset, length, waiting))

    def join(self, offset: int, length: int) -> None:
        """Lists a range whose bytes are anything, joined with its neighbours if they are short.

        ValueError as for :meth:`insert`.
        """
        self._check(lib.aeor_voids_add(self.pointer, offset, length))

    def allocate(self, length: int) -> int | None:
        """Takes `length` bytes off the range that they fit best; the offset, or None.

        What is left of the range is nothing or at least a void entry's 63 bytes.
        """
        code = lib.aeor_voids_take(self.pointer, length, self._found)
        if code == lib.AEOR_ABSENT:
            return None
        self._check(code)
        return int(self._found[0])

    def place(
        self, lengths: "array[int]", keys: bytes, kinds: bytes, end: int, table: Table
    ) -> list[tuple[int, int, bool]]:
        """Finds room for entries of these total lengths (an array of type "Q"): in the ranges, as
        many of them together as fit one, else from `end` on.

        Runs of entries, in their order: (offset, bytes, whether it lies behind `end`). Each entry
        gets its record in `table`: its key, of the joined `keys`, its KV type, of `kinds`, unless
        that is `NO_RECORD`, and its place. ValueError for shapes that differ.
        """
        count = len(lengths)
        if len(keys) != 32 * count or len(kinds) != count or lengths.typecode != "Q":
            raise ValueError(f"{count} lengths need {32 * count} bytes of keys and {count} kinds")
        runs = self._runs if count <= _FEW else ffi.new(_runs_of, count)
        found = self._found
        found[1] = end
        numbers = ffi.from_buffer("uint64_t[]", lengths)
        self._check(
            lib.aeor_voids_place(
                self.pointer, numbers, count, keys, kinds, found + 1, table.pointer, runs, found
            )
        )
        placed = []
        for i in range(found[0]):
            run = runs[i]
            placed.append((run.offset, run.size, run.appended))
        return placed

    def ending_at(self, end: int) -> tuple[int, int] | None:
        """The range that ends just there, if there is one."""
        length = lib.aeor_voids_before(self.pointer, end)
        return (end - length, length) if length else None

    def remove(self, offset: int) -> None:
        """Takes one whole range off the list; KeyError if none begins there."""
        code = lib.aeor_voids_remove(self.pointer, offset)
        if code == lib.AEOR_ABSENT:
            raise KeyError(offset)
        self._check(code)

    def clip(self, start: int) -> None:
        """Takes off the list all that lies before `start`."""
        self._check(lib.aeor_voids_clip(self.pointer, start))

    def keep_largest(self, count: int) -> None:
        """Takes ranges off the list that are too small to be of use, and the smallest until
        `count` are left. One that is no intact void entry stays."""
        self._check(lib.aeor_voids_keep_largest(self.pointer, count))

    def forget(self, offset: int, length: int) -> None:
        """Every range that meets this one is to be written anew."""
        self._check(lib.aeor_voids_unsettle(self.pointer, offset, length))

    def pending_writes(self) -> Iterator[tuple[int, bytes, list[tuple[int, int]]]]:
        """What must be written: each void entry's offset, its header, and where it needs zeros.

        Zeros go first: they may meet the header. The caller writes all of it; a range counts as
        intact once the next one is asked for.
        """
        voids, write = self.pointer, self._write
        while voids.waiting:
            code = lib.aeor_voids_next(voids, write)
            if code == lib.AEOR_ABSENT:
                return
            self._check(code)
            offset, ranges = write.offset, write.zeros
            zeros = [(ranges[i].offset, ranges[i].length) for i in range(write.zero_count)]
            yield offset, self._header[:], zeros
            lib.aeor_voids_settle(voids, offset)

    def write_short(self, fd: int) -> None:
        """Writes void entries over waiting ranges that need zeros only close behind the header.

        They count as intact then. Ends at the first that needs more, or that cannot be written.
        """
        self._check(lib.aeor_voids_write_short(self.pointer, fd))

    @staticmethod
    def _check(code: int) -> None:
        if code == lib.AEOR_ERR_MEMORY:
            raise MemoryError("no memory for free ranges")
        if code != lib.AEOR_OK:
            raise ValueError("no such range, or it meets one that is free already")
