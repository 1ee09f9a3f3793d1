"""`aeordb emergency-reset`: a new root key."""

import sys

import click

from aeordb.cli.init import KEEP_IT
from aeordb.cli.output import headline
from aeordb.cli.shell import WRITES, Command, Shell


@click.command(
    "emergency-reset",
    cls=Command,
    short_help="Make a new root key.",
    examples=("aeordb emergency-reset", "aeordb emergency-reset --yes -D data.aeordb"),
    exits=tuple(code for code in WRITES if code != 20),
)
@click.option("--yes", is_flag=True, help="Do not ask, though this is a terminal.")
@click.pass_obj
def command(shell: Shell, yes: bool) -> None:
    """Make a new root key, print it, and revoke the old ones.

    For when the key is lost or known to others: whoever can write the file may do this.
    """
    if not yes and not shell.json and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("The root keys of now will no longer work. Go on?", abort=True, err=True)
    with shell.open("r+") as db:
        key = db.emergency_reset()
    lines = headline("Root key replaced.", {"Root key": key, "Note": KEEP_IT})
    shell.secret({"root_key": key}, key, lines)
