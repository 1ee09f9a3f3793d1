"""`aeordb log`: one path through the versions."""

from typing import TYPE_CHECKING

import click

from aeordb.cli.output import SHORT_HASH, shown, when
from aeordb.cli.shell import READS, Command, Shell

if TYPE_CHECKING:
    from aeordb import LogItem


@click.command(
    "log",
    cls=Command,
    short_help="Show a path through the versions.",
    examples=("aeordb log /docs/report.pdf",),
    exits=READS,
)
@click.argument("path", metavar="PATH")
@click.pass_obj
def command(shell: Shell, path: str) -> None:
    """Show the snapshots in which PATH changed, the newest first, and HEAD if it changed since.

    One line per version: its time, its hash, kind and size of what PATH was then, its name.
    """
    with shell.open() as db:
        shell.items(db.log(path), line)


def line(item: "LogItem") -> str:
    """One version, for people."""
    stat = item.stat
    kind, amount = (stat.kind, str(stat.size)) if stat is not None else ("none", "-")
    root = item.root.hex()[:SHORT_HASH]
    return f"{when(item.created)}  {root}  {kind:7}  {amount:>12}  {shown(item.version)}"
