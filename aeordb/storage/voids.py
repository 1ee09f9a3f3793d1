"""Free ranges of the log (engine.md section 4): which there are, and which bytes they still need.

A void may be written to once the committed hot tail lists it. What a commit changes in the list
becomes part of the next hot tail; the void entries themselves are written by `pending_writes`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aeordb.format import constants as c
from aeordb.format.hottail import encode_void_record
from aeordb.native.framing import void_header

Extent = tuple[int, int]

# A header's hash runs over the whole void: merged ones stay small enough to rewrite at a commit.
_MERGE_LIMIT = 256 << 10
_SPLIT_ABOVE = 1 << 20
# Hardly an entry is shorter.
_LEAST_LISTED = 256
_NUMBERS = (1 << 64) - 1
_RECORD = c.HOT_TAIL_VOID_LENGTH


@dataclass(slots=True)
class _Void:
    offset: int
    length: int
    # What the log lacks before this range is one intact void entry.
    header: bool = False
    zeros: list[Extent] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.offset + self.length


def pack_extents(extents: Iterable[Extent]) -> bytes:
    """Free ranges as the helper takes them: rising pairs of (offset, end).

    What a file lists as free may reach past the end of numbers: it ends there.
    """
    flat = array("Q")
    for offset, length in sorted(extents):
        flat.extend((offset, min(offset + length, _NUMBERS)))
    return flat.tobytes()


class VoidMap:
    """Disjoint free ranges, with best-fit allocation.

    Invariant: a range either stands in the log as one intact void entry with zeros in it, or
    `pending_writes` still yields what makes it one.
    """

    def __init__(self, extents: Iterable[Extent] = (), *, dirty: bool = False) -> None:
        """`dirty`: nothing is known of the ranges' bytes, so all of them will be rewritten."""
        self._by_offset: dict[int, _Void] = {}
        self._by_end: dict[int, _Void] = {}
        self._by_length: list[Extent] = []
        # Of all ranges, in this order: where they start, and their records in the hot tail.
        self._offsets: list[int] = []
        self._records = bytearray()
        self._waiting: dict[int, _Void] = {}
        # How many a hot tail lists at most.
        self.most = c.VOIDS_LISTED_MAX
        # What was allocated since the last commit.
        self.taken: list[Extent] = []
        for offset, length in extents:
            if length > c.VOID_MAX_LENGTH:
                # AeorDB's records may say so.
                self.add(offset, length, merge=False)
            else:
                self._insert(_Void(offset, length, dirty, [(offset, length)] if dirty else []))

    def __len__(self) -> int:
        return len(self._by_offset)

    def extents(self) -> list[Extent]:
        """All ranges, in offset order."""
        return [(offset, self._by_offset[offset].length) for offset in self._offsets]

    def records(self) -> bytes:
        """All ranges as void records of a hot tail, in offset order."""
        return bytes(self._records)

    def total(self) -> int:
        """Free bytes in all."""
        return sum(length for length, _ in self._by_length)

    def add(self, offset: int, length: int, *, merge: bool = True) -> None:
        """A range that became free: its bytes are anything, until `pending_writes` were written."""
        while length > c.VOID_MAX_LENGTH:
            # One void entry covers no more; what is left must have room for another.
            size = c.VOID_MAX_LENGTH - c.VOID_MIN_LENGTH
            self._insert(_Void(offset, size, True, [(offset, size)]))
            offset += size
            length -= size
        void = _Void(offset, length, True, [(offset, length)])
        left = self._by_end.get(offset) if merge else None
        if left is not None and left.length + void.length <= _MERGE_LIMIT:
            self._remove(left)
            void = _Void(left.offset, left.length + void.length, True, left.zeros + void.zeros)
        right = self._by_offset.get(void.end) if merge else None
        if right is not None and right.length + void.length <= _MERGE_LIMIT:
            self._remove(right)
            head = (right.offset, min(right.length, c.ENTRY_HEADER_LENGTH))
            void = _Void(
                void.offset, void.length + right.length, True, [*void.zeros, head, *right.zeros]
            )
        self._insert(void)

    def take(self, length: int) -> int | None:
        """Allocates `length` bytes (best fit); the offset, or None if no range fits.

        What is left of the range is nothing or at least a void entry's 63 bytes.
        """
        void = self._fit(length)
        if void is None:
            return None
        at = void.offset
        self.taken.append((at, length))
        if void.length == length:
            self._remove(void)
            return at
        # Halved, a huge range costs its hash once, not at each allocation.
        while void.length > _SPLIT_ABOVE and void.length // 2 >= length + c.VOID_MIN_LENGTH:
            half = void.length // 2
            self._remove(void)
            self._insert(_clip(void, at + half, void.length - half))
            void = _clip(void, at, half)
            self._insert(void)
        self._begin_at(void, at + length)
        return at

    def unsettled(self) -> list[Extent]:
        """Ranges whose bytes are no void entry now, or no longer."""
        waiting = [(void.offset, void.length) for void in self._waiting.values()]
        return self.taken + waiting

    def unsettle(self, extents: Iterable[Extent]) -> None:
        """Every range here that meets one of these is to be written anew."""
        starts = sorted(self._by_offset)
        for offset, length in extents:
            at = max(bisect_left(starts, offset + 1) - 1, 0)
            while at < len(starts) and starts[at] < offset + length:
                void = self._by_offset[starts[at]]
                if void.end > offset:
                    void.header, void.zeros = True, [(void.offset, void.length)]
                    self._waiting[void.offset] = void
                at += 1

    def ending_at(self, end: int) -> Extent | None:
        """The range that ends just there, if there is one."""
        void = self._by_end.get(end)
        return (void.offset, void.length) if void else None

    def remove(self, offset: int) -> None:
        """Takes one whole range off the list."""
        self._remove(self._by_offset[offset])

    def clip(self, start: int) -> None:
        """Takes off the list all that lies before `start` (the KV block grows)."""
        for void in [v for v in self._by_offset.values() if v.offset < start]:
            self._remove(void)
            if void.end > start:
                self._insert(_clip(void, start, void.end - start))

    def largest(self) -> int:
        """Length of the largest range; 0 if there is none."""
        return self._by_length[-1][0] if self._by_length else 0

    def keep_largest(self, count: int) -> None:
        """Takes ranges off the list that are too small to be of use, and the smallest until
        `count` are left; all of them stay void entries, which gc merges.

        A range that is no void entry in the log yet stays listed: nothing else would make it one.
        """
        small = bisect_left(self._by_length, (_LEAST_LISTED, 0))
        surplus = max(small, len(self._by_length) - count)
        for _, offset in self._by_length[:surplus]:
            if offset not in self._waiting:
                self._remove(self._by_offset[offset])

    def pending_writes(self) -> Iterator[tuple[int, bytes, list[Extent]]]:
        """What must be written: each void entry's offset, its header, and where it needs zeros.

        Zeros go first: they may meet the header. The caller writes all of it; the ranges count as
        intact from then on.
        """
        for void in list(self._waiting.values()):
            if void.length >= c.VOID_MIN_LENGTH:
                yield void.offset, void_header(void.length), void.zeros
                void.header = False
                void.zeros = []
            del self._waiting[void.offset]

    def _fit(self, length: int) -> _Void | None:
        sizes = self._by_length
        if not sizes or sizes[-1][0] < length:
            return None
        found = sizes[bisect_left(sizes, (length, 0))]
        if found[0] != length:
            at = bisect_left(sizes, (length + c.VOID_MIN_LENGTH, 0))
            if at == len(sizes):
                return None
            found = sizes[at]
        return self._by_offset[found[1]]

    def _insert(self, void: _Void) -> None:
        offset, length = void.offset, void.length
        self._by_offset[offset] = void
        at = bisect_left(self._offsets, offset)
        self._offsets.insert(at, offset)
        at *= _RECORD
        self._records[at:at] = encode_void_record(offset, length)
        if void.header:
            self._waiting[offset] = void
        self._by_end[offset + length] = void
        insort(self._by_length, (length, offset))

    def _remove(self, void: _Void) -> None:
        offset, length = void.offset, void.length
        del self._by_offset[offset]
        at = bisect_left(self._offsets, offset)
        del self._offsets[at]
        at *= _RECORD
        del self._records[at : at + _RECORD]
        self._waiting.pop(offset, None)
        del self._by_end[offset + length]
        del self._by_length[bisect_left(self._by_length, (length, offset))]

    def _begin_at(self, void: _Void, offset: int) -> None:
        """Takes the bytes before `offset` off a range; its place among the others stays."""
        old, length = void.offset, void.length
        left = old + length - offset
        at = bisect_left(self._offsets, old)
        self._offsets[at] = offset
        at *= _RECORD
        self._records[at : at + _RECORD] = encode_void_record(offset, left)
        del self._by_length[bisect_left(self._by_length, (length, old))]
        insort(self._by_length, (left, offset))
        del self._by_offset[old]
        self._by_offset[offset] = void
        self._waiting.pop(old, None)
        self._waiting[offset] = void
        void.header = True
        void.zeros = _clipped(void.zeros, offset, offset + left)
        void.offset, void.length = offset, left


def _clip(void: _Void, offset: int, length: int) -> _Void:
    """A part of a void as a void of its own, which needs a header where it starts."""
    return _Void(offset, length, True, _clipped(void.zeros, offset, offset + length))


def _clipped(extents: list[Extent], start: int, end: int) -> list[Extent]:
    clipped = []
    for offset, length in extents:
        low, high = max(offset, start), min(offset + length, end)
        if low < high:
            clipped.append((low, high - low))
    return clipped


def clip_extents(extents: Iterable[Extent], start: int) -> Iterator[Extent]:
    """The parts of these ranges that lie at `start` or behind."""
    for offset, length in extents:
        if offset + length > start:
            low = max(offset, start)
            yield low, offset + length - low
