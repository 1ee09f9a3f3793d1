"""What the rules look at: one file, its reader, and how strictly it is judged."""

from dataclasses import dataclass
from functools import cached_property

from tests.kit.layout import (
    FLAG_DEAD_PAGES,
    HEADER_LENGTH,
    HotTail,
    MalformedError,
    Slot,
    read_hot_tail,
)
from tests.kit.oracle import Oracle


@dataclass
class Subject:
    oracle: Oracle
    tail: HotTail | None
    closed: bool
    ours: bool
    taken_over: bool

    @property
    def data(self) -> bytes:
        return self.oracle.data

    @property
    def slot(self) -> Slot:
        return self.oracle.slot

    @property
    def lenient_voids(self) -> bool:
        """AeorDB's free space is old bytes, and its pages keep what lies in it, until a thaw."""
        marker = self.slot.ours
        thawed = marker is not None and not marker.flags & FLAG_DEAD_PAGES
        return not self.ours or (self.taken_over and not thawed)

    @property
    def small_gaps(self) -> bool:
        """AeorDB drops the rest of a void that it fills when no entry header fits into it."""
        return self.taken_over or not self.ours

    @cached_property
    def other_tail(self) -> tuple[int, int] | None:
        """The region of the hot tail that the other slot names: (start, end)."""
        other = self.oracle.other
        if other is None or other.hot_tail == self.slot.hot_tail:
            return None
        if other.ours is not None:
            return other.hot_tail, other.hot_tail + other.ours.tail_length
        try:
            tail = read_hot_tail(self.data, other.hot_tail)
        except MalformedError:
            return None
        # An empty tail has 18 bytes; a void entry over it needs more.
        return other.hot_tail, other.hot_tail + max(tail.length, HEADER_LENGTH)
