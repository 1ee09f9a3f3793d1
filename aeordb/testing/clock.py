"""A clock that tests set: the library then takes its times from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z, in milliseconds."""


class Clock:
    """A wall clock that stands still until it is moved; times in milliseconds since 1970 UTC.

    `highest` is the latest time that it has shown.
    """

    def __init__(self, now: int = START) -> None:
        self.now = now
        self.highest = now

    def __call__(self) -> int:
        return self.now

    def nanoseconds(self) -> int:
        """The time as `time.time_ns` has it."""
        return self.now * 1_000_000

    def move(self, milliseconds: int) -> None:
        """Goes forwards, or with a negative number backwards."""
        self.now += milliseconds
        self.highest = max(self.highest, self.now)


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Inside the block `time.time_ns` shows this clock's time, in the whole process.

    What measures durations (`time.monotonic`, `time.perf_counter`) goes on as ever.
    """
    with mock.patch("time.time_ns", clock.nanoseconds):
        yield clock
