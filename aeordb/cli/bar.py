"""Progress on a terminal: bytes, rate and time left, once an operation has lasted a second."""

import threading
from typing import TYPE_CHECKING, TextIO

from aeordb.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PATIENCE = 1.0  # seconds without a bar


def bar_for(stream: TextIO, *, wanted: bool) -> Progress:
    """A bar on the stream if it is a terminal and a bar is wanted; else nothing."""
    return Bar(stream) if wanted and stream.isatty() else NO_PROGRESS


class Bar:
    """One operation's progress. `_lock` guards all fields: a timer thread shows the bar."""

    def __init__(self, stream: TextIO, patience: float = PATIENCE) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._label = ""
        self._total: int | None = None
        self._done = 0
        self._items = 0
        self._timer: threading.Timer | None = None
        self._patience = patience

    def start(self, total: int | None, label: str) -> None:
        """A phase begins; the patience counts from the first."""
        with self._lock:
            self._total, self._label, self._done, self._items = total, label, 0, 0
            if self._bar is not None and self._task is not None:
                self._bar.remove_task(self._task)
                self._task = self._add_task(self._bar)
            elif self._timer is None:
                self._timer = threading.Timer(self._patience, self._show)
                self._timer.daemon = True
                self._timer.start()

    def advance(self, count: int, items: int = 0) -> None:
        """Bytes and items more are done."""
        with self._lock:
            self._done += count
            self._items += items
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=self._done, items=self._items_text())

    def finish(self) -> None:
        """Takes the bar away."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._bar is not None:
                self._bar.stop()
            self._timer = self._bar = None

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as RichProgress

        bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[items]}"),
            console=Console(file=self._stream),
            transient=True,
        )
        with self._lock:
            if self._timer is None:  # finished while rich was imported
                return
            self._bar = bar
            self._task = self._add_task(bar)
            bar.start()

    def _add_task(self, bar: "RichProgress") -> "TaskID":
        return bar.add_task(
            self._label, total=self._total, completed=self._done, items=self._items_text()
        )

    def _items_text(self) -> str:
        return f"{self._items} files" if self._items else ""
