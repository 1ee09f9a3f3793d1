"""`aeordb put`: files and folders into the database, in one commit."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from aeordb.cli.output import headline, size
from aeordb.cli.places import inside, is_folder, name_of
from aeordb.cli.shell import WRITES, Command, Shell
from aeordb.errors import UsageError, quote

if TYPE_CHECKING:
    from aeordb import PutReport, Transaction

COUNTS = ("files", "unchanged", "folders", "symlinks", "deleted", "bytes")


class How(NamedTuple):
    """The options."""

    recursive: bool
    delete: bool
    checksum: bool
    content_type: str | None


@click.command(
    "put",
    cls=Command,
    short_help="Put files and folders into the database.",
    examples=(
        "aeordb put report.pdf /docs/",
        "aeordb put -r Pictures /pictures",
        "aeordb put -r --delete website /site",
        "mysqldump shop | aeordb put - /dumps/shop.sql",
    ),
    exits=WRITES,
)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("dest", metavar="DEST")
@click.option("-r", "--recursive", is_flag=True, help="Put folders, with all that is in them.")
@click.option("--delete", is_flag=True, help="With -r: delete in DEST what SRC does not have.")
@click.option(
    "--checksum",
    is_flag=True,
    help="With -r: read files too whose size and time are as in the database.",
)
@click.option("--content-type", metavar="TYPE", help="The type of a single file, as 'text/plain'.")
@click.pass_obj
def command(
    shell: Shell,
    sources: tuple[str, ...],
    dest: str,
    recursive: bool,
    delete: bool,
    checksum: bool,
    content_type: str | None,
) -> None:
    """Put local files (SRC...) into the database at DEST.

    One file becomes DEST, or goes into it where DEST is a folder or ends with '/'. With -r, one
    folder's content becomes DEST or joins what is there; symlinks stay symlinks, and what is no
    file, folder or symlink is skipped with a warning. Of several SRC each goes into the folder
    DEST under its own name. SRC '-' is standard input. All is one commit: it happens whole or not
    at all.
    """
    if content_type is not None and (recursive or len(sources) > 1):
        raise UsageError("--content-type is for a single file")
    if delete and not recursive:
        raise UsageError("--delete needs -r")
    how = How(recursive, delete, checksum, content_type)
    totals = dict.fromkeys(COUNTS, 0)
    with shell.open("r+") as db:
        with db.transaction() as tx:
            for source, path in targets(tx, sources, dest):
                put_one(shell, tx, source, path, how, totals)
        result = {**totals, "version": db.head}
    shell.answer(result, lines(result))


def targets(tx: "Transaction", sources: tuple[str, ...], dest: str) -> Iterator[tuple[str, str]]:
    """Each source with the path that it is put at."""
    if len(sources) > 1:
        yield from ((source, inside(dest, name_of(source))) for source in sources)
    elif sources[0] != "-" and not Path(sources[0]).is_dir() and is_folder(tx, dest):
        yield sources[0], inside(dest, name_of(sources[0]))
    else:
        yield sources[0], dest


def put_one(
    shell: Shell,
    tx: "Transaction",
    source: str,
    path: str,
    how: How,
    totals: dict[str, int],
) -> None:
    """Puts one source and adds what that did to the totals."""
    if source != "-" and Path(source).is_dir():
        if not how.recursive:
            raise UsageError(f"{quote(source)} is a folder", hint="Use -r to put folders.")
        report = tx.put_tree(
            source, path, delete=how.delete, checksum=how.checksum, progress=shell.progress()
        )
        add_report(shell, totals, report)
        return
    content = sys.stdin.buffer if source == "-" else Path(source)
    stat = tx.put(path, content, content_type=how.content_type, progress=shell.progress())
    totals["files"] += 1
    totals["bytes"] += stat.size


def add_report(shell: Shell, totals: dict[str, int], report: "PutReport") -> None:
    """Adds a folder's report to the totals, and warns of what it left out."""
    for name in COUNTS:
        totals[name] += getattr(report, name)
    shell.skipped(report)


def lines(result: dict[str, Any]) -> Iterator[str]:
    """What was done, for people."""
    return headline(
        "Put complete.",
        {
            "Files": result["files"],
            "Unchanged": result["unchanged"],
            "Folders": result["folders"],
            "Symlinks": result["symlinks"],
            "Deleted": result["deleted"],
            "Bytes": size(result["bytes"]),
            "Version": result["version"].hex(),
        },
    )
