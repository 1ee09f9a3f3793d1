"""Single changes of many requests, committed together: one pair of syncs serves them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aeordb.server.errors import BusyError
from aeordb.server.settings import Limits
from aeordb.server.threads import Threads

if TYPE_CHECKING:
    from aeordb import Database, Transaction

T = TypeVar("T")
_Call = tuple[Callable[["Transaction"], Any], "asyncio.Future[Any]"]
# So many changes at most share a commit: the first of them shall not wait for ever.
_BATCH: Final = 256


class Batches:
    """While one batch is being committed, the next one gathers."""

    def __init__(self, database: Database, threads: Threads, limits: Limits) -> None:
        self._database = database
        self._threads = threads
        self._limit = max(_BATCH, limits.requests)
        self._waiting: list[_Call] = []
        self._worker: asyncio.Task[None] | None = None
        self._alone = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, operation: Callable[[Transaction], T]) -> T:
        """Runs the operation; what it returned, once it is durable.

        An operation that raises must have changed nothing before: others share its transaction.
        """
        if len(self._waiting) >= self._limit:
            raise BusyError("too many changes wait for their commit")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        # A client that goes away takes nothing back.
        return await asyncio.shield(future)

    async def run_alone(
        self, operation: Callable[[Transaction], T], then: Callable[[], object] = lambda: None
    ) -> T:
        """Runs an operation in a commit of its own: one that is long, or may stop half-way.

        `then` is called in any case, once it is over, even if nobody waits for it any more.
        """
        if len(self._waiting) + self._alone >= self._limit:
            then()
            raise BusyError("too many changes wait for their commit")
        self._alone += 1
        task = asyncio.create_task(self._run_alone(operation, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _run_alone(
        self, operation: Callable[[Transaction], T], then: Callable[[], object]
    ) -> T:
        try:
            return await self._threads.write(lambda: self._database.run_alone(operation))
        finally:
            self._alone -= 1
            then()

    async def close(self) -> None:
        """Waits until all that was asked for is committed."""
        while self._worker is not None:
            await asyncio.wait([self._worker])
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self) -> None:
        try:
            while self._waiting:
                calls, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                operations = [operation for operation, _ in calls]
                try:
                    answers = await self._threads.write(lambda ops=operations: self._commit(ops))  # type: ignore[misc]
                except Exception as error:
                    answers = [error] * len(calls)
                for (_, future), found in zip(calls, answers, strict=True):
                    if future.cancelled():
                        continue
                    if isinstance(found, BaseException):
                        future.set_exception(found)
                        future.exception()
                    else:
                        future.set_result(found)
        finally:
            self._worker = None

    def _commit(self, operations: list[Callable[[Transaction], Any]]) -> list[Any]:
        def run_all(transaction: Transaction) -> list[Any]:
            answers: list[Any] = []
            for operation in operations:
                try:
                    answers.append(operation(transaction))
                except Exception as error:
                    answers.append(error)
            return answers

        return self._database.run(run_all)
