"""How long operations say how far they are: a protocol, and the one that says nothing.

An operation calls `start` once per phase, `advance` as it goes, and `finish` at the end, also when
it fails. All calls come from the thread that called the operation.
"""

from typing import Protocol


class Progress(Protocol):
    """What an operation tells its caller while it runs. Amounts are bytes."""

    def start(self, total: int | None, label: str) -> None:
        """A phase begins: `total` bytes are to be done, or None where that is not known."""

    def advance(self, count: int, items: int = 0) -> None:
        """`count` more bytes are done, and `items` more files or entries."""

    def finish(self) -> None:
        """The operation ended, well or not. Called once."""


class NoProgress:
    """Takes every call and shows nothing."""

    def start(self, total: int | None, label: str) -> None:
        """Shows nothing."""

    def advance(self, count: int, items: int = 0) -> None:
        """Shows nothing."""

    def finish(self) -> None:
        """Shows nothing."""


NO_PROGRESS: Progress = NoProgress()
