"""`aeordb diff`: what changed between two versions, on screen or as a patch."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from aeordb.cli.output import headline, shown, size
from aeordb.cli.shell import Command, Shell, jobs_option, output_option
from aeordb.errors import UsageError

if TYPE_CHECKING:
    from aeordb import Change, Database

COUNTS = ("files_added", "files_modified", "files_deleted", "chunks", "directories")
LETTERS = {"added": "A", "modified": "M", "deleted": "D"}


@click.command(
    "diff",
    cls=Command,
    short_help="Write a patch of what changed, or show it.",
    examples=(
        "aeordb diff --output patch.aeordb --from v1 --to v2",
        "aeordb diff --from v1 --stat",
        "aeordb diff --from v1 --to v2 --name-status",
    ),
    exits=(0, 2, 10, 11, 14, 15, 16, 20),
)
@output_option(required=False, help="Write a patch, which 'import' takes; it must not exist.")
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
@click.option(
    "--uncompressed",
    is_flag=True,
    help="With --output: store every chunk raw, for AeorDB 0.9's own import.",
)
@click.option(
    "--dry-run", is_flag=True, help="With --output: count what the patch would hold; write nothing."
)
@jobs_option
@click.pass_obj
def command(
    shell: Shell,
    output: str | None,
    base: str,
    target: str,
    stat: bool,
    name_status: bool,
    uncompressed: bool,
    dry_run: bool,
    jobs: int | None,
) -> None:
    """Write what changed between two versions to a patch (--output), or show it.

    Any two versions will do, in either order. VERSION is HEAD, a snapshot, a fork, or a version's
    hash or its first 8 digits or more. Where nothing changed, no patch is written.
    """
    if (output is not None) + stat + name_status != 1:
        raise UsageError("give one of --output, --stat and --name-status")
    if output is None and (uncompressed or dry_run):
        raise UsageError("--uncompressed and --dry-run need --output")
    with shell.open() as db:
        if output is not None:
            report = db.export_patch(
                output,
                base,
                target,
                uncompressed=uncompressed,
                dry_run=dry_run,
                jobs=jobs,
                progress=shell.progress(),
            )
            result = {"from": report.from_, "to": report.to}
            result |= {name: getattr(report, name) for name in (*COUNTS, "bytes", "output")}
            shell.answer(result, patch_lines(result))
        else:
            show(shell, db, base, target, name_status)


def patch_lines(result: dict[str, Any]) -> Iterator[str]:
    """What was done, for people."""
    if result["from"] == result["to"]:
        versions = {"From": result["from"].hex(), "To": result["to"].hex()}
        return headline("No patch was written: the versions are the same.", versions)
    done = result["output"] is not None
    return headline(
        "Patch created." if done else "Nothing was written; a patch would hold:",
        {
            "Files added": result["files_added"],
            "Files modified": result["files_modified"],
            "Files deleted": result["files_deleted"],
            "Chunks": result["chunks"],
            "Directories": result["directories"],
            "From": result["from"].hex(),
            "To": result["to"].hex(),
            "Size": size(result["bytes"]) if done else None,
            "Output": shown(result["output"]) if done else None,
        },
    )


def show(shell: Shell, db: "Database", base: str, target: str, name_status: bool) -> None:
    """What changed, on screen: path by path, or in numbers."""
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
