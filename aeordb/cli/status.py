"""`aeordb status`: how a database is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aeordb.cli.output import headline, shown, size, when
from aeordb.cli.shell import Command, Shell

if TYPE_CHECKING:
    from aeordb import Status


@click.command(
    "status",
    cls=Command,
    short_help="Show how the database is.",
    examples=("aeordb status -D data.aeordb --json",),
    exits=(0, 2, 10, 14),
)
@click.pass_obj
def command(shell: Shell) -> None:
    """Show HEAD, how many snapshots there are, live and free bytes, and the last backup."""
    with shell.open() as db:
        found = db.status()
    shell.answer(found, lines(shell.database, found))


def lines(database: str, found: "Status") -> Iterator[str]:
    """The database's state, for people."""
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
            "Last backup": when(found.last_backup) if found.last_backup is not None else "never",
        },
    )
