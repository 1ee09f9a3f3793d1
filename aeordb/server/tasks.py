"""The tasks of a server: one runs, others wait, and what became of them is kept in the database."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aeordb.errors import AeorDBError, NotFoundError
from aeordb.format.errors import FormatError
from aeordb.server.errors import BusyError
from aeordb.server.jobs import BACKUP, clean_job, run_job
from aeordb.server.settings import Settings
from aeordb.server.taskfile import BY_HAND, LIVE, Status, Tally, Task, read_tasks, write_tasks
from aeordb.server.watch import CancelledError, Watch

if TYPE_CHECKING:
    from aeordb import Database

log = logging.getLogger("aeordb.server")

WAITING_MAX: Final = 100
ENDED_MAX: Final = 100
"""How many tasks may wait, and how many that are over are still listed."""
Tallies = dict[tuple[str, str], Tally]
_GONE: Final = "the server went away while it ran"
_STOPPED: Final = "the server was stopped"


class TaskList:
    """The tasks of one database, by age. Threads may share it.

    Invariants: one task runs at a time. What is on disk is never newer than what is in memory, and
    a task that waits is on disk before `submit` returns, if the database still takes writes at all:
    a backup runs even when it does not.
    """

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], int]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition()
        self._saving = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._watch = Watch()
        self._futures: dict[str, Future[Task]] = {}
        tasks, tallies = read_tasks(database)
        self._tasks = {task.id: task for task in tasks}
        self._tallies = {(tally.schedule, tally.task_type): tally for tally in tallies}
        self._waiting = deque(task.id for task in tasks if task.status == "pending")
        interrupted = [task for task in tasks if task.status == "running"]
        for task in interrupted:
            self._end(task, "interrupted", error=_failure(_GONE))
        self._interrupted = interrupted

    # -- asking -----------------------------------------------------------------------------

    def all(self) -> list[Task]:
        """Every task that is known, the newest first."""
        with self._changed:
            return list(self._tasks.values())[::-1]

    def get(self, task_id: str) -> Task:
        """One task. Raises NotFoundError."""
        with self._changed:
            return self._get(task_id)

    def tallies(self) -> list[Tally]:
        """What became of all tasks so far, by schedule and type."""
        with self._changed:
            return list(self._tallies.values())

    def progress(self, task: Task) -> dict[str, Any] | None:
        """How far a task is; None if it does not run."""
        with self._changed:
            now = self._tasks.get(task.id, task)
            return self._watch.to_json() if now.status == "running" else None

    def is_live(self, schedule: str) -> bool:
        """Whether a task of this schedule waits or runs."""
        with self._changed:
            tasks = self._tasks.values()
            return any(task.schedule == schedule and task.status in LIVE for task in tasks)

    def find(self, task_type: str, args: Mapping[str, Any]) -> Task | None:
        """A task that waits, of this type and with these arguments."""
        with self._changed:
            for task_id in self._waiting:
                task = self._tasks[task_id]
                if (task.task_type, task.args) == (task_type, args):
                    return task
            return None

    # -- doing ------------------------------------------------------------------------------

    def submit(
        self, task_type: str, args: Mapping[str, Any], *, schedule: str | None = None
    ) -> Task:
        """Adds a task to those that wait. Raises BusyError if there are too many."""
        with self._changed:
            if len(self._waiting) >= WAITING_MAX:
                raise BusyError(f"{WAITING_MAX} tasks wait already")
            task = Task(str(uuid.uuid4()), task_type, "pending", self._clock(), args, schedule)
            self._tasks[task.id] = task
            self._futures[task.id] = Future()
        self.save()
        with self._changed:
            if self._tasks.get(task.id) is task:  # not cancelled meanwhile
                self._waiting.append(task.id)
                self._changed.notify_all()
        return task

    def update(self, change: Callable[[Tallies], Tallies]) -> bool:
        """Replaces the tallies by what `change` makes of them, as one step; whether they differ.

        They are on disk with the next `submit` or `save`.
        """
        with self._changed:
            before, self._tallies = self._tallies, change(dict(self._tallies))
            return before != self._tallies

    def future(self, task_id: str) -> Future[Task]:
        """Gives the task once it is over. Raises NotFoundError."""
        with self._changed:
            task = self._get(task_id)
            if task.status not in LIVE:
                done: Future[Task] = Future()
                done.set_result(task)
                return done
            return self._futures.setdefault(task_id, Future())

    def cancel(self, task_id: str) -> Task:
        """Takes a task out of those that wait, or stops it at its next step; one that is over
        stays as it is. Raises NotFoundError."""
        with self._changed:
            task = self._get(task_id)
            if task.status == "running":
                self._watch.cancel()
            if task.status != "pending":
                return task
            if task_id in self._waiting:
                self._waiting.remove(task_id)
            task, future = self._end(task, "cancelled")
        self.save()
        _answer(future, task)
        return task

    def start(self) -> None:
        """Starts the thread that runs what waits."""
        for task in self._interrupted:
            self._clean(task)
        if self._interrupted:
            self.save()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="aeordb-tasks")
        self._thread.start()

    def stop(self) -> None:
        """Interrupts the task that runs, and waits for its end. What waits does so on disk."""
        with self._changed:
            self._stopping = True
            self._watch.cancel()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_waiting(self) -> None:
        """Runs all that waits, in this thread."""
        while self._waiting:
            self.run_next()

    def run_next(self) -> None:
        """Runs what has waited longest, in this thread."""
        self._run(self._waiting[0])

    def save(self) -> None:
        """Notes the list in the database. If that fails the list is in memory alone."""
        with self._saving:
            with self._changed:
                tasks, tallies = list(self._tasks.values()), list(self._tallies.values())
            try:
                write_tasks(self._database, tasks, tallies)
            except (AeorDBError, FormatError, OSError) as error:
                log.warning("the list of tasks is not saved: %s", error)

    # -- running ----------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._stopping):
                    self._changed.wait()
                if self._stopping:
                    return
                task_id = self._waiting[0]
            self._run(task_id)

    def _run(self, task_id: str) -> None:
        with self._changed:
            if task_id not in self._waiting:
                return
            self._waiting.remove(task_id)
            started = self._clock()
            task = replace(self._tasks[task_id], status="running", started_at=started)
            self._tasks[task_id] = task
            watch = self._watch = Watch()
            if self._stopping:
                watch.cancel()
        self.save()
        log.info("task %s (%s) starts", task.id, task.task_type)
        status: Status = "completed"
        result = error = None
        try:
            result = run_job(
                self._database, self._settings, task.task_type, task.args, started, watch
            )
        except CancelledError:
            status = "interrupted" if self._stopping else "cancelled"
            error = _failure(_STOPPED) if self._stopping else None
        except (AeorDBError, OSError) as fault:
            status = "failed"
            error = fault.to_json() if isinstance(fault, AeorDBError) else _failure(str(fault))
        except Exception as fault:
            log.exception("a fault in a task of type %s", task.task_type)
            status, error = "failed", _failure(f"{type(fault).__name__}; the log says where")
        with self._changed:
            task, future = self._end(task, status, result=result, error=error)
        if status == "failed":
            log.error("task %s (%s) failed: %s", task.id, task.task_type, error)
        else:
            log.info("task %s (%s): %s", task.id, task.task_type, status)
        self.save()
        _answer(future, task)

    def _clean(self, task: Task) -> None:
        try:
            clean_job(self._settings, task.task_type, task.args, task.started_at or 0)
        except (AeorDBError, OSError) as error:
            log.warning("what task %s left is still there: %s", task.id, error)

    def _end(
        self,
        task: Task,
        status: Status,
        *,
        result: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> tuple[Task, Future[Task] | None]:
        """Puts down how a task ended, and forgets the oldest ones that are over."""
        now = self._clock()
        task = replace(task, status=status, completed_at=now, result=result, error=error)
        self._tasks[task.id] = task
        key = (task.schedule or BY_HAND, task.task_type)
        self._tallies[key] = _count(self._tallies.get(key, Tally(*key)), task, now)
        over = [one.id for one in self._tasks.values() if one.status not in LIVE]
        for task_id in over[: max(0, len(over) - ENDED_MAX)]:
            del self._tasks[task_id]
        return task, self._futures.pop(task.id, None)

    def _get(self, task_id: str) -> Task:
        try:
            return self._tasks[task_id]
        except KeyError:
            raise NotFoundError(what="task", name=task_id) from None


def _count(tally: Tally, task: Task, now: int) -> Tally:
    tally = replace(tally, **{task.status: getattr(tally, task.status) + 1})
    if task.status != "completed":
        return tally
    made = (task.result or {}).get("bytes") if task.task_type == BACKUP else None
    return replace(
        tally,
        last_success=now,
        last_duration=max(0, now - (task.started_at or now)),
        # A run that found nothing new made no file; the one before still counts.
        last_bytes=made or tally.last_bytes,
    )


def _answer(future: Future[Task] | None, task: Task) -> None:
    if future is not None and future.set_running_or_notify_cancel():
        future.set_result(task)


def _failure(message: str) -> dict[str, Any]:
    return {"code": AeorDBError.code, "message": message}
