"""`aeordb export`: a version as a file of its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from aeordb.cli.output import headline, shown, size
from aeordb.cli.shell import Command, Shell, jobs_option, output_option, root_key_option
from aeordb.errors import UsageError

if TYPE_CHECKING:
    from aeordb import Database

COUNTS = ("version", "files", "chunks", "directories", "bytes", "output")


@click.command(
    "export",
    cls=Command,
    short_help="Write a version to a file of its own.",
    examples=(
        "aeordb export --output backup.aeordb",
        "aeordb export --output backups/v1.aeordb --snapshot v1",
        "AEORDB_ROOT_KEY=aeor_k_... aeordb export -o all.aeordb",
    ),
    exits=(0, 2, 10, 11, 12, 14, 15, 16, 20),
)
@output_option(required=True, help="The new file; it must not exist.")
@click.option("--snapshot", metavar="NAME", help="Export this snapshot instead of HEAD.")
@click.option(
    "--hash",
    "version",
    envvar="AEORDB_EXPORT_HASH",
    metavar="HASH",
    help="Export the version with this hash, of which the first 8 digits are enough.",
)
@root_key_option(
    "The root key of this database: export all snapshots and the system data too (users, groups), "
    "never a credential."
)
@click.option(
    "--uncompressed", is_flag=True, help="Store every chunk raw, for AeorDB 0.9's own import."
)
@click.option("--dry-run", is_flag=True, help="Count what would be exported; write nothing.")
@jobs_option
@click.pass_obj
def command(
    shell: Shell,
    output: str,
    snapshot: str | None,
    version: str | None,
    root_key: str | None,
    uncompressed: bool,
    dry_run: bool,
    jobs: int | None,
) -> None:
    """Write a version to a new file: HEAD, a snapshot, or any version by its hash.

    The file holds all that the version reaches, and nothing else; it is a database that opens like
    any other. Every entry is checked while it is copied. Others may write to the database
    meanwhile. Missing parent folders are made.
    """
    with shell.open() as db:
        report = db.export(
            output,
            version_of(db, snapshot, version),
            root_key=root_key,
            uncompressed=uncompressed,
            dry_run=dry_run,
            jobs=jobs,
            progress=shell.progress(),
        )
    result = {name: getattr(report, name) for name in COUNTS}
    if root_key is not None:
        result["snapshots"] = report.snapshots
    shell.answer(result, lines(result))


def version_of(db: "Database", snapshot: str | None, version: str | None) -> str:
    """The version that the options mean."""
    if snapshot is None:
        return "HEAD" if version is None else version
    if version is not None:
        raise UsageError("give one of --snapshot and --hash")
    found = db.snapshots.get(snapshot)
    # AeorDB lets a snapshot be called HEAD.
    return found.root.hex() if snapshot == "HEAD" else snapshot


def lines(result: dict[str, Any]) -> Iterator[str]:
    """What was done, for people."""
    output = result["output"]
    return headline(
        "Export complete." if output is not None else "Nothing was written; an export would hold:",
        {
            "Files": result["files"],
            "Chunks": result["chunks"],
            "Directories": result["directories"],
            "Version": result["version"].hex(),
            "Snapshots": result.get("snapshots"),
            "Size": size(result["bytes"]) if output is not None else None,
            "Output": shown(output) if output is not None else None,
        },
    )
