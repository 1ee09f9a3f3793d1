"""Requests go first, as far as the system lets them."""

import os
import threading
from collections.abc import Callable

import pytest

from aeordb.server import priority
from aeordb.tree.ingest import default_jobs


def in_thread(call: Callable[[], object]) -> tuple[int | None, int]:
    """The turn and the niceness of a thread after a call."""
    found: list[tuple[int | None, int]] = []

    def run() -> None:
        call()
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        found.append((priority.turn(), nice))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_a_thread_that_hurries_asks_for_short_turns() -> None:
    before, nice = in_thread(lambda: None)
    turn, nice_after = in_thread(priority.hurry)
    assert nice_after == nice
    # A kernel before 6.12 says 0, whatever it is told.
    assert turn in (before, priority.TURN_NANOSECONDS)


def test_one_that_gives_way_has_usual_turns_and_is_nicer() -> None:
    before, _ = in_thread(lambda: None)

    def both() -> None:
        priority.hurry()
        priority.give_way()

    assert in_thread(both) == (before, priority.NICE)


def test_a_system_that_forbids_it_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "_CALLS", {})
    assert priority.turn() is None
    priority.hurry()


def test_one_processor_is_left_to_requests() -> None:
    assert priority.jobs() == max(1, default_jobs() - 1)
