"""`aeordb init`: a new database and its root key."""

import os

import click

from aeordb.cli.output import headline, shown
from aeordb.cli.shell import Command, Shell


@click.command(
    "init",
    cls=Command,
    short_help="Create a database.",
    examples=("aeordb init", "aeordb init -D photos.aeordb --expect-entries 2000000"),
    exits=(0, 2, 11, 15, 16),
)
@click.option(
    "--expect-entries",
    type=click.IntRange(min=0),
    metavar="N",
    help="Make the index large enough for N files now, so that it need not grow later.",
)
@click.pass_obj
def command(shell: Shell, expect_entries: int | None) -> None:
    """Create an empty database and print its root key.

    The key is shown this one time. Whoever has it may export and import users, groups and other
    system data, and govern the server. 'aeordb emergency-reset' makes a new one.
    """
    with shell.open("x", expect_entries=expect_entries) as db:
        try:
            key = db.create_root_key()
        except BaseException:
            os.unlink(shell.database)  # made by us a moment ago; half of it is no use
            raise
        result = {"database": shell.database, "root_key": key, "version": db.head}
    lines = headline(
        "Database created.",
        {"Database": shown(shell.database), "Root key": key, "Note": KEEP_IT},
    )
    shell.secret(result, key, lines)


KEEP_IT = "keep the key in a safe place; it is not shown again"
