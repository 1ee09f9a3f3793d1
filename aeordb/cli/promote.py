"""`aeordb promote`: a version becomes HEAD."""

import click

from aeordb.cli.output import headline
from aeordb.cli.shell import WRITES, Command, Shell


@click.command(
    "promote",
    cls=Command,
    short_help="Make a version HEAD.",
    examples=("aeordb promote --hash 3f0c6a7d",),
    exits=WRITES,
)
@click.option(
    "--hash",
    "version",
    envvar="AEORDB_PROMOTE_HASH",
    metavar="HASH",
    required=True,
    help="The version's hash, of which the first 8 digits are enough; a snapshot or fork will do.",
)
@click.option("--dry-run", is_flag=True, help="Only look whether the version is there, and whole.")
@click.pass_obj
def command(shell: Shell, version: str, dry_run: bool) -> None:
    """Make HEAD the version with this hash, once its whole tree is found in the database."""
    with shell.open("r" if dry_run else "r+") as db:
        before = db.head
        root = db.promote(version, dry_run=dry_run)
    if dry_run:
        title = "The version is whole; HEAD has NOT been changed."
    elif root == before:
        title = "HEAD is this version already."
    else:
        title = "HEAD has been promoted."
    result = {"version": root, "previous": before, "promoted": not dry_run and root != before}
    shell.answer(result, headline(title, {"Version": root.hex(), "Before": before.hex()}))
