"""`aeordb status`: how a database is, and whether its last backup is young enough."""

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aeordb.cli.output import duration, headline, shown, size, when
from aeordb.cli.shell import Command, Shell
from aeordb.database.plain import plain
from aeordb.errors import StaleError, quote

if TYPE_CHECKING:
    from aeordb import Status

UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def parse_age(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """The seconds that a length of time means: a number and a unit, `90m`, `26h`, `7d`."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw]?)", text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{quote(text)} is no length of time, as 90m, 26h and 7d are.")
    return float(match[1]) * UNITS[match[2]]


@click.command(
    "status",
    cls=Command,
    short_help="Show how the database is.",
    examples=("aeordb status -D data.aeordb --json", "aeordb status --max-age 26h"),
    exits=(0, 2, 10, 14, 17),
)
@click.option(
    "--max-age",
    callback=parse_age,
    metavar="TIME",
    help="Fail if the last backup is older, as 90m, 26h or 7d; without a unit: seconds.",
)
@click.pass_obj
def command(shell: Shell, max_age: float | None) -> None:
    """Show HEAD, how many snapshots there are, live and free bytes, and the last backup.

    The last backup is the last run of 'aeordb backup', or of the server's backup task.
    """
    with shell.open() as db:
        found = db.status()
    age = None if found.last_backup is None else max(0, now() - found.last_backup)
    if max_age is not None:
        check_age(found, age, max_age)
    shell.answer({**plain(found), "last_backup_age": age}, lines(shell.database, found, age))


def now() -> int:
    """The time in milliseconds."""
    return time.time_ns() // 1_000_000


def check_age(found: "Status", age: int | None, max_age: float) -> None:
    """StaleError if the last backup is older than `max_age` seconds, or there is none."""
    if age is not None and age <= max_age * 1000:
        return
    message = (
        "there is no backup yet"
        if age is None
        else f"the last backup is {duration(age / 1000)} old, more than {duration(max_age)}"
    )
    raise StaleError(
        message,
        hint="Make one with: aeordb backup",
        last_backup=found.last_backup,
        last_backup_age=age,
        max_age=int(max_age * 1000),
    )


def lines(database: str, found: "Status", age: int | None) -> Iterator[str]:
    """The database's state, for people."""
    last, file = found.last_backup, found.last_backup_file
    return headline(
        shown(database),
        {
            "HEAD": found.head.hex(),
            "Snapshots": found.snapshots,
            "Forks": found.forks,
            "Entries": found.entries,
            "Size": size(found.size),
            "Live": size(found.live_bytes),
            "Free": size(found.free_bytes),
            "Last backup": f"{when(last)} ({duration(age / 1000)} ago)"
            if last is not None and age is not None
            else "never",
            "Last backup file": shown(file) if file is not None else None,
        },
    )
