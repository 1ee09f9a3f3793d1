"""How far a task is, and the way to stop it."""

from __future__ import annotations

import threading
from typing import Any


class CancelledError(Exception):
    """The task was told to stop. The operations of the library leave nothing half-done then."""


class Watch:
    """A :class:`aeordb.Progress` that remembers, and raises CancelledError once it was told to."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._label = ""
        self._total: int | None = None
        self._done = 0
        self._items = 0

    def start(self, total: int | None, label: str) -> None:
        """A phase begins."""
        self._check()
        self._label, self._total, self._done, self._items = label, total, 0, 0

    def advance(self, count: int, items: int = 0) -> None:
        """So much more is done."""
        self._done += count
        self._items += items
        self._check()

    def finish(self) -> None:
        """The operation ended."""

    def cancel(self) -> None:
        """Stops the task at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._cancelled.is_set()

    def to_json(self) -> dict[str, Any]:
        """The phase, and its bytes and entries so far; `total` is None where it is not known."""
        return {
            "label": self._label,
            "total": self._total,
            "done": self._done,
            "items": self._items,
        }

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise CancelledError
