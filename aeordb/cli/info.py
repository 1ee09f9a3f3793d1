"""`aeordb info`: what kind of file this is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aeordb.cli.output import headline, shown, size, when
from aeordb.cli.shell import Command, Shell

if TYPE_CHECKING:
    from aeordb import Info


@click.command(
    "info",
    cls=Command,
    short_help="Tell what a file of aeordb is.",
    examples=("aeordb info backup.aeordb",),
    exits=(0, 2, 10),
)
@click.argument("file", metavar="[FILE]", required=False)
@click.pass_obj
def command(shell: Shell, file: str | None) -> None:
    """Tell what a database, export or patch is, from its header alone.

    FILE is the database of -D if it is left out.
    """
    import aeordb

    found = aeordb.info(shell.database if file is None else file)
    shell.answer(found, lines(found))


def lines(found: "Info") -> Iterator[str]:
    """The header's facts, for people."""
    return headline(
        f"{shown(str(found.path))} is a {found.kind}."
        if found.kind != "export"
        else f"{shown(str(found.path))} is a full export.",
        {
            "Version": found.head.hex(),
            "Base": found.base.hex() if found.base is not None else None,
            "Target": found.target.hex() if found.target is not None else None,
            "Entries": found.entries,
            "Size": size(found.size),
            "Index stage": found.stage,
            "Created": when(found.created),
            "Updated": when(found.updated),
        },
    )
