"""`aeordb cat`: a file's content on standard output."""

import shutil
import sys
from typing import TYPE_CHECKING

import click

from aeordb.cli.shell import READS, Command, Shell, at_option
from aeordb.errors import UsageError

if TYPE_CHECKING:
    from aeordb import View

BLOCK = 1 << 20


@click.command(
    "cat",
    cls=Command,
    short_help="Write files to standard output.",
    examples=(
        "aeordb cat /docs/notes.txt",
        "aeordb cat /docs/notes.txt --at v1 | diff - notes.txt",
    ),
    exits=READS,
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@at_option
@click.pass_obj
def command(shell: Shell, paths: tuple[str, ...], at: str) -> None:
    """Write the content of files in the database to standard output, one after the other."""
    with shell.open() as db:
        view = db.at(at)
        for path in paths:
            write_content(shell, view, path)


def write_content(shell: Shell, view: "View", path: str, dest: str = "-") -> None:
    """Copies a file's content to a stream, each chunk checked before it is written.

    `dest` is `-`, standard output, or a device or pipe.
    """
    if shell.json:
        raise UsageError("--json cannot go with content on a stream")
    with view.open(path) as source:
        if dest == "-":
            shutil.copyfileobj(source, sys.stdout.buffer, BLOCK)
            sys.stdout.buffer.flush()
            return
        with open(dest, "wb") as stream:
            shutil.copyfileobj(source, stream, BLOCK)
