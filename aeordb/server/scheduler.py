"""The clock of a server: turns schedules that are due into tasks.

Runs are not piled up: however many were due since the last look (the server was down, or the run
before had not ended) make one task at most, and the others are counted as missed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aeordb.errors import AeorDBError
from aeordb.server.cronfile import read_schedules
from aeordb.server.errors import BusyError
from aeordb.server.jobs import JOBS
from aeordb.server.schedules import Schedule
from aeordb.server.taskfile import BY_HAND, Tally
from aeordb.server.tasks import Tallies, TaskList

if TYPE_CHECKING:
    from aeordb import Database

log = logging.getLogger("aeordb.server")

LOOK_SECONDS: Final = 60.0
"""The longest time between two looks: the machine's clock may be set meanwhile."""
_SET_BACK_MS = 3_600_000
_COUNT_MAX = 1_000


class Scheduler:
    """Looks which schedules are due, and gives their tasks to a :class:`TaskList`."""

    def __init__(self, database: Database, tasks: TaskList, clock: Callable[[], int]) -> None:
        self._database = database
        self._tasks = tasks
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread that looks."""
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="aeordb-cron")
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def refresh(self) -> None:
        """The schedules have changed: takes note of them, and looks in time for the new ones."""
        self._look()
        self.poke()

    def poke(self) -> None:
        """Ends the wait for the next run: looks at once."""
        self._wake.set()

    def tick(self) -> int | None:
        """Makes tasks of what is due; when the next run is, in milliseconds, None: never.

        Raises DamagedError for a file of schedules that cannot be read.
        """
        now = self._clock()
        schedules = [
            one for one in read_schedules(self._database.reader()) if one.task_type in JOBS
        ]
        due: list[Schedule] = []

        def look(tallies: Tallies) -> Tallies:
            kept = {key: tally for key, tally in tallies.items() if tally.schedule == BY_HAND}
            for schedule in schedules:
                key = (schedule.id, schedule.task_type)
                busy = self._tasks.is_live(schedule.id)
                kept[key], is_due = _judge(schedule, tallies.get(key, Tally(*key)), now, busy)
                if is_due:
                    due.append(schedule)
            return kept

        changed = self._tasks.update(look)
        for schedule in due:
            self._submit(schedule)
        if changed and not due:
            self._tasks.save()
        times = (schedule.next_after(now) for schedule in schedules)
        return min((time for time in times if time is not None), default=None)

    def _submit(self, schedule: Schedule) -> None:
        try:
            self._tasks.submit(schedule.task_type, schedule.args, schedule=schedule.id)
        except BusyError as error:
            log.error("schedule %s does not run: %s", schedule.id, error)

    def _work(self) -> None:
        while not self._stopping:
            self._wake.clear()
            due = self._look()
            seconds = LOOK_SECONDS
            if due is not None:
                seconds = min(seconds, max(0.0, (due - self._clock()) / 1000))
            if not self._stopping:
                self._wake.wait(seconds)

    def _look(self) -> int | None:
        """As `tick`; says in the log what goes wrong."""
        try:
            return self.tick()
        except (AeorDBError, OSError) as error:
            log.error("the schedules cannot be read: %s", error)
        except Exception:
            log.exception("a fault in the scheduler")
        return None


def _judge(schedule: Schedule, tally: Tally, now: int, busy: bool) -> tuple[Tally, bool]:
    """What has become of a schedule, and whether it is to run now."""
    is_new = tally.when != schedule.when
    was_set_back = tally.handled > now + _SET_BACK_MS
    if is_new or was_set_back:
        return replace(tally, when=schedule.when, handled=now), False
    count = 0
    time = schedule.next_after(tally.handled)
    while time is not None and time <= now and count < _COUNT_MAX:
        count += 1
        time = schedule.next_after(time)
    if not count:
        return tally, False
    missed = count - (not busy)
    return replace(tally, handled=now, missed=tally.missed + missed), not busy
