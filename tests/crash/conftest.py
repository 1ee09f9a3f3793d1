"""A clock of their own makes the traces, and so the images, the same in each run; and the states
that cuts left are counted."""

import itertools
import time
from collections.abc import Iterator

import pytest

from tests.crash import count
from tests.kit.counting import note
from tests.kit.folders import FIRST_TIME


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is a millisecond later than the one before."""
    ticks = itertools.count(FIRST_TIME * 1000)
    monkeypatch.setattr(time, "time_ns", lambda: next(ticks) * 1_000_000)


@pytest.fixture(autouse=True)
def crash_states(request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes how many states the test was the first to look at; with its report they come together
    from all processes of a run."""
    before = count.total()
    yield
    note(request.node, count.PROPERTY, count.total() - before)
