"""`cron.json`: what is added, changed and deleted, and that the rest of it stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.errors import DamagedError, ExistsError, NotFoundError, PathError, UsageError
from aeordb.format.system import CRON
from aeordb.server import cronfile
from aeordb.server.schedules import Schedule
from aeordb.server.settings import Settings
from aeordb.versions.system import put_system_file, read_system_file
from tests.kit.rules import assert_file

NIGHTLY = {
    "id": "nightly-backup",
    "task_type": "backup",
    "schedule": "0 1 * * *",
    "args": {"backup_dir": "/var/backups/aeordb/", "retention_count": 7},
    "enabled": True,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings("data.aeordb", backup_dir=str(tmp_path / "backups"))


def write(db: aeordb.Database, content: bytes) -> None:
    with db.transaction() as tx:
        put_system_file(tx.writer, CRON, content, "application/json")


def raw(db: aeordb.Database) -> Any:
    data = read_system_file(db.reader(), CRON)
    assert data is not None
    return json.loads(data)


def add(db: aeordb.Database, settings: Settings, **fields: Any) -> Schedule:
    return db.run(lambda tx: cronfile.add_schedule(tx.writer, settings, {**NIGHTLY, **fields}))


def change(db: aeordb.Database, settings: Settings, name: str, **fields: Any) -> Schedule:
    return db.run(lambda tx: cronfile.change_schedule(tx.writer, settings, name, fields))


def delete(db: aeordb.Database, name: str) -> Schedule:
    return db.run(lambda tx: cronfile.delete_schedule(tx.writer, name))


def ids(db: aeordb.Database) -> list[str]:
    return [schedule.id for schedule in cronfile.read_schedules(db.reader())]


def test_the_manuals_schedule(db: aeordb.Database, settings: Settings) -> None:
    head = db.head
    assert add(db, settings) == Schedule.decode(NIGHTLY)
    # As AeorDB has it: no field that it might not know.
    assert raw(db) == {"schedules": [NIGHTLY]}
    assert db.head == head
    assert ids(db) == ["nightly-backup"]


def test_a_schedule_s_life(db: aeordb.Database, settings: Settings) -> None:
    add(db, settings)
    add(db, settings, id="weekly", timezone="Europe/Berlin")
    with pytest.raises(ExistsError):
        add(db, settings, id="weekly")
    changed = change(db, settings, "weekly", enabled=False, args={"retention_count": 4})
    assert (changed.enabled, changed.args) == (False, {"retention_count": 4})
    assert (changed.schedule, changed.timezone) == ("0 1 * * *", "Europe/Berlin")
    assert change(db, settings, "weekly", timezone="UTC").timezone == "UTC"
    assert "timezone" not in raw(db)["schedules"][1]
    assert delete(db, "nightly-backup") == Schedule.decode(NIGHTLY)
    assert ids(db) == ["weekly"]
    for call in (lambda: change(db, settings, "nightly-backup"), lambda: delete(db, "nothing")):
        with pytest.raises(NotFoundError):
            call()


def test_aeordb_s_file_stays_as_it_is_where_it_is_not_changed(
    fixture_copy: Callable[[str], Path], settings: Settings
) -> None:
    path = fixture_copy("system")
    with aeordb.open(path) as db:
        before = raw(db)
        assert ids(db) == ["default-cleanup", "default-gc", "nightly-gc"]
        add(db, settings)
        change(db, settings, "nightly-gc", schedule="30 3 * * *")
        delete(db, "default-cleanup")
        before["schedules"][2]["schedule"] = "30 3 * * *"
        assert raw(db)["schedules"] == [*before["schedules"][1:], NIGHTLY]
    assert_file(path)


def test_what_we_do_not_know_in_the_file_stays(db: aeordb.Database, settings: Settings) -> None:
    strange = [{"id": 5}, "text", None, {**NIGHTLY, "id": "known", "priority": 3}]
    write(db, json.dumps({"version": 9, "schedules": strange}).encode())
    assert ids(db) == ["known"]
    add(db, settings)
    change(db, settings, "known", enabled=False)
    kept = {**NIGHTLY, "id": "known", "priority": 3, "enabled": False}
    assert raw(db) == {"version": 9, "schedules": [*strange[:3], kept, NIGHTLY]}


def test_an_id_that_stands_twice_counts_once(db: aeordb.Database, settings: Settings) -> None:
    write(db, json.dumps({"schedules": [NIGHTLY, {**NIGHTLY, "enabled": False}]}).encode())
    [schedule] = cronfile.read_schedules(db.reader())
    assert schedule.enabled
    delete(db, schedule.id)
    assert raw(db) == {"schedules": []}


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"schedules": 5}', b'{"schedules": [NaN]}', b"[" * 100_000, b"{" * 9],
)
def test_a_file_that_is_none_is_damage_and_left_alone(
    db: aeordb.Database, settings: Settings, content: bytes
) -> None:
    write(db, content)
    with pytest.raises(DamagedError):
        cronfile.read_schedules(db.reader())
    with pytest.raises(DamagedError):
        add(db, settings)
    assert read_system_file(db.reader(), CRON) == content


@pytest.mark.parametrize(
    "fields",
    [
        {"task_type": "reindex"},
        {"task_type": ""},
        {"schedule": "0 25 * * *"},
        {"timezone": "Mars/Base"},
        {"id": "a/b"},
        {"priority": 1},
        {"args": {"retention": 7}},
        {"args": {"retention_count": -1}},
        {"args": {"retention_count": True}},
        {"args": {"retention_count": "7"}},
        {"args": {"retention_count": 10**30}},
        {"args": {"patches": 1.5}},
        {"args": {"backup_dir": ""}},
        {"args": {"backup_dir": "a\0b"}},
        {"args": {"backup_dir": "x" * 5000}},
        {"args": {"snapshot": "\ud800"}},
        {"args": {"snapshot": 5}},
        {"task_type": "gc", "args": {"dry_run": "yes"}},
        {"task_type": "gc", "args": {"retention_count": 1}},
    ],
)
def test_what_could_not_run_is_refused(
    db: aeordb.Database, settings: Settings, fields: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        add(db, settings, **fields)
    assert read_system_file(db.reader(), CRON) is None


def test_ids_do_not_change(db: aeordb.Database, settings: Settings) -> None:
    add(db, settings)
    with pytest.raises(UsageError):
        change(db, settings, "nightly-backup", id="other")
    assert change(db, settings, "nightly-backup", id="nightly-backup").id == "nightly-backup"


def test_confined_backups_stay_in_the_servers_folder(db: aeordb.Database, tmp_path: Path) -> None:
    inside = tmp_path / "backups"
    inside.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (inside / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "same").symlink_to(inside)
    settings = Settings("data.aeordb", backup_dir=str(inside), confine_backups=True)
    allowed = [inside, inside / "nightly" / "new", inside / "x" / "..", tmp_path / "same"]
    for number, folder in enumerate(allowed):
        add(db, settings, id=str(number), args={"backup_dir": str(folder)})
    add(db, settings, id="default", args={})
    refused = [
        tmp_path,
        tmp_path / "backups2",
        inside / "..",
        inside / "link",
        inside / "link" / "new",
        "/",
        ".",
        "./backups/",
    ]
    for folder in refused:
        with pytest.raises(PathError, match="confined"):
            add(db, settings, id="more", args={"backup_dir": str(folder)})
