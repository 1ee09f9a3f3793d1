"""`aeordb get`: files and folders out of the database."""

from collections.abc import Iterator
from typing import Any

import click

from aeordb.cli.cat import write_content
from aeordb.cli.output import headline, shown, size
from aeordb.cli.places import is_stream, local_target, name_of
from aeordb.cli.shell import Command, Shell, at_option
from aeordb.errors import UsageError, quote

COUNTS = ("files", "folders", "symlinks", "bytes")


@click.command(
    "get",
    cls=Command,
    short_help="Get files and folders out of the database.",
    examples=(
        "aeordb get /docs/report.pdf .",
        "aeordb get -r /pictures Pictures --at v1",
        "aeordb get /dumps/shop.sql - | mysql shop",
    ),
    exits=(0, 2, 10, 14, 16, 20),
)
@click.argument("path", metavar="PATH")
@click.argument("dest", metavar="DEST")
@click.option("-r", "--recursive", is_flag=True, help="Get a folder, with all that is in it.")
@at_option
@click.pass_obj
def command(shell: Shell, path: str, dest: str, recursive: bool, at: str) -> None:
    """Get the file at PATH in the database as the local file DEST.

    Where DEST is a folder or ends with '/', the file goes into it. With -r, the content of the
    folder PATH becomes DEST or joins what is there. Times are kept, files that are there already
    are replaced, and no file has its name before it is whole. DEST '-' is standard output; a
    device or pipe is written into.
    """
    with shell.open() as db:
        view = db.at(at)
        if dest == "-" or is_stream(dest):
            write_content(shell, view, path, dest)
            return
        if view.stat(path).kind == "folder":
            if not recursive:
                raise UsageError(f"{quote(path)} is a folder", hint="Use -r to get folders.")
            target = dest
        else:
            target = str(local_target(dest, name_of(path)))
        root = view.root
        report = db.get_tree(path, target, at=root.hex(), progress=shell.progress())
    shell.skipped(report)
    result = {name: getattr(report, name) for name in COUNTS}
    result |= {"output": target, "version": root}
    shell.answer(result, lines(result))


def lines(result: dict[str, Any]) -> Iterator[str]:
    """What was done, for people."""
    return headline(
        "Get complete.",
        {
            "Files": result["files"],
            "Folders": result["folders"],
            "Symlinks": result["symlinks"],
            "Bytes": size(result["bytes"]),
            "Output": shown(result["output"]),
            "Version": result["version"].hex(),
        },
    )
