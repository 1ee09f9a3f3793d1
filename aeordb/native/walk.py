"""The walk over what versions reach, as bits over the slots of an index (native/walk.h)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aeordb.native._native import ffi, lib
from aeordb.native.faults import MapFault, NativeFault, PageFault, WalkFault
from aeordb.native.index import PAGES_AT_ONCE, Index
from aeordb.native.table import check_key

STEPS = 4096
"""How many entries a worker follows before it comes back to Python."""

PLACE: int = lib.AEOR_PLACE
"""Bytes of a row of :func:`list_places`."""

_PLACES_AT_ONCE = 1024


class Marks:
    """A bit for each slot of one index; those of one index can be joined and taken apart."""

    __slots__ = ("_bits", "pointer", "slots")

    def __init__(self, index: Index) -> None:
        self.slots = int(lib.aeor_index_slots(index.pointer))
        self._bits = bytearray((self.slots + 31) // 32 * 4 + 4)
        self.pointer: Any = ffi.from_buffer("uint32_t[]", self._bits)

    def __len__(self) -> int:
        """How many bits are set."""
        return int(lib.aeor_marks_count(self.pointer, self.slots))

    def bits(self) -> bytes:
        """A bit for each slot, the first one lowest in the first byte."""
        return bytes(self._bits[: (self.slots + 7) // 8])

    def add(self, other: Marks) -> None:
        """Sets every bit that the other has set."""
        self._combine(other, lib.AEOR_MARKS_ADD)

    def remove(self, other: Marks) -> None:
        """Clears every bit that the other has set."""
        self._combine(other, lib.AEOR_MARKS_REMOVE)

    def keep(self, other: Marks) -> None:
        """Clears every bit that the other has not set."""
        self._combine(other, lib.AEOR_MARKS_KEEP)

    def add_keys(self, index: Index, keys: bytes, stride: int = 32) -> int:
        """Sets the bits of those keys that the index has; how many these are.

        A key begins at every `stride` bytes of `keys`. Raises PageFault, MapFault.
        """
        if stride < 32 or len(keys) % stride:
            raise ValueError(f"{len(keys)} bytes are no rows of {stride}")
        self._check(index)
        found: Any = ffi.new("uint64_t *")
        fault: Any = ffi.new("struct aeor_fault *")
        code = lib.aeor_marks_keys(
            index.pointer, self.pointer, keys, len(keys) // stride, stride, found, fault
        )
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        return int(found[0])

    def add_kinds(
        self,
        index: Index,
        kinds: Iterable[int],
        *,
        own: bool = False,
        pages: range | None = None,
    ) -> None:
        """Sets the bits of all entries of these KV types in these pages (all; 0: and the tables).

        `own`: also those that AeorDB keeps records of its own under (FORMAT.md 6). Threads may
        share the marks, each with pages of its own. Raises PageFault, MapFault.
        """
        self._check(index)
        mask = 0
        for kind in kinds:
            mask |= 1 << kind
        fault: Any = ffi.new("struct aeor_fault *")
        pages = pages or range(max(1, index.pages))
        for page in range(pages.start, pages.stop, PAGES_AT_ONCE):
            end = min(page + PAGES_AT_ONCE, pages.stop)
            code = lib.aeor_marks_kinds(index.pointer, self.pointer, mask, own, page, end, fault)
            if code != lib.AEOR_OK:
                raise_fault(code, fault)

    def _check(self, index: Index) -> None:
        if int(lib.aeor_index_slots(index.pointer)) != self.slots:
            raise ValueError("marks of another index")

    def _combine(self, other: Marks, how: int) -> None:
        if other.slots != self.slots:
            raise ValueError("marks of another index")
        lib.aeor_marks_combine(self.pointer, other.pointer, self.slots, how)


class Walk:
    """One walk: roots are added, then each of `workers` threads runs a :class:`Walker`.

    A worker that waits for the others waits outside the GIL: all of them must run, or `stop` be
    called. `folders`: gets a bit for each directory, but none for the B-tree nodes below its own.
    `path_keys`: those of the files and symlinks that it meets are marked too, where there are any.
    `strict`: names and texts that reading refuses are faults, not only what does not parse.
    """

    def __init__(
        self,
        index: Index,
        marks: Marks,
        folders: Marks | None = None,
        *,
        workers: int = 1,
        path_keys: bool = False,
        strict: bool = False,
    ) -> None:
        self._alive = index, marks, folders
        own = ffi.NULL if folders is None else folders.pointer
        walk = lib.aeor_walk_new(index.pointer, marks.pointer, own, workers)
        if walk == ffi.NULL:
            raise MemoryError("no memory for a walk")
        self.pointer: Any = ffi.gc(walk, lib.aeor_walk_free)
        if path_keys:
            lib.aeor_walk_path_keys(walk)
        if strict:
            lib.aeor_walk_strict(walk)

    def add(self, entry_type: int, keys: bytes, *, alone: bool = False) -> None:
        """Marks entries (32-byte keys, joined) as roots; `alone`: not what they lead to.

        Raises WalkFault, PageFault, MapFault.
        """
        if len(keys) % 32:
            raise ValueError("keys are 32 bytes each")
        code = lib.aeor_walk_add(self.pointer, entry_type, keys, len(keys) // 32, alone)
        if code != lib.AEOR_OK:
            self._raise(code)

    def run(self) -> None:
        """Walks to the end in this thread alone (for a walk of one worker)."""
        walker = Walker(self)
        while walker.run():
            pass

    def stop(self) -> None:
        """Makes every worker return soon; from any thread."""
        lib.aeor_walk_stop(self.pointer)

    def _raise(self, code: int) -> None:
        fault: Any = ffi.new("struct aeor_fault *")
        lib.aeor_walk_fault(self.pointer, fault)
        raise_fault(fault.code or code, fault)


class Walker:
    """One worker of a walk; belongs to one thread."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        walker = lib.aeor_walker_new(walk.pointer)
        if walker == ffi.NULL:
            raise MemoryError("no memory for a walk")
        self._pointer: Any = ffi.gc(walker, lib.aeor_walker_free)

    def run(self, steps: int = STEPS) -> bool:
        """Follows some entries; False once there is nothing left, or the walk was stopped.

        Raises WalkFault, PageFault, MapFault: the first of all workers.
        """
        code = lib.aeor_walker_run(self._pointer, steps)
        if code in (lib.AEOR_OK, lib.AEOR_MORE):
            return bool(code == lib.AEOR_MORE)
        fault: Any = ffi.new("struct aeor_fault *")
        lib.aeor_walk_fault(self._walk.pointer, fault)
        if fault.code != lib.AEOR_OK:
            raise_fault(fault.code, fault)
        return False


def count_places(index: Index, root: bytes, path: bytes = b"", *, limit: int) -> int:
    """How many folders a version has, each as often as a listing holds it, with the root.

    Raises WalkFault if there are more than `limit`.
    """
    return sum(count for count, _ in _places(index, root, path, limit, rows=False))


def list_places(
    index: Index, root: bytes, path: bytes = b"", *, limit: int = (1 << 64) - 1
) -> Iterator[bytes]:
    """The folders of a version in batches of rows of PLACE bytes, a folder before those below it.

    A row: the `dir:` path key, the directory's key, and its entry's time (i64, milliseconds).
    `path`: where the root hangs, without a slash at its end (empty: `/`). Raises WalkFault, also
    behind `limit` folders.
    """
    return (rows for _, rows in _places(index, root, path, limit, rows=True))


def _places(
    index: Index, root: bytes, path: bytes, limit: int, *, rows: bool
) -> Iterator[tuple[int, bytes]]:
    places = lib.aeor_places_new(index.pointer, check_key(root), path, len(path), limit)
    if places == ffi.NULL:
        raise MemoryError("no memory for a walk over folders")
    places = ffi.gc(places, lib.aeor_places_free)
    buffer: Any = ffi.new("uint8_t[]", _PLACES_AT_ONCE * PLACE) if rows else ffi.NULL
    count: Any = ffi.new("uint64_t *")
    fault: Any = ffi.new("struct aeor_fault *")
    while True:
        code = lib.aeor_places_next(places, buffer, _PLACES_AT_ONCE, count, fault)
        if code != lib.AEOR_OK:
            raise_fault(code, fault)
        if count[0] == 0:
            return
        yield int(count[0]), ffi.buffer(buffer, count[0] * PLACE)[:] if rows else b""


def raise_fault(code: int, fault: Any) -> None:
    """Raises the exception for the helper's code and fault."""
    raise _exception(code, fault)


def _exception(code: int, fault: Any) -> NativeFault | MemoryError | ValueError:
    if code == lib.AEOR_ERR_MEMORY:
        return MemoryError("no memory for a walk")
    if code == lib.AEOR_ERR_ARGUMENT:
        return ValueError("marks, items or buffers do not fit the index")
    if code == lib.AEOR_ERR_PAGE:
        return PageFault(fault.page)
    if code == lib.AEOR_ERR_FAULT:
        return MapFault(fault.offset, 0)
    return WalkFault(code, fault.type, ffi.buffer(fault.key)[:], fault.offset)
