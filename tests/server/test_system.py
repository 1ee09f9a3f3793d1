"""`/system` over HTTP: schedules, tasks, gc, health, stats, and what Prometheus reads."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import aeordb
from aeordb.errors import LockedError
from aeordb.server import jobs
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import QuickLayer
from tests.kit.asgi import EPOCH, App, Clock
from tests.kit.rules import assert_file
from tests.kit.tasks import Gate, job

WAIT = 60.0
DAY = 86_400_000
WEEKLY = {
    "id": "weekly-backup",
    "schedule": "0 2 * * 0",
    "task_type": "backup",
    "args": {"retention_count": 4},
    "enabled": True,
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(db: aeordb.Database, clock: Clock) -> Iterator[App]:
    """The server over a new database, for whoever asks on this machine."""
    with App(db, clock, auth="disabled") as running:
        yield running


def ended(app: App, task: dict[str, Any]) -> dict[str, Any]:
    """A task once it is over."""
    app.app.state.tasks.future(task["id"]).result(WAIT)
    found: dict[str, Any] = app("GET", f"/system/tasks/{task['id']}").json()
    return found


def samples(app: App, key: str | None = None) -> dict[tuple[str, str, str], float]:
    """Metrics by name, schedule and the other label."""
    answer = app("GET", "/system/metrics", key)
    assert answer.status_code == 200
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            schedule = labels.pop("schedule", "")
            found[sample.name, schedule, " ".join(labels.values())] = sample.value
    return found


def test_the_manuals_schedule_as_curl_sends_it(app: App, tmp_path: Path) -> None:
    body = json.dumps({**WEEKLY, "args": {"backup_dir": str(tmp_path / "w"), "retention_count": 4}})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = app("POST", "/system/cron", content=body, headers=form)
    assert answer.status_code == 201
    assert answer.json() == {**json.loads(body), "timezone": "UTC", "next_run": 1_800_151_200_000}
    assert app("GET", "/system/cron").json() == {"items": [answer.json()]}


def test_a_schedule_s_life(app: App) -> None:
    assert app("POST", "/system/cron", json=WEEKLY).status_code == 201
    again = app("POST", "/system/cron", json=WEEKLY)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "exists")
    changes = {"enabled": False, "timezone": "Europe/Berlin"}
    changed = app("PATCH", "/system/cron/weekly-backup", json=changes)
    assert changed.json() == {**WEEKLY, **changes, "next_run": None}
    assert app("DELETE", "/system/cron/weekly-backup").json()["id"] == "weekly-backup"
    assert app("GET", "/system/cron").json() == {"items": []}
    for method in ("PATCH", "DELETE"):
        gone = app(method, "/system/cron/weekly-backup", json={} if method == "PATCH" else None)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"id": "a"}',
        {**WEEKLY, "schedule": "every day"},
        {**WEEKLY, "id": "a/b"},
        {**WEEKLY, "task_type": "cleanup"},
        {**WEEKLY, "retention_count": 7},
        {**WEEKLY, "args": {"retention_count": "7"}},
        {**WEEKLY, "args": {"retention_cuont": 7}},
        {**WEEKLY, "enabled": "yes"},
        {**WEEKLY, "timezone": "Mars/Base"},
    ],
)
def test_a_wrong_schedule(app: App, body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = app("POST", "/system/cron", content=data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "usage")
    assert app("GET", "/system/cron").json() == {"items": []}


def test_a_schedule_runs_when_its_time_comes(app: App, clock: Clock, tmp_path: Path) -> None:
    gate = Gate()
    with job("backup", gate):
        app("POST", "/system/cron", json={**WEEKLY, "args": {}})
        app.app.state.scheduler.tick()
        clock.now += 7 * DAY
        app.app.state.scheduler.refresh()
        assert gate.begun.wait(WAIT)
        [task] = app("GET", "/system/tasks").json()["items"]
        assert (task["schedule"], task["status"]) == ("weekly-backup", "running")
        assert task["progress"]["label"] == "Working"
        gate.may_end.set()
        assert ended(app, task)["status"] == "completed"


def test_a_backup_by_hand(app: App, db: aeordb.Database, tmp_path: Path) -> None:
    db["/a"] = b"1"
    started = app("POST", "/system/tasks/backup", json={"retention_count": 2})
    assert started.status_code == 202
    task = ended(app, started.json())
    assert (task["status"], task["schedule"], task["progress"]) == ("completed", None, None)
    assert task["result"]["version"] == db.head.hex()
    [name] = os.listdir(tmp_path / "backups")
    assert task["result"]["output"].endswith(name)
    # Without a body, too.
    assert app("POST", "/system/tasks/backup").status_code == 202
    wrong = app("POST", "/system/tasks/backup", json={"retention_count": -1})
    assert wrong.status_code == 400


def test_backups_are_confined_if_the_server_says_so(
    db: aeordb.Database, clock: Clock, tmp_path: Path
) -> None:
    with App(db, clock, auth="disabled", confine_backups=True) as app:
        outside = {"backup_dir": str(tmp_path)}
        assert app("POST", "/system/tasks/backup", json=outside).status_code == 400
        assert app("POST", "/system/cron", json={**WEEKLY, "args": outside}).status_code == 400
        inside = {"backup_dir": str(tmp_path / "backups" / "weekly")}
        task = ended(app, app("POST", "/system/tasks/backup", json=inside).json())
        assert task["status"] == "completed"
    assert len(os.listdir(tmp_path / "backups" / "weekly")) == 1


def test_a_task_is_cancelled(app: App) -> None:
    gate = Gate()
    with job("backup", gate):
        task = app("POST", "/system/tasks/backup").json()
        assert gate.begun.wait(WAIT)
        waiting = app("POST", "/system/tasks/backup").json()
        assert app("DELETE", f"/system/tasks/{waiting['id']}").json()["status"] == "cancelled"
        assert app("DELETE", f"/system/tasks/{task['id']}").status_code == 200
        assert ended(app, task)["status"] == "cancelled"
    gone = app("DELETE", "/system/tasks/nothing")
    assert (gone.status_code, gone.json()["error"]["what"]) == (404, "task")


def test_gc_answers_when_it_is_done(app: App, db: aeordb.Database) -> None:
    for number in range(5):
        db["/a"] = os.urandom(50_000) + bytes([number])
    dry = app("POST", "/system/gc", json={"dry_run": True})
    assert dry.status_code == 200
    assert dry.json()["dry_run"]
    assert dry.json()["garbage_entries"] > 0
    done = app("POST", "/system/gc").json()
    assert done["reclaimed_bytes"] > 150_000
    assert (done["versions"], done["dry_run"]) == (1, False)
    assert app("POST", "/system/tasks/gc").status_code == 202
    assert app("POST", "/system/gc", json={"dry_run": 1}).status_code == 400


def test_gc_waits_for_readers(
    app: App, db: aeordb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    attempts = iter([LockedError(readers=1), LockedError(readers=2)])
    collect = type(db).gc

    def gc(database: aeordb.Database, **options: Any) -> Any:
        for fault in attempts:
            raise fault
        return collect(database, **options)

    monkeypatch.setattr(type(db), "gc", gc)
    monkeypatch.setattr(jobs, "pause", lambda seconds, _progress: waits.append(seconds))
    assert app("POST", "/system/gc").status_code == 200
    assert waits == [1, 2]


def test_a_gc_that_fails_says_why(
    app: App, db: aeordb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gc(*_: object, **__: object) -> None:
        raise LockedError(readers=3)

    monkeypatch.setattr(type(db), "gc", gc)
    monkeypatch.setattr(jobs, "pause", lambda *_: None)
    answer = app("POST", "/system/gc")
    assert (answer.status_code, answer.json()["error"]["code"]) == (423, "locked")
    assert answer.json()["error"]["readers"] == 3


def test_several_who_ask_for_gc_get_one(app: App) -> None:
    gate = Gate()
    with job("backup", gate), job("gc", lambda _: {"versions": 1}):
        app("POST", "/system/tasks/backup")
        assert gate.begun.wait(WAIT)
        tasks = app.app.state.tasks
        first = app("POST", "/system/tasks/gc").json()
        assert tasks.find("gc", {"dry_run": False}).id == first["id"]
        assert tasks.find("gc", {"dry_run": True}) is None
        gate.may_end.set()
        assert app("POST", "/system/gc").json() == {"versions": 1}


def test_health_is_open_and_tells_of_a_database_that_takes_no_writes(
    db: aeordb.Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with App(db, clock) as app:
        answer = app("GET", "/system/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        monkeypatch.setattr(type(db), "writable", False)
        answer = app("GET", "/system/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "degraded"})


def test_who_may_ask(db: aeordb.Database, clock: Clock) -> None:
    clock.now = db.status().last_backup or EPOCH
    root = db.create_root_key()
    with App(db) as app:
        key = app("POST", "/auth/keys", root, json={"label": "monitor"}).json()["api_key"]
        for path in ("/system/stats", "/system/metrics"):
            assert app("GET", path).status_code == 401
            assert app("GET", path, key).status_code == 200
        for method, path in (
            ("GET", "/system/cron"),
            ("POST", "/system/cron"),
            ("PATCH", "/system/cron/a"),
            ("DELETE", "/system/cron/a"),
            ("GET", "/system/tasks"),
            ("GET", "/system/tasks/a"),
            ("POST", "/system/tasks/gc"),
            ("POST", "/system/tasks/backup"),
            ("DELETE", "/system/tasks/a"),
            ("POST", "/system/gc"),
        ):
            assert app(method, path).status_code == 401, (method, path)
            assert app(method, path, key).status_code == 403, (method, path)
        assert app("GET", "/system/cron", root).status_code == 200


def test_stats_name_no_folder_of_the_server(app: App, db: aeordb.Database, tmp_path: Path) -> None:
    db["/a"] = b"1"
    db.snapshots.create("v1")
    ended(app, app("POST", "/system/tasks/backup").json())
    stats = app("GET", "/system/stats")
    found = stats.json()
    assert (found["version"], found["database"]["head"]) == (aeordb.__version__, db.head.hex())
    assert found["database"]["snapshots"] == 1
    assert found["database"]["last_backup"] == EPOCH
    [name] = os.listdir(tmp_path / "backups")
    assert found["database"]["last_backup_file"] == name
    assert str(tmp_path) not in stats.text
    [tally] = found["tasks"]
    assert (tally["schedule"], tally["task_type"], tally["completed"]) == ("", "backup", 1)


def test_what_prometheus_reads(app: App, db: aeordb.Database, clock: Clock, tmp_path: Path) -> None:
    app("POST", "/system/cron", json={**WEEKLY, "args": {"snapshot": "v1"}})
    app.app.state.scheduler.tick()
    found = samples(app)
    assert found["aeordb_task_age_seconds", "weekly-backup", "backup"] == float("inf")
    assert found["aeordb_task_last_success_timestamp_seconds", "weekly-backup", "backup"] == 0
    assert found["aeordb_task_failures_total", "weekly-backup", "backup"] == 0
    assert ("aeordb_backup_last_size_bytes", "weekly-backup", "backup") not in found

    for make in (False, True):
        if make:
            db.snapshots.create("v1")
        before = len(app.app.state.tasks.all())
        clock.now += 7 * DAY
        app.app.state.scheduler.tick()
        task, *others = app.app.state.tasks.all()
        assert len(others) == before
        app.app.state.tasks.future(task.id).result(WAIT)
    clock.now += 5_000
    found = samples(app)
    [name] = os.listdir(tmp_path / "backups")
    size = os.path.getsize(tmp_path / "backups" / name)
    assert found["aeordb_task_failures_total", "weekly-backup", "backup"] == 1
    assert found["aeordb_task_age_seconds", "weekly-backup", "backup"] == 5
    last = found["aeordb_task_last_success_timestamp_seconds", "weekly-backup", "backup"]
    assert last == (clock.now - 5_000) / 1000
    assert found["aeordb_task_last_duration_seconds", "weekly-backup", "backup"] == 0
    assert found["aeordb_backup_last_size_bytes", "weekly-backup", "backup"] == size
    assert found["aeordb_tasks_ended_total", "weekly-backup", "completed backup"] == 1
    assert found["aeordb_tasks_ended_total", "weekly-backup", "failed backup"] == 1
    assert found["aeordb_database_snapshots", "", ""] == 1
    assert found["aeordb_database_size_bytes", "", ""] == os.path.getsize(db.path)
    assert found["aeordb_last_backup_timestamp_seconds", "", ""] == last


def test_a_schedules_name_breaks_no_metrics(app: App) -> None:
    name = 'a"b\\c ü'
    assert app("POST", "/system/cron", json={**WEEKLY, "id": name}).status_code == 201
    app.app.state.scheduler.tick()
    assert ("aeordb_task_failures_total", name, "backup") in samples(app)
    assert app("DELETE", "/system/cron/a%22b%5Cc%20%C3%BC").status_code == 200


def test_a_restart_keeps_all_of_it(db: aeordb.Database, clock: Clock) -> None:
    with App(db, clock, auth="disabled") as app:
        app("POST", "/system/cron", json=WEEKLY)
        ended(app, app("POST", "/system/tasks/backup").json())
        before = app("GET", "/system/tasks").json(), app("GET", "/system/cron").json()
        counted = samples(app)
    with App(db, clock, auth="disabled") as app:
        assert (app("GET", "/system/tasks").json(), app("GET", "/system/cron").json()) == before
        after = samples(app)
        name = ("aeordb_tasks_ended_total", "", "completed backup")
        assert after[name] == counted[name] == 1


class BadDisk(QuickLayer):
    """A disk that no longer takes one file, when it is told so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fails = False

    def fdatasync(self, fd: int) -> None:
        if self.fails and os.path.samestat(os.fstat(fd), os.stat(self._path)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_database_whose_disk_fails_is_still_backed_up(tmp_path: Path, clock: Clock) -> None:
    """After a failed sync the process takes no more changes; it is then that one wants a backup."""
    path = tmp_path / "data.aeordb"
    disk = BadDisk(path)
    with use_layer(disk), aeordb.open(path, "x") as db, App(db, clock, auth="disabled") as app:
        assert app("PUT", "/files/a", content=b"1").status_code == 201
        disk.fails = True
        assert app("PUT", "/files/a", content=b"2").status_code == 507
        disk.fails = False
        assert app("PUT", "/files/a", content=b"3").status_code == 507
        assert app("GET", "/system/health").status_code == 503
        assert app("GET", "/files/a").content == b"1"
        task = ended(app, app("POST", "/system/tasks/backup").json())
        assert (task["status"], task["result"]["recorded"]) == ("completed", False)
        assert samples(app)["aeordb_tasks_ended_total", "", "completed backup"] == 1
    [name] = os.listdir(tmp_path / "backups")
    with aeordb.open(tmp_path / "backups" / name, "r") as backup:
        assert dict(backup) == {"/a": b"1"}
    with aeordb.open(path) as db:
        db["/b"] = b"after a restart"
    assert_file(path)
