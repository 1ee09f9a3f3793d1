"""Threads: all are stopped and joined, errors come out once, order stays."""

import signal
import threading
import time
from collections.abc import Generator

import pytest

from aeordb.parallel.threads import ahead, in_order, run_workers


def running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("aeordb-")]


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_every_worker_runs(jobs: int) -> None:
    done = []
    run_workers(jobs, lambda: done.append(threading.get_ident()), lambda: None)
    assert len(done) == jobs
    assert (threading.get_ident() in done) == (jobs == 1)
    assert not running()


def test_the_first_error_stops_the_others() -> None:
    stopped = threading.Event()
    turns = iter(range(3))

    def work() -> None:
        if next(turns) == 1:
            raise ValueError("mine")
        assert stopped.wait(10)

    with pytest.raises(ValueError, match="mine"):
        run_workers(3, work, stopped.set)
    assert not running()


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_interrupt_stops_all(jobs: int) -> None:
    stopped = threading.Event()
    caller = threading.get_ident()
    timer = threading.Timer(0.1, lambda: signal.pthread_kill(caller, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_workers(jobs, lambda: stopped.wait(10) and None, stopped.set)
    timer.join()
    assert not running()


def test_an_interrupt_while_threads_start_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C that came while a thread was being started, on a busy machine, left it running."""
    stopped = threading.Event()
    start = threading.Thread.start

    def start_and_interrupt(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "aeordb-walk-1":
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_workers(3, lambda: stopped.wait(10) and None, stopped.set)
    assert not running()


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_come_in_order(jobs: int) -> None:
    def work(n: int) -> int:
        time.sleep(0.001 * (n * 7 % 5))
        return n

    assert list(in_order(jobs, range(40), work)) == list(range(40))
    assert not running()


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_no_more_is_made_than_needed(jobs: int) -> None:
    made = []
    results = in_order(jobs, range(1_000), made.append)
    for _ in range(3):
        next(results)
    results.close()
    assert len(made) <= 3 + jobs + 1
    assert not running()


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_error_comes_at_its_place(jobs: int) -> None:
    def work(n: int) -> int:
        if n == 5:
            raise KeyError(n)
        return n

    results = in_order(jobs, range(100), work)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError):
        next(results)
    assert not running()


def test_the_next_item_is_made_meanwhile() -> None:
    made = []

    def make() -> Generator[int, None, None]:
        try:
            for n in range(10):
                made.append(n)
                yield n
        finally:
            made.append(-1)

    assert list(ahead(make())) == list(range(10))
    assert made == [*range(10), -1]
    made.clear()
    items = ahead(make())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert made in ([0, 1, 2, -1], [0, 1, 2, 3, -1])
    assert not running()


def test_an_error_of_what_is_made_ahead_comes_at_its_place() -> None:
    def make() -> Generator[int, None, None]:
        yield 1
        raise KeyError

    items = ahead(make())
    assert next(items) == 1
    with pytest.raises(KeyError):
        next(items)
    assert not running()
