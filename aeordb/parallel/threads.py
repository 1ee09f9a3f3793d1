"""The same work in some threads at once, or one after the other: the result does not tell.

With one job everything runs in the calling thread. Errors of workers are raised in the caller, and
so is what interrupts it while it waits; no thread outlives the call.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")
# A thread that was started is running by then, or the system had none for us.
_START_SECONDS = 1.0


def run_workers(jobs: int, work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Runs `work` in `jobs` threads until all are done.

    `stop` must make every worker return soon; it is called when one fails, and when the caller is
    interrupted. The first error is raised, once no worker runs any more.
    """
    if jobs <= 1:
        work()
        return
    errors: list[BaseException] = []
    begun = [threading.Event() for _ in range(jobs)]

    def run(number: int) -> None:
        begun[number].set()
        try:
            work()
        except BaseException as error:
            errors.append(error)
            stop()

    threads = [
        threading.Thread(target=run, name=f"aeordb-walk-{n}", args=(n,)) for n in range(jobs)
    ]
    tried = 0
    try:
        for thread in threads:
            # Counted first: an interrupt may come before start() returns, and the thread runs.
            tried += 1
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stop()
        for thread, running in zip(threads[:tried], begun, strict=False):
            if running.wait(_START_SECONDS):
                thread.join()
        raise
    if errors:
        raise errors[0]


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same items; the next one is made in another thread while the caller is busy with one.

    Close the generator (or let an error end it) and nothing runs any more.
    """
    end = object()
    with closing(items), ThreadPoolExecutor(1, "aeordb-ahead") as pool:
        waiting: Future[T | object] = pool.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, items, end)
            yield cast(T, item)


def in_order(jobs: int, items: Iterable[T], work: Callable[[T], R]) -> Generator[R, None, None]:
    """The results of `work` for each item, in their order; the next ones are made meanwhile.

    At most `jobs` + 1 results exist that were not taken yet. Close the generator (or let an error
    end it) and nothing runs any more.
    """
    if jobs <= 1:
        for item in items:
            yield work(item)
        return
    with ThreadPoolExecutor(jobs, "aeordb-copy") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
