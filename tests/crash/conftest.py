"""A clock of their own makes the traces, and so the images, the same in each run."""

import itertools
import time

import pytest

from tests.kit.folders import FIRST_TIME


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is a millisecond later than the one before."""
    ticks = itertools.count(FIRST_TIME * 1000)
    monkeypatch.setattr(time, "time_ns", lambda: next(ticks) * 1_000_000)
