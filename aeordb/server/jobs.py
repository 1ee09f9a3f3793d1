"""What tasks can do, `backup` and `gc`: their arguments (seed: Backup Task Arguments)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aeordb.backup.scheduled import remove_leftovers
from aeordb.database.plain import plain
from aeordb.errors import LockedError, PathError, UsageError, quote
from aeordb.progress import Progress
from aeordb.server.settings import Settings

if TYPE_CHECKING:
    from aeordb import Database

Args = Mapping[str, Any]
Result = dict[str, Any]
BACKUP: Final = "backup"
GC: Final = "gc"
_PATH_MAX = 4096
_GC_PAUSES: Final = (1, 2, 4, 8, 15, 30)
"""Seconds between the attempts of a gc that readers hold up."""
_COUNT_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """A type of task: the types of its arguments, all of which may be left out, and the work.

    `check` refuses arguments before anything is done; `run` gets its start in milliseconds, and so
    does `clean`, which takes away what it left when the server was killed.
    """

    args: Mapping[str, type]
    check: Callable[[Settings, Args], object]
    run: Callable[[Database, Settings, Args, int, Progress], Result]
    clean: Callable[[Settings, Args, int], None] | None = None


def find_job(task_type: str) -> Job:
    """The type's job; UsageError if there is none here (AeorDB has more types than we)."""
    try:
        return JOBS[task_type]
    except KeyError:
        known = ", ".join(JOBS)
        raise UsageError(
            f"no task type {quote(task_type[:64])}", hint=f"There are: {known}."
        ) from None


def check_args(settings: Settings, task_type: str, args: Args) -> None:
    """Refuses arguments that the type does not have, or that it could not run with."""
    job = find_job(task_type)
    for name in args:
        if name not in job.args:
            known = ", ".join(job.args)
            raise UsageError(
                f"a {task_type} task has no argument {quote(name[:64])}",
                hint=f"There are: {known}.",
            )
    job.check(settings, args)


def run_job(
    database: Database,
    settings: Settings,
    task_type: str,
    args: Args,
    now: int,
    progress: Progress,
) -> Result:
    """Does it. Arguments that the type does not have, as of other programs, are passed over."""
    return find_job(task_type).run(database, settings, args, now, progress)


def clean_job(settings: Settings, task_type: str, args: Args, started: int) -> None:
    """Takes away what it left when the server was killed. Raises UsageError, OSError."""
    job = find_job(task_type)
    if job.clean is not None:
        job.clean(settings, args, started)


def backup_folder(settings: Settings, args: Args) -> str:
    """Where a backup task writes; PathError for a folder that `--confine-backups` rules out."""
    folder: str = _value(args, "backup_dir", str, settings.backup_dir)
    if not folder or len(os.fsencode(folder)) > _PATH_MAX or not folder.isprintable():
        raise PathError(path=folder[:_PATH_MAX], reason="it cannot be a folder's path")
    if settings.confine_backups:
        # Resolved: no link and no `..` leads out. Folders that are yet to be made resolve, too.
        inside, real = os.path.realpath(settings.backup_path), os.path.realpath(folder)
        if os.path.commonpath([inside, real]) != inside:
            raise PathError(
                path=folder,
                reason="backups are confined to the server's backup folder",
                hint=f"Leave backup_dir out, or name a folder in {quote(settings.backup_dir)}.",
            )
    return folder


def _check_backup(settings: Settings, args: Args) -> dict[str, Any]:
    return {
        "backup_dir": backup_folder(settings, args),
        "retention_count": _count(args, "retention_count"),
        "snapshot": _snapshot(args),
        "patches": _count(args, "patches"),
    }


def _run_backup(
    database: Database, settings: Settings, args: Args, now: int, progress: Progress
) -> Result:
    options = _check_backup(settings, args)
    report: Result = plain(database.backup(**options, now=now, progress=progress))
    return report


def _clean_backup(settings: Settings, args: Args, started: int) -> None:
    remove_leftovers(backup_folder(settings, args), _snapshot(args), started)


def _check_gc(_settings: Settings, args: Args) -> bool:
    dry_run: bool = _value(args, "dry_run", bool, False)
    return dry_run


def _run_gc(
    database: Database, settings: Settings, args: Args, _now: int, progress: Progress
) -> Result:
    dry_run = _check_gc(settings, args)
    for seconds in (*_GC_PAUSES, None):
        try:
            report: Result = plain(database.gc(dry_run=dry_run, progress=progress))
            return report
        except LockedError as error:
            if error.readers is None or seconds is None:
                raise
        # Downloads and exports that run: most will be over soon.
        progress.start(None, "Waiting for readers")
        pause(seconds, progress)
    raise AssertionError


JOBS: Final[Mapping[str, Job]] = {
    BACKUP: Job(
        {"backup_dir": str, "retention_count": int, "snapshot": str, "patches": int},
        _check_backup,
        _run_backup,
        _clean_backup,
    ),
    GC: Job({"dry_run": bool}, _check_gc, _run_gc),
}


def pause(seconds: float, progress: Progress) -> None:
    """Waits, but not for long once the task is cancelled."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        progress.advance(0)
        time.sleep(min(0.2, left))


def _snapshot(args: Args) -> str | None:
    name: str | None = _value(args, "snapshot", str, None)
    if name is not None:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise PathError(path=name, reason="it is not Unicode text") from None
    return name


def _count(args: Args, name: str) -> int:
    count: int = _value(args, name, int, 0)
    if not 0 <= count <= _COUNT_MAX:
        raise UsageError(f"{name} is 0 to {_COUNT_MAX}")
    return count


def _value(args: Args, name: str, kind: type, default: Any) -> Any:
    value = args.get(name)
    if value is None:
        return default
    if type(value) is not kind:  # bool is an int, but not here
        raise UsageError(f"{name} is not of type {_WORDS[kind]}")
    return value


_WORDS: Final = {str: "string", int: "integer", bool: "boolean"}
