"""`aeordb ln`: a symlink."""

import click

from aeordb.cli.output import shown
from aeordb.cli.shell import Command, Shell
from aeordb.errors import ExistsError


@click.command(
    "ln",
    cls=Command,
    short_help="Make a symlink.",
    examples=("aeordb ln report-2026.pdf /docs/report.pdf",),
    exits=(0, 2, 10, 11, 14, 15, 16),
)
@click.argument("target", metavar="TARGET")
@click.argument("path", metavar="PATH")
@click.pass_obj
def command(shell: Shell, target: str, path: str) -> None:
    """Make the symlink PATH, which points to TARGET.

    TARGET is kept as it is given: a path from the root, or one relative to the link's folder.
    Nothing need be there.
    """
    with shell.open("r+") as db:
        with db.transaction() as tx:
            if tx.exists(path):
                raise ExistsError(path=path, hint="Delete or move it first.")
            tx.symlink(target, path)
        result = {"path": path, "target": target, "version": db.head}
    shell.answer(result, [f"Linked {shown(path)} -> {shown(target)}"])
