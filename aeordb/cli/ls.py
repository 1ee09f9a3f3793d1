"""`aeordb ls`: what is in a folder, or in the whole tree below it."""

from typing import TYPE_CHECKING

import click

from aeordb.cli.output import listing_line, listing_name
from aeordb.cli.shell import READS, Command, Shell, at_option

if TYPE_CHECKING:
    from aeordb import Stat


@click.command(
    "ls",
    cls=Command,
    short_help="List a folder, or all below it.",
    examples=("aeordb ls", "aeordb ls -R /docs --at v1", "aeordb ls --names /docs | wc -l"),
    exits=READS,
)
@click.argument("path", metavar="[PATH]", default="/")
@click.option("-R", "--recursive", is_flag=True, help="List the folders below too, by whole path.")
@click.option("--names", is_flag=True, help="Print names alone, without kind, size and time.")
@click.option(
    "-a",
    "--all",
    "hidden",
    envvar="AEORDB_LS_ALL",
    is_flag=True,
    help="Show names that begin with '.aeordb-'.",
)
@at_option
@click.pass_obj
def command(shell: Shell, path: str, recursive: bool, names: bool, hidden: bool, at: str) -> None:
    """List the folder PATH, one line per entry: kind, size in bytes, time of change, name.

    PATH may be a file or symlink too; without it the root '/' is listed. Folders end in '/',
    symlinks are followed by '->' and their target.
    """
    show = listing_name if names else listing_line

    def line(stat: "Stat") -> str:
        whole = recursive or stat.path == start.path
        return show(stat, stat.path if whole else stat.path.rpartition("/")[2])

    with shell.open() as db:
        view = db.at(at)
        start = view.stat(path)
        if start.kind != "folder":
            shell.items([start], line)
            return
        # Content hashes cost a read per file, and only JSON shows them.
        walk = view.walk if recursive else view.list
        shell.items(walk(start.path, hidden=hidden, hashes=shell.json), line)
