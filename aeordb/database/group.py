"""Group commit: calls that come at once share one commit, and so one pair of syncs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from aeordb.database.transaction import Transaction

T = TypeVar("T")


class _Call(Generic[T]):
    def __init__(self, operation: Callable[[Transaction], T]) -> None:
        self.operation = operation
        self.done = False
        self.error: BaseException | None = None
        self.answer: T

    def run(self, transaction: Transaction) -> bool:
        """Whether it did what it is for."""
        try:
            self.answer = self.operation(transaction)
        except Exception as error:
            self.error = error
        return self.error is None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.answer


class CommitGroup:
    """Runs single operations in transactions; whoever gets the turn runs all that wait.

    An operation that raises leaves the others of its group alone: it must refuse before it
    changes anything; one that cannot needs a transaction of its own. If the commit fails, it fails
    for all of them.
    """

    def __init__(self, begin: Callable[[], Transaction], turn: threading.RLock) -> None:
        self._begin = begin
        self._turn = turn
        self._guard = threading.Lock()
        self._waiting: list[_Call[object]] = []

    def run(self, operation: Callable[[Transaction], T]) -> T:
        """Runs the operation and commits it; what it returned, once it is durable."""
        call = _Call(operation)
        with self._guard:
            self._waiting.append(call)  # type: ignore[arg-type]
        with self._turn:
            if not call.done:
                self._commit(call)  # type: ignore[arg-type]
        return call.result()

    def _commit(self, own: _Call[object]) -> None:
        try:
            transaction = self._begin()
        except BaseException:
            # Closed, or this thread is in a transaction: not the fault of the others.
            with self._guard:
                self._waiting.remove(own)
            raise
        with self._guard:
            calls, self._waiting = self._waiting, []
        try:
            with transaction:
                done = False
                for call in calls:
                    done |= call.run(transaction)
                if not done:
                    transaction.rollback()
        except BaseException as error:
            for call in calls:
                call.error = call.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for call in calls:
                call.done = True
