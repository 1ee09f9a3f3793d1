"""`aeordb import`: exports and patches into a database."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from aeordb.cli.output import headline, shown
from aeordb.cli.shell import Command, Shell, jobs_option, root_key_option
from aeordb.errors import UnauthorizedError, quote

if TYPE_CHECKING:
    from aeordb import Database, ImportReport

TITLES = {"full": "Full export", "patch": "Patch", "chain": "Chain of backups"}


@click.command(
    "import",
    cls=Command,
    short_help="Bring an export or a patch into the database.",
    examples=(
        "aeordb import --file backup.aeordb --promote",
        "aeordb import -D restored.aeordb --file full.aeordb --file patch.aeordb --promote",
        "aeordb import -D restored.aeordb --file backups/ --promote",
    ),
    exits=(0, 2, 3, 10, 11, 12, 13, 14, 16),
)
@click.option(
    "--file",
    "files",
    envvar="AEORDB_IMPORT_FILE",
    type=click.Path(),
    multiple=True,
    required=True,
    metavar="FILE",
    help="The export or patch, several of them, or a folder; they are put in order.",
)
@click.option("--promote", is_flag=True, help="Make HEAD what is imported.")
@click.option("--force", is_flag=True, help="Apply a patch though HEAD is not its base version.")
@root_key_option(
    "The root key of this database: take system data in too (users, groups, snapshots)."
)
@click.option("--dry-run", is_flag=True, help="Check, and say what would be done; write nothing.")
@click.option(
    "--salvage", is_flag=True, help="Rebuild folders that the backup holds incompletely (exit 3)."
)
@jobs_option
@click.pass_obj
def command(
    shell: Shell,
    files: tuple[str, ...],
    promote: bool,
    force: bool,
    root_key: str | None,
    dry_run: bool,
    salvage: bool,
    jobs: int | None,
) -> None:
    """Bring exports and patches into the database, in one commit: whole or not at all.

    Nothing in the files is trusted: the whole version is checked first. A patch must start from
    what HEAD is, unless --force; what it lacks is never forgiven. Without --promote HEAD stays, and
    a snapshot keeps the version until 'aeordb promote'. A database that does not exist is created.
    """
    with target(shell, dry_run, root_key) as (db, created):
        report = db.import_(
            list(files),
            promote=promote,
            force=force,
            root_key=root_key,
            salvage=salvage,
            dry_run=dry_run,
            jobs=jobs,
            progress=shell.progress(),
        )
        is_head = db.head == report.version
    for warning in report.warnings:
        shell.warn(warning)
    for path, count in report.rebuilt:
        shell.warn(f"the folder {quote(path)} was rebuilt from the records in the file: {count}")
    shell.complete = not report.rebuilt
    result = fields(report) | {"created": created, "dry_run": dry_run}
    made = shown(shell.database) if created else None
    shell.answer(result, lines(result, is_head=is_head, made=made))


@contextmanager
def target(shell: Shell, dry_run: bool, root_key: str | None) -> "Iterator[tuple[Database, bool]]":
    """The database, and whether it was created for this; a new one goes again if that fails."""
    if os.path.lexists(shell.database):
        with shell.open("r" if dry_run else "r+") as db:
            yield db, False
        return
    if root_key is not None:
        raise UnauthorizedError(
            f"{quote(shell.database)} does not exist, so no root key can be its own",
            hint=f"Make it with: aeordb init -D {shlex.quote(shell.database)}",
        )
    if dry_run:
        import aeordb

        with (
            tempfile.TemporaryDirectory() as folder,
            aeordb.open(os.path.join(folder, "new.aeordb"), "x") as db,
        ):
            yield db, True
        return
    db = shell.open("x")
    try:
        with db:
            yield db, True
    except BaseException:
        for name in (shell.database, f"{shell.database}.lock"):
            with suppress(FileNotFoundError):
                os.unlink(name)
        raise


def fields(report: "ImportReport") -> dict[str, Any]:
    """What `--json` prints of the report; warnings have their own place there."""
    names = ("kind", "entries", "chunks", "files", "directories", "deletions", "version")
    more = ("promoted", "skipped_system", "snapshot", "written")
    result = {name: getattr(report, name) for name in (*names, *more)}
    rebuilt = [{"path": path, "entries": count} for path, count in report.rebuilt]
    return result | {"rebuilt": rebuilt}


def lines(result: dict[str, Any], *, is_head: bool, made: str | None) -> Iterator[str]:
    """What was done, for people; `made` is the database if it was created."""
    title = TITLES[result["kind"]]
    yield from headline(
        f"{title} checked; nothing was written." if result["dry_run"] else f"{title} imported.",
        {
            "Entries": result["entries"],
            "Chunks": result["chunks"],
            "Files": result["files"],
            "Directories": result["directories"],
            "Deletions": result["deletions"],
            "Version": result["version"].hex(),
        },
    )
    if result["dry_run"]:
        return
    if result["promoted"]:
        yield "HEAD has been promoted."
    elif is_head:
        yield "HEAD is this version already."
    else:
        how = {
            "To promote": f"aeordb promote --hash {result['version'].hex()}",
            "Kept until then as": result["snapshot"],
        }
        yield from headline("HEAD has NOT been changed.", how)
    if made is not None:
        yield f"The database {made} has been created."
