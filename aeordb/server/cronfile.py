"""The schedules in the database: `/.aeordb-config/cron.json`, which AeorDB reads as well.

What we do not know in the file stays as it is: fields, and whole schedules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aeordb.errors import DamagedError, ExistsError, NotFoundError, UsageError
from aeordb.format.system import CRON
from aeordb.server.jobs import check_args
from aeordb.server.schedules import UTC_NAME, Schedule
from aeordb.server.settings import Settings
from aeordb.storage.protocols import Reader, Writer
from aeordb.versions.system import put_system_file, read_system_file

SCHEDULES_MAX: Final = 1_000
_BYTES_MAX = 4 << 20
_JSON = "application/json"
_NAMES = ("id", "task_type", "schedule", "args", "enabled", "timezone")

File = dict[str, Any]


def read_schedules(reader: Reader) -> list[Schedule]:
    """The schedules that make sense, each id once. Raises DamagedError for a file that is not
    JSON as it should be."""
    found: dict[str, Schedule] = {}
    for schedule, _ in _decoded(_read(reader)):
        found.setdefault(schedule.id, schedule)
    return list(found.values())


def add_schedule(writer: Writer, settings: Settings, fields: Mapping[str, Any]) -> Schedule:
    """Adds a schedule. Raises UsageError, PathError, ExistsError (the id)."""
    schedule = _checked(settings, dict(fields))

    def add(file: File) -> Schedule:
        if any(other.id == schedule.id for other, _ in _decoded(file)):
            raise ExistsError(f"there is a schedule '{schedule.id}'", hint="PATCH changes it.")
        if len(file["schedules"]) >= SCHEDULES_MAX:
            raise UsageError(f"there are {SCHEDULES_MAX} schedules", hint="Delete some first.")
        file["schedules"].append(_fields(schedule))
        return schedule

    return _edit(writer, add)


def change_schedule(
    writer: Writer, settings: Settings, name: str, changes: Mapping[str, Any]
) -> Schedule:
    """Changes some fields of a schedule. Raises NotFoundError, UsageError."""
    if changes.get("id", name) != name:
        raise UsageError("a schedule's id does not change", hint="Add a new one, delete this one.")

    def change(file: File) -> Schedule:
        _, fields = _find(file, name)
        schedule = _checked(settings, {**{k: fields[k] for k in _NAMES if k in fields}, **changes})
        fields.pop("timezone", None)
        fields.update(_fields(schedule))
        return schedule

    return _edit(writer, change)


def delete_schedule(writer: Writer, name: str) -> Schedule:
    """Takes a schedule out; what it was. Raises NotFoundError."""

    def delete(file: File) -> Schedule:
        schedule, _ = _find(file, name)
        gone = {id(fields) for other, fields in _decoded(file) if other.id == name}
        file["schedules"] = [fields for fields in file["schedules"] if id(fields) not in gone]
        return schedule

    return _edit(writer, delete)


def _checked(settings: Settings, fields: dict[str, Any]) -> Schedule:
    for name in fields:
        if name not in _NAMES:
            raise UsageError(f"a schedule has no field {name[:64]!r}", hint=", ".join(_NAMES))
    schedule = Schedule.decode(fields)
    schedule.check()
    check_args(settings, schedule.task_type, schedule.args)
    return schedule


def _fields(schedule: Schedule) -> dict[str, Any]:
    fields = {name: getattr(schedule, name) for name in _NAMES}
    if schedule.timezone == UTC_NAME:
        # AeorDB writes none, and all of its schedules are in UTC.
        del fields["timezone"]
    return fields


def _find(file: File, name: str) -> tuple[Schedule, dict[str, Any]]:
    for schedule, fields in _decoded(file):
        if schedule.id == name:
            return schedule, fields
    raise NotFoundError(what="schedule", name=name)


def _decoded(file: File) -> Iterator[tuple[Schedule, dict[str, Any]]]:
    for fields in file["schedules"]:
        try:
            yield Schedule.decode(fields), fields
        except UsageError:
            continue


def _edit(writer: Writer, operation: Callable[[File], Schedule]) -> Schedule:
    file = _read(writer)
    schedule = operation(file)
    # What is refused is refused before anything is written: others may share the transaction.
    data = json.dumps(file, indent=2, ensure_ascii=False, allow_nan=False).encode()
    put_system_file(writer, CRON, data, _JSON)
    return schedule


def _read(reader: Reader) -> File:
    data = read_system_file(reader, CRON)
    if data is None:
        return {"schedules": []}
    try:
        if len(data) > _BYTES_MAX:
            raise ValueError("too long")
        file = json.loads(data, parse_constant=_refuse)
        if not isinstance(file, dict) or not isinstance(file.setdefault("schedules", []), list):
            raise TypeError("no list of schedules")
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError(path=CRON, reason=f"it does not hold schedules: {error}") from None
    return file


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
