"""Where blocking calls run: short ones on some threads, long ones on few, and none on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from aeordb.server.errors import BusyError
from aeordb.server.priority import give_way
from aeordb.server.settings import Limits

P = ParamSpec("P")
T = TypeVar("T")
_SHORT: Final = 16


class UntilStopped:
    """The progress of operations that end, with nothing done, once the server stops."""

    def __init__(self) -> None:
        self.stopped = False

    def start(self, total: int | None, label: str) -> None:
        """Raises BusyError if the server stops."""
        self.advance(0)

    def advance(self, count: int, items: int = 0) -> None:
        """Raises BusyError if the server stops."""
        if self.stopped:
            raise BusyError("the server stops")

    def finish(self) -> None:
        """Does nothing."""


class Threads:
    """The server's threads; `progress` is for operations that may take long."""

    def __init__(self, limits: Limits) -> None:
        self.progress = UntilStopped()
        self._short = ThreadPoolExecutor(_SHORT, "aeordb-short")
        self._long = ThreadPoolExecutor(limits.long_jobs, "aeordb-long", give_way)
        self._long_free = limits.long_jobs
        self._writer = ThreadPoolExecutor(1, "aeordb-writer")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs what is done within milliseconds."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._short, lambda: call(*args, **kwargs))

    async def write(self, call: Callable[[], T]) -> T:
        """Runs what changes the database with many at once; one call at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    async def run_long(self, call: Callable[[], T]) -> T:
        """Runs an export, import or their like to its end. BusyError if too many run already."""
        if not self._long_free:
            raise BusyError("the server is busy with other exports and imports")
        self._long_free -= 1
        future = asyncio.get_running_loop().run_in_executor(self._long, call)
        # Counted until the call itself ends: a client that goes away does not stop it.
        future.add_done_callback(self._end_long)
        return await asyncio.shield(future)

    def _end_long(self, future: asyncio.Future[T]) -> None:
        self._long_free += 1
        if not future.cancelled():
            future.exception()  # so that one whose client went away is not reported as unseen

    def close(self) -> None:
        """Waits for all calls that run; those that may take long are stopped."""
        self.progress.stopped = True
        for pool in (self._short, self._long, self._writer):
            pool.shutdown(wait=True, cancel_futures=True)
