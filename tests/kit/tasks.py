"""Tasks under the tests' control: one step at a time, with a clock that stands still."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import aeordb
from aeordb.progress import Progress
from aeordb.server import jobs
from aeordb.server.settings import Settings

Work = Callable[[Progress], dict[str, Any]]


@contextmanager
def job(name: str, work: Work) -> Iterator[None]:
    """A type of task for a test; it does with the arguments of the one in whose place it stands."""

    def run(
        _db: aeordb.Database,
        _settings: Settings,
        _args: Mapping[str, Any],
        _time: int,
        progress: Progress,
    ) -> dict[str, Any]:
        return work(progress)

    args = jobs.JOBS[name].args if name in jobs.JOBS else {}
    made = jobs.Job(args, lambda _settings, _args: None, run)
    with mock.patch.dict(jobs.JOBS, {name: made}):  # type: ignore[arg-type]
        yield


class Gate:
    """Work that says when it has begun, and goes on until it is told to end, or cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, progress: Progress) -> dict[str, Any]:
        progress.start(100, "Working")
        self.begun.set()
        while not self.may_end.wait(0.001):
            progress.advance(1, 1)
        return {"ok": True}
