"""`aeordb diff`: what changed between two versions."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from aeordb.cli.output import headline, shown
from aeordb.cli.shell import READS, Command, Shell
from aeordb.errors import UsageError

if TYPE_CHECKING:
    from aeordb import Change

LETTERS = {"added": "A", "modified": "M", "deleted": "D"}


@click.command(
    "diff",
    cls=Command,
    short_help="Show what changed between two versions.",
    examples=("aeordb diff --from v1 --stat", "aeordb diff --from v1 --to v2 --name-status"),
    exits=READS,
)
@click.option(
    "--from",
    "base",
    envvar="AEORDB_DIFF_FROM",
    metavar="VERSION",
    required=True,
    help="The version to start from.",
)
@click.option(
    "--to",
    "target",
    envvar="AEORDB_DIFF_TO",
    metavar="VERSION",
    default="HEAD",
    show_default=True,
    help="The version to compare it with.",
)
@click.option("--stat", is_flag=True, help="Print how many files and folders changed.")
@click.option(
    "--name-status",
    is_flag=True,
    help="Print each changed path after A (added), M (modified) or D (deleted).",
)
@click.pass_obj
def command(shell: Shell, base: str, target: str, stat: bool, name_status: bool) -> None:
    """Show what changed between two versions.

    VERSION is HEAD, a snapshot, a fork, or a version's hash or its first 8 digits or more.
    """
    if stat == name_status:
        raise UsageError("give one of --stat and --name-status")
    with shell.open() as db:
        versions = {"from": db.resolve(base), "to": db.resolve(target)}
        changes = db.diff(versions["from"].hex(), versions["to"].hex())
        if name_status:
            shell.items(changes, line)
        else:
            result = {**versions, **count(changes)}
            shell.answer(result, lines(result))


def line(change: "Change") -> str:
    """One change, for people and for scripts."""
    entry = change.new or change.old
    slash = "/" if entry is not None and entry.kind == "folder" else ""
    return f"{LETTERS[change.kind]}  {shown(change.path)}{slash}"


def count(changes: Iterable["Change"]) -> dict[str, int]:
    """How many files (and symlinks) of each kind of change, how many folders, and their bytes."""
    counts: Counter[str] = Counter()
    added = deleted = 0
    for change in changes:
        entry = change.new or change.old
        if entry is not None and entry.kind == "folder":
            counts["directories"] += 1
            continue
        counts[change.kind] += 1
        added += change.new.size if change.new is not None else 0
        deleted += change.old.size if change.old is not None else 0
    return {
        "files_added": counts["added"],
        "files_modified": counts["modified"],
        "files_deleted": counts["deleted"],
        "directories": counts["directories"],
        "bytes_before": deleted,
        "bytes_after": added,
    }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The counts, for people."""
    return headline(
        "Differences.",
        {
            "Files added": result["files_added"],
            "Files modified": result["files_modified"],
            "Files deleted": result["files_deleted"],
            "Directories": result["directories"],
            "From": result["from"].hex(),
            "To": result["to"].hex(),
        },
    )
