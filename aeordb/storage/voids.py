"""Free ranges of the log (engine.md section 4): which there are, and which bytes they still need.

A void may be written to once the committed hot tail lists it. What a commit changes in the list
becomes part of the next hot tail; the void entries themselves are written by `pending_writes`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from aeordb.format import constants as c
from aeordb.native.table import Table
from aeordb.native.voids import Voids

Extent = tuple[int, int]

_NUMBERS = (1 << 64) - 1


def pack_extents(extents: Iterable[Extent]) -> bytes:
    """Free ranges as the helper takes them: rising pairs of (offset, end).

    What a file lists as free may reach past the end of numbers: it ends there.
    """
    flat = array("Q")
    for offset, length in sorted(extents):
        flat.extend((offset, min(offset + length, _NUMBERS)))
    return flat.tobytes()


class VoidMap(Voids):
    """The free ranges of a log, and what was allocated of them since the last commit."""

    def __init__(self, extents: Iterable[Extent] = (), *, dirty: bool = False) -> None:
        """`dirty`: nothing is known of the ranges' bytes, so all of them will be rewritten."""
        super().__init__()
        # How many a hot tail lists at most.
        self.most = c.VOIDS_LISTED_MAX
        # Void records that a hot tail lists behind these ranges'.
        self.beside = b""
        # What was allocated since the last commit.
        self.taken: list[Extent] = []
        for offset, length in extents:
            if length > c.VOID_MAX_LENGTH:
                # AeorDB's records may say so.
                self.add(offset, length, merge=False)
            else:
                self.insert(offset, length, waiting=dirty)

    def total(self) -> int:
        """Free bytes in all."""
        return sum(length for _, length in self.extents())

    def add(self, offset: int, length: int, *, merge: bool = True) -> None:
        """A range that became free: its bytes are anything, until `pending_writes` were written."""
        while length > c.VOID_MAX_LENGTH:
            # One void entry covers no more; what is left must have room for another.
            size = c.VOID_MAX_LENGTH - c.VOID_MIN_LENGTH
            self.insert(offset, size, waiting=True)
            offset += size
            length -= size
        if merge:
            self.join(offset, length)
        else:
            self.insert(offset, length, waiting=True)

    def take(self, length: int) -> int | None:
        """Allocates `length` bytes (best fit); the offset, or None if no range fits.

        What is left of the range is nothing or at least a void entry's 63 bytes.
        """
        at = self.allocate(length)
        if at is not None:
            self.taken.append((at, length))
        return at

    def place(
        self, lengths: array[int], keys: bytes, kinds: bytes, end: int, table: Table
    ) -> list[tuple[int, int, bool]]:
        """As the helper's; what lies in ranges is noted as taken."""
        runs = super().place(lengths, keys, kinds, end, table)
        self.taken += [(at, size) for at, size, appended in runs if not appended]
        return runs

    def unsettled(self) -> list[Extent]:
        """Ranges whose bytes are no void entry now, or no longer."""
        return self.taken + self.waiting()

    def unsettle(self, extents: Iterable[Extent]) -> None:
        """Every range here that meets one of these is to be written anew."""
        for extent in extents:
            self.forget(*extent)


def clip_extents(extents: Iterable[Extent], start: int) -> Iterator[Extent]:
    """The parts of these ranges that lie at `start` or behind."""
    for offset, length in extents:
        if offset + length > start:
            low = max(offset, start)
            yield low, offset + length - low
