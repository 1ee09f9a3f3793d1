"""The list of tasks: their order, how they end, and what is known of them after a restart."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.backup import scheduled
from aeordb.backup.retention import make_name
from aeordb.errors import DamagedError, NotDurableError, NotFoundError
from aeordb.progress import Progress
from aeordb.server import tasks as tasks_module
from aeordb.server.errors import BusyError
from aeordb.server.settings import Settings
from aeordb.server.taskfile import PATH, Tally
from aeordb.server.tasks import ENDED_MAX, WAITING_MAX, TaskList
from aeordb.server.watch import CancelledError, Watch
from aeordb.versions.system import put_system_file, read_system_file
from tests.kit.asgi import Clock
from tests.kit.rules import assert_file
from tests.kit.tasks import Gate, job

WAIT = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def make(db: aeordb.Database, folder: Path, clock: Clock) -> Callable[[], TaskList]:
    """The list of tasks as a server that has just started finds it."""
    return lambda: TaskList(db, Settings(db.path, backup_dir=str(folder)), clock)


@pytest.fixture
def tasks(make: Callable[[], TaskList]) -> Iterator[TaskList]:
    """A list of tasks without a thread."""
    made = make()
    yield made
    made.stop()


def the_tally(tasks: TaskList) -> Tally:
    [tally] = tasks.tallies()
    return tally


def test_a_backup(db: aeordb.Database, tasks: TaskList, folder: Path, clock: Clock) -> None:
    db["/a"] = b"1"
    task = tasks.submit("backup", {"retention_count": 3})
    assert (task.status, task.created_at) == ("pending", clock.now)
    clock.now += 1000
    tasks.run_waiting()
    task = tasks.get(task.id)
    assert (task.status, task.started_at, task.error) == ("completed", clock.now, None)
    [name] = os.listdir(folder)
    assert task.result is not None
    assert task.result["output"] == str(folder / name)
    assert (task.result["version"], task.result["recorded"]) == (db.head.hex(), True)
    assert tasks.future(task.id).result(0) == task
    tally = the_tally(tasks)
    assert (tally.schedule, tally.completed, tally.last_success) == ("", 1, clock.now)
    assert tally.last_bytes == os.path.getsize(folder / name)


def test_a_run_that_finds_nothing_new_keeps_the_size_of_the_last(tasks: TaskList) -> None:
    sizes = []
    for _ in range(2):
        tasks.submit("backup", {"patches": 3})
        tasks.run_waiting()
        sizes.append(the_tally(tasks).last_bytes)
    result = tasks.all()[0].result
    assert result is not None
    assert result["kind"] == "unchanged"
    assert sizes[0]
    assert sizes[0] == sizes[1]


def test_one_runs_at_a_time_in_the_order_of_coming(tasks: TaskList) -> None:
    ran: list[int] = []
    ids = []
    for number in range(3):

        def work(_: Progress, number: int = number) -> dict[str, Any]:
            ran.append(number)
            assert [task.status for task in tasks.all()].count("running") == 1
            return {}

        with job(f"test-{number}", work):
            ids.append(tasks.submit(f"test-{number}", {}).id)
            tasks.run_waiting()
    assert ran == [0, 1, 2]
    assert [task.id for task in tasks.all()] == ids[::-1]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (NotFoundError(what="snapshot", name="v1"), {"code": "not_found", "name": "v1"}),
        (DamagedError(key=b"\x01\x02"), {"code": "damaged", "key": "0102"}),
        (OSError(13, "Permission denied"), {"code": "failed"}),
        (RuntimeError("a secret"), {"message": "RuntimeError; the log says where"}),
    ],
)
def test_a_failure_is_noted_and_the_next_task_runs(
    tasks: TaskList, fault: Exception, expected: dict[str, Any]
) -> None:
    def fail(_: Progress) -> dict[str, Any]:
        raise fault

    with job("test", fail):
        failed = tasks.submit("test", {})
        after = tasks.submit("backup", {})
        tasks.run_waiting()
    task = tasks.get(failed.id)
    assert (task.status, task.result) == ("failed", None)
    assert task.error is not None
    assert expected.items() <= task.error.items()
    assert tasks.get(after.id).status == "completed"
    assert {tally.task_type: tally.failed for tally in tasks.tallies()} == {"test": 1, "backup": 0}


def test_a_task_that_waits_is_cancelled_at_once(tasks: TaskList, folder: Path) -> None:
    task = tasks.submit("backup", {})
    future = tasks.future(task.id)
    assert tasks.cancel(task.id).status == "cancelled"
    assert future.result(0).status == "cancelled"
    tasks.run_waiting()
    assert not folder.exists()
    assert tasks.cancel(task.id).status == "cancelled"
    assert the_tally(tasks).cancelled == 1
    with pytest.raises(NotFoundError):
        tasks.cancel("nothing")


def test_a_task_that_runs_is_cancelled_at_its_next_step(tasks: TaskList) -> None:
    gate = Gate()
    with job("test", gate):
        tasks.start()
        task = tasks.submit("test", {})
        assert gate.begun.wait(WAIT)
        shown = tasks.progress(task)
        assert shown is not None
        assert (shown["label"], shown["total"]) == ("Working", 100)
        assert tasks.cancel(task.id).status == "running"
        ended = tasks.future(task.id).result(WAIT)
    assert (ended.status, ended.result, ended.error) == ("cancelled", None, None)
    assert tasks.progress(ended) is None


@pytest.mark.parametrize("phase", ["Reading the version", "Copying", "Checking the backup"])
def test_a_backup_that_is_cancelled_leaves_nothing(
    db: aeordb.Database, tasks: TaskList, folder: Path, phase: str
) -> None:
    """Also none that nobody has checked: retention would count it among those to be kept."""
    db.put("/big", os.urandom(3 << 20))
    seen = []
    watch = tasks_module.Watch

    class Stopping(watch):  # type: ignore[misc, valid-type]
        def start(self, total: int | None, label: str) -> None:
            seen.append(label)
            super().start(total, label)
            if label.startswith(phase):
                self.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks_module, "Watch", Stopping)
        task = tasks.submit("backup", {})
        tasks.run_waiting()
    assert any(label.startswith(phase) for label in seen[-2:]), seen
    assert tasks.get(task.id).status == "cancelled"
    assert os.listdir(folder) == []


def test_a_restart_shows_what_was_interrupted_and_runs_what_waited(
    tasks: TaskList, make: Callable[[], TaskList], clock: Clock
) -> None:
    gate = Gate()
    with job("test", gate):
        tasks.start()
        running = tasks.submit("test", {"a": 1}, schedule="nightly")
        waiting = tasks.submit("backup", {})
        assert gate.begun.wait(WAIT)
        # Killed here: what is in the database is what the next server finds.
        clock.now += 5000
        after = make()
        gate.may_end.set()
        tasks.future(waiting.id).result(WAIT)
    found = after.get(running.id)
    assert (found.status, found.schedule, found.args) == ("interrupted", "nightly", {"a": 1})
    assert found.completed_at == clock.now
    assert found.error is not None
    assert after.get(waiting.id).status == "pending"
    after.run_waiting()
    assert after.get(waiting.id).status == "completed"
    assert make().all() == after.all()
    assert {tally.schedule: tally.interrupted for tally in make().tallies()} == {
        "nightly": 1,
        "": 0,
    }


def test_a_server_that_stops_interrupts_its_task(
    tasks: TaskList, make: Callable[[], TaskList]
) -> None:
    gate = Gate()
    with job("test", gate):
        tasks.start()
        running, waiting = tasks.submit("test", {}), tasks.submit("test", {})
        assert gate.begun.wait(WAIT)
        tasks.stop()
    after = make()
    assert after.get(running.id).status == "interrupted"
    assert after.get(waiting.id).status == "pending"
    assert tasks.future(running.id).result(0).status == "interrupted"


def test_the_list_goes_into_no_export(db: aeordb.Database, tasks: TaskList, tmp_path: Path) -> None:
    key = db.create_root_key()
    tasks.submit("backup", {"snapshot": "some-secret-plan"})
    tasks.run_waiting()
    db.export(tmp_path / "all.aeordb", root_key=key)
    assert b"some-secret-plan" not in (tmp_path / "all.aeordb").read_bytes()
    assert_file(tmp_path / "all.aeordb")


def test_old_tasks_are_forgotten_and_few_may_wait(
    tasks: TaskList, make: Callable[[], TaskList], monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    monkeypatch.setattr(tasks, "save", lambda: saves.append(1))
    with job("test", lambda _: {}):
        for _ in range(2):
            for _ in range(WAITING_MAX):
                tasks.submit("test", {})
            with pytest.raises(BusyError):
                tasks.submit("test", {})
            tasks.run_waiting()
    assert len(tasks.all()) == ENDED_MAX
    assert the_tally(tasks).completed == 2 * WAITING_MAX
    monkeypatch.undo()
    tasks.save()
    assert make().all() == tasks.all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"$v": 1}',
        b'{"tasks": 5}',
        b'{"tasks": [5]}',
        b'{"tasks": [{"id": "a"}]}',
        b'{"tasks": [{"id": "a", "task_type": "gc", "status": "odd", "created_at": 1}]}',
        b'{"tasks": [{"id": "a", "task_type": "gc", "status": "running", "created_at": "1"}]}',
        b'{"tallies": [{"schedule": "a", "task_type": null}]}',
    ],
)
def test_a_note_that_makes_no_sense_is_begun_anew(
    db: aeordb.Database, make: Callable[[], TaskList], content: bytes
) -> None:
    with db.transaction() as tx:
        put_system_file(tx.writer, PATH, content, "application/json")
    tasks = make()
    assert (tasks.all(), tasks.tallies()) == ([], [])
    tasks.submit("backup", {})
    data = read_system_file(db.reader(), PATH)
    assert data is not None
    assert len(json.loads(data)["tasks"]) == 1


def test_a_backup_runs_even_if_the_database_takes_no_more_writes(
    db: aeordb.Database, tasks: TaskList, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own disk being full is no reason to have no backup on another one."""
    db["/a"] = b"1"

    def full(*_: object) -> None:
        raise NotDurableError(reason="no space left")

    monkeypatch.setattr(type(db), "run_alone", full)
    task = tasks.submit("backup", {})
    tasks.run_waiting()
    monkeypatch.undo()
    result = tasks.get(task.id).result
    assert result is not None
    assert (result["kind"], result["recorded"]) == ("full", False)
    [name] = os.listdir(folder)
    with aeordb.open(folder / name, "r") as backup:
        assert dict(backup) == {"/a": b"1"}


def test_a_backup_that_does_not_read_back_fails_and_is_taken_away(
    tasks: TaskList, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(path: str, *_: object, **__: object) -> None:
        raise DamagedError(path=path, reason="as the test wants it")

    monkeypatch.setattr(scheduled, "recheck", bad)
    task = tasks.submit("backup", {"retention_count": 1})
    tasks.run_waiting()
    assert tasks.get(task.id).status == "failed"
    assert os.listdir(folder) == []


def test_what_a_killed_backup_left_is_taken_away(
    tasks: TaskList, make: Callable[[], TaskList], folder: Path, clock: Clock
) -> None:
    """Its name has its time, so that no later run would write over it."""
    gate = Gate()
    folder.mkdir()
    names = [
        make_name(kind, label, clock.now + later) + end
        for kind in ("full", "patch")
        for label in ("head", "v1")
        for later in (0, 1000)
        for end in ("", ".part", ".unchecked", ".unchecked.part")
    ]
    for name in names:
        (folder / name).write_bytes(b"half of it")
    with job("backup", gate):
        tasks.start()
        task = tasks.submit("backup", {"snapshot": "v1"})
        assert gate.begun.wait(WAIT)
        after = make()
        gate.may_end.set()
        tasks.future(task.id).result(WAIT)
    after.start()
    after.stop()
    ends = (".unchecked", ".unchecked.part")
    gone = {make_name(kind, "v1", clock.now) + end for kind in ("full", "patch") for end in ends}
    assert set(names) - set(os.listdir(folder)) == gone


@pytest.mark.parametrize("last_step", [1, 2, 3, 5, 8, 13, 21])
def test_a_gc_that_is_cancelled_loses_nothing(
    db: aeordb.Database, tasks: TaskList, last_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        db[f"/{number % 7}"] = os.urandom(3000) + bytes([number])
    before = dict(db)
    steps = 0

    def check(_watch: Watch) -> None:
        nonlocal steps
        steps += 1
        if steps == last_step:
            raise CancelledError

    monkeypatch.setattr(Watch, "_check", check)
    task = tasks.submit("gc", {})
    tasks.run_waiting()
    monkeypatch.undo()
    assert tasks.get(task.id).status == ("cancelled" if steps >= last_step else "completed")
    assert dict(db) == before
    assert db.verify().ok
    db["/more"] = b"1"
    tasks.submit("gc", {})
    tasks.run_waiting()
    assert tasks.all()[0].status == "completed"
    assert dict(db) == {**before, "/more": b"1"}
    assert db.verify().ok
