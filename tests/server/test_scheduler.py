"""Schedules become tasks: each run once, none piled up, whatever the clock does."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.errors import DamagedError
from aeordb.format.system import CRON
from aeordb.server import cronfile
from aeordb.server.scheduler import Scheduler
from aeordb.server.settings import Settings
from aeordb.server.taskfile import Tally
from aeordb.server.tasks import WAITING_MAX, TaskList
from aeordb.versions.system import put_system_file
from tests.kit.asgi import Clock
from tests.kit.tasks import Gate, job

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = int(datetime(2026, 4, 19, 12, tzinfo=UTC).timestamp() * 1000)
WAIT = 60.0


class Server:
    """What of a server makes and runs tasks, without its threads."""

    def __init__(self, db: aeordb.Database, folder: Path, clock: Clock) -> None:
        self.db, self.clock = db, clock
        self.settings = Settings(db.path, backup_dir=str(folder))
        self.tasks = TaskList(db, self.settings, clock)
        self.scheduler = Scheduler(db, self.tasks, clock)

    def add(self, name: str, schedule: str, task_type: str = "test", **fields: Any) -> None:
        new = {"id": name, "schedule": schedule, "task_type": task_type, **fields}
        self.db.run(lambda tx: cronfile.add_schedule(tx.writer, self.settings, new))

    def change(self, name: str, **fields: Any) -> None:
        self.db.run(lambda tx: cronfile.change_schedule(tx.writer, self.settings, name, fields))

    def wait(self, milliseconds: int) -> int:
        """Lets time pass; how many tasks that makes."""
        self.clock.now += milliseconds
        before = len(self.tasks.all())
        self.scheduler.tick()
        return len(self.tasks.all()) - before

    def tally(self, name: str) -> Tally:
        [tally] = [one for one in self.tasks.tallies() if one.schedule == name]
        return tally


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def start(db: aeordb.Database, tmp_path: Path, clock: Clock) -> Callable[[], Server]:
    """Starts the server, again perhaps."""
    return lambda: Server(db, tmp_path / "backups", clock)


@pytest.fixture
def server(start: Callable[[], Server]) -> Server:
    return start()


@pytest.fixture(autouse=True)
def _test_tasks() -> Any:
    with job("test", lambda _: {}):
        yield


def test_a_run_at_its_time(server: Server) -> None:
    server.add("nightly", "0 1 * * *")
    assert server.wait(0) == 0
    assert server.wait(13 * HOUR - 1) == 0
    assert server.wait(1) == 1
    assert (server.tasks.all()[0].schedule, server.tasks.all()[0].status) == ("nightly", "pending")
    server.tasks.run_waiting()
    assert server.wait(0) == 0
    assert server.wait(DAY - 1) == 0
    assert server.wait(1) == 1
    assert (server.tally("nightly").completed, server.tally("nightly").missed) == (1, 0)


def test_a_look_tells_when_the_next_run_is(server: Server) -> None:
    assert server.scheduler.tick() is None
    server.add("nightly", "0 1 * * *")
    server.add("hourly", "30 * * * *")
    server.add("off", "* * * * *", enabled=False)
    assert server.scheduler.tick() == START + 30 * MINUTE


def test_missed_runs_are_not_piled_up(server: Server) -> None:
    server.add("hourly", "0 * * * *")
    server.wait(0)
    assert server.wait(10 * HOUR) == 1
    assert server.tally("hourly").missed == 9
    # The run before has not ended.
    assert server.wait(3 * HOUR) == 0
    assert server.tally("hourly").missed == 12
    server.tasks.run_waiting()
    assert server.wait(0) == 0
    assert server.wait(HOUR) == 1


def test_a_year_without_a_server_costs_no_time(server: Server) -> None:
    server.add("each minute", "* * * * *")
    server.wait(0)
    assert server.wait(365 * DAY) == 1
    assert server.tally("each minute").missed == 999


def test_what_a_server_that_was_down_missed_comes_once(
    server: Server, start: Callable[[], Server]
) -> None:
    server.add("nightly", "0 1 * * *")
    server.add("weekly", "0 2 * * 0")
    server.wait(0)
    server = start()
    assert server.wait(3 * DAY) == 1
    assert [task.schedule for task in server.tasks.all()] == ["nightly"]
    assert server.tally("nightly").missed == 2
    server = start()
    assert server.wait(0) == 0


def test_a_new_schedule_starts_now(server: Server) -> None:
    """Also one that is changed, or enabled again: no run of the time before."""
    server.add("a", "0 1 * * *")
    server.wait(0)
    server.change("a", enabled=False)
    assert server.wait(3 * DAY) == 0
    server.change("a", enabled=True)
    assert server.wait(HOUR) == 0
    server.change("a", schedule="0 11 * * *")
    assert server.wait(0) == 0
    server.change("a", args={})
    assert server.wait(DAY) == 1


def test_what_aeordb_can_do_and_we_cannot_stays_still(server: Server, db: aeordb.Database) -> None:
    content = b"""{"schedules": [{"id": "default-cleanup", "task_type": "cleanup",
        "schedule": "0 * * * *", "args": {}, "enabled": true}]}"""
    with db.transaction() as tx:
        put_system_file(tx.writer, CRON, content, "application/json")
    assert server.scheduler.tick() is None
    assert server.wait(DAY) == 0
    assert server.tasks.tallies() == []


def test_a_clock_that_was_wrong_for_a_while(server: Server, clock: Clock) -> None:
    """A year ahead for a moment: without care, nothing would run for a year."""
    server.add("nightly", "0 1 * * *")
    server.wait(0)
    assert server.wait(365 * DAY) == 1
    server.tasks.run_waiting()
    clock.now = START
    assert server.wait(0) == 0
    assert server.wait(13 * HOUR) == 1


def test_a_clock_that_is_set_a_little_runs_nothing_twice(server: Server) -> None:
    server.add("nightly", "0 1 * * *")
    server.wait(0)
    assert server.wait(13 * HOUR) == 1
    server.tasks.run_waiting()
    assert server.wait(-10 * MINUTE) == 0
    assert server.wait(10 * MINUTE) == 0
    assert server.wait(DAY) == 1


def test_a_deleted_schedule_is_forgotten(server: Server, db: aeordb.Database) -> None:
    server.add("a", "0 1 * * *")
    server.add("b", "0 1 * * *")
    server.wait(DAY)
    db.run(lambda tx: cronfile.delete_schedule(tx.writer, "a"))
    server.wait(0)
    assert [tally.schedule for tally in server.tasks.tallies()] == ["b"]


def test_a_failed_run_counts(server: Server) -> None:
    server.add("v1", "0 1 * * *", "backup", args={"snapshot": "v1"})
    server.wait(0)
    for _ in range(2):
        assert server.wait(DAY) == 1
        server.tasks.run_waiting()
    tally = server.tally("v1")
    assert (tally.failed, tally.completed, tally.last_success) == (2, 0, None)


def test_too_many_tasks_stop_no_schedule_for_ever(server: Server) -> None:
    server.add("a", "0 * * * *")
    server.wait(0)
    for _ in range(WAITING_MAX):
        server.tasks.submit("test", {})
    assert server.wait(HOUR) == 0
    server.tasks.run_waiting()
    server.clock.now += HOUR
    server.scheduler.tick()
    assert server.tasks.is_live("a")


def test_a_file_that_cannot_be_read_keeps_what_is_known(
    server: Server, db: aeordb.Database
) -> None:
    server.add("a", "0 1 * * *")
    server.wait(0)
    with db.transaction() as tx:
        put_system_file(tx.writer, CRON, b"{", "application/json")
    with pytest.raises(DamagedError):
        server.wait(DAY)
    assert server.tally("a").handled == START


def test_the_threads(server: Server, db: aeordb.Database, clock: Clock) -> None:
    """As in a server: the schedule's task is made when the clock says so, and run."""
    gate = Gate()
    with job("gated", gate):
        server.add("a", "0 1 * * *", "gated")
        server.scheduler.tick()
        server.tasks.start()
        server.scheduler.start()
        try:
            clock.now += DAY
            server.scheduler.refresh()
            assert gate.begun.wait(WAIT)
            [task] = server.tasks.all()
            gate.may_end.set()
            assert server.tasks.future(task.id).result(WAIT).status == "completed"
        finally:
            server.scheduler.stop()
            server.tasks.stop()


def test_the_thread_goes_on_after_a_fault(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    gate.may_end.set()
    looks = iter([RuntimeError("as the test wants it"), DamagedError(path=CRON)])
    tick = server.scheduler.tick

    def look() -> int | None:
        fault = next(looks, None)
        if fault is None:
            return tick()
        server.scheduler.poke()
        raise fault

    monkeypatch.setattr(server.scheduler, "tick", look)
    with job("gated", gate):
        server.add("a", "0 1 * * *", "gated")
        tick()
        clock.now += DAY
        server.tasks.start()
        server.scheduler.start()
        try:
            assert gate.begun.wait(WAIT)
        finally:
            server.scheduler.stop()
            server.tasks.stop()
    assert "a fault in the scheduler" in caplog.text
