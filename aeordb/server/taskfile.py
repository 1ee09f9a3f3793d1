"""What a database knows of its server's tasks: a system file in it, which no export carries."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from aeordb.errors import AeorDBError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.system import decode_json, encode_json
from aeordb.versions.system import put_system_file, read_system_file

if TYPE_CHECKING:
    from aeordb import Database

log = logging.getLogger("aeordb.server")

PATH: Final = f"{c.SYSTEM_ROOT}/tasks/tasks.json"
BY_HAND: Final = ""
"""In place of a schedule's id: a task that somebody asked for."""

Status = Literal["pending", "running", "completed", "failed", "cancelled", "interrupted"]
LIVE: Final[tuple[Status, ...]] = ("pending", "running")
ENDED: Final[tuple[Status, ...]] = ("completed", "failed", "cancelled", "interrupted")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """One task; times in milliseconds. `schedule` is the id of the one that started it.

    `result` is the library's report as JSON, `error` the error's; "interrupted" is a task that ran
    when the server went away, or was stopped.
    """

    id: str
    task_type: str
    status: Status
    created_at: int
    args: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of all tasks of one type that one schedule started (`schedule` "": by hand).

    `handled`: runs that were due until then, in milliseconds, are dealt with; `when` is what the
    schedule said then. `missed`: runs that were due while the one before had not ended, or while
    no server ran. `last_success` is when one ended well, it took `last_duration` (both in
    milliseconds), and made a backup of `last_bytes`.
    """

    schedule: str
    task_type: str
    when: str = ""
    handled: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    interrupted: int = 0
    missed: int = 0
    last_success: int | None = None
    last_duration: int | None = None
    last_bytes: int | None = None


def read_tasks(database: Database) -> tuple[list[Task], list[Tally]]:
    """What was noted last; nothing where the note is missing or makes no sense."""
    try:
        data = read_system_file(database.reader(), PATH)
        noted = decode_json(data) if data is not None else {}
        tasks = [_task(item) for item in _items(noted, "tasks")]
        tallies = [_decode(Tally, item) for item in _items(noted, "tallies")]
    except (AeorDBError, FormatError, KeyError, TypeError, ValueError) as error:
        log.warning("the list of tasks cannot be read and starts anew: %s", error)
        return [], []
    return tasks, tallies


def write_tasks(database: Database, tasks: Iterable[Task], tallies: Iterable[Tally]) -> None:
    """Notes them all, and commits."""
    data = encode_json(
        {"tasks": [_encode(task) for task in tasks], "tallies": [_encode(t) for t in tallies]}
    )
    database.run_alone(lambda tx: put_system_file(tx.writer, PATH, data, "application/json"))


def _encode(item: Task | Tally) -> dict[str, Any]:
    return {one.name: getattr(item, one.name) for one in fields(item)}


def _items(noted: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    items = noted.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise TypeError(name)
    return items


def _task(item: dict[str, Any]) -> Task:
    task = _decode(Task, item)
    if task.status not in (*LIVE, *ENDED):
        raise ValueError(f"status {task.status!r}")
    return task


def _decode(kind: type[T], item: dict[str, Any]) -> T:
    known = {one.name: str(one.type) for one in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in item.items() if name in known}
    for name, value in values.items():
        if not _fits(value, known[name]):
            raise TypeError(f"{name}: {type(value).__name__}")
    return kind(**values)


def _fits(value: object, kind: str) -> bool:
    """Whether a value is of the type that a field's annotation names."""
    if value is None:
        return kind.endswith("| None")
    name = kind.removesuffix(" | None").partition("[")[0]
    return type(value) is {"int": int, "str": str, "Status": str}.get(name, dict)
