"""`aeordb backup`: one run of the scheduled backup."""

import os
from collections.abc import Iterator
from typing import Any

import click

from aeordb.cli.output import headline, plural, shown, size
from aeordb.cli.shell import Command, Shell, jobs_option
from aeordb.errors import AeorDBError, LockedError, NotDurableError

# Seconds to wait for another writer with the note of what is done already.
PATIENCE = 10.0
TITLES = {
    "full": "Backup complete.",
    "patch": "Backup complete: a patch.",
    "unchanged": "Nothing changed since the last backup.",
}


@click.command(
    "backup",
    cls=Command,
    short_help="Make a backup with the time in its name; drop old ones.",
    examples=(
        "aeordb backup --backup-dir /var/backups/aeordb --retention-count 7",
        "aeordb backup --patches 6 --retention-count 14",
    ),
    exits=(0, 2, 10, 11, 14, 16, 20),
)
@click.option(
    "--backup-dir",
    metavar="DIR",
    default="./backups/",
    show_default=True,
    help="Where the backups are; made if it is not there.",
)
@click.option(
    "--retention-count",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Keep at most N files of this kind, and those that a patch needs.  [default: all]",
)
@click.option("--snapshot", metavar="NAME", help="Back up this snapshot instead of HEAD.")
@click.option(
    "--patches",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let up to N patches follow each full export.  [default: 0]",
)
@jobs_option
@click.pass_obj
def command(
    shell: Shell,
    backup_dir: str,
    retention_count: int,
    snapshot: str | None,
    patches: int,
    jobs: int | None,
) -> None:
    """Write HEAD to a new file in DIR, as backup-head-20260419T030000.000Z.aeordb.

    The file is read back before an older one is deleted. Only files go that 'backup' made of this
    database and of the same version's name; never one that a patch in DIR needs. What a run was
    writing when it was killed goes an hour later. The run is noted in the database, for 'aeordb
    status --max-age'. Others may write to the database meanwhile.
    """
    with shell.open() as db:
        report = db.backup(
            backup_dir,
            retention_count=retention_count,
            snapshot=snapshot,
            patches=patches,
            jobs=jobs,
            progress=shell.progress(),
        )
    try:
        with shell.open("r+", timeout=PATIENCE) as db:
            report = db.record_backup(report)
    except (LockedError, NotDurableError, OSError) as error:
        reason = error.message if isinstance(error, AeorDBError) else str(error)
        shell.warn(f"the backup is made, but 'status' will not know of it: {reason}")
    names = ("kind", "output", "version", "base", "files", "chunks", "directories", "bytes")
    result = {name: getattr(report, name) for name in (*names, "time", "deleted", "recorded")}
    shell.answer(result, lines(result))


def lines(result: dict[str, Any]) -> Iterator[str]:
    """What was done, for people."""
    made = result["kind"] != "unchanged"
    deleted = [os.path.basename(path) for path in result["deleted"]]
    yield from headline(
        TITLES[result["kind"]],
        {
            "Output": shown(result["output"]),
            "Files": result["files"] if made else None,
            "Chunks": result["chunks"] if made else None,
            "Directories": result["directories"] if made else None,
            "Version": result["version"].hex(),
            "Base": result["base"].hex() if result["kind"] == "patch" else None,
            "Size": size(result["bytes"]) if made else None,
        },
    )
    if deleted:
        yield f"Deleted {plural(len(deleted), 'older backup')}:"
        yield from (f"  {shown(name)}" for name in deleted)
