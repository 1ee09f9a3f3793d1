"""`aeordb rm`: files and folders out of HEAD, in one commit."""

import click

from aeordb.cli.output import plural
from aeordb.cli.shell import WRITES, Command, Shell


@click.command(
    "rm",
    cls=Command,
    short_help="Delete files and folders from HEAD.",
    examples=("aeordb rm /docs/old.txt", "aeordb rm -r /drafts /tmp"),
    exits=WRITES,
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-r", "--recursive", is_flag=True, help="Delete folders, with all that is in them.")
@click.pass_obj
def command(shell: Shell, paths: tuple[str, ...], recursive: bool) -> None:
    """Delete files, symlinks and, with -r, folders from HEAD, in one commit.

    Snapshots keep what they hold.
    """
    with shell.open("r+") as db:
        with db.transaction() as tx:
            deleted = sum(tx.delete(path, recursive=recursive) for path in paths)
        result = {"deleted": deleted, "version": db.head}
    shell.answer(result, [f"Deleted {plural(deleted, 'path')}."])
