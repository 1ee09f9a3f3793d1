"""`aeordb gc`: what no version reaches becomes free space."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aeordb.cli.output import headline, size
from aeordb.cli.shell import Command, Shell, jobs_option

if TYPE_CHECKING:
    from aeordb import GcReport


@click.command(
    "gc",
    cls=Command,
    short_help="Free what no version reaches.",
    examples=("aeordb gc --dry-run", "aeordb gc", "aeordb gc --compact"),
    exits=(0, 2, 10, 11, 14, 16),
)
@click.option("--dry-run", is_flag=True, help="Only count what would be freed.")
@click.option(
    "--compact",
    is_flag=True,
    help="Write a dense copy and put it in the file's place; needs free disk for the copy.",
)
@jobs_option
@click.pass_obj
def command(shell: Shell, dry_run: bool, compact: bool, jobs: int | None) -> None:
    """Free what HEAD, the snapshots, the forks and the system data do not reach.

    Freed space is used again, and given back to the disk where the file system can; --compact makes
    the file as short as it can be. Others may read meanwhile; a reader that does not let go for a
    moment ends it with exit code 11. Whatever stops a gc, the next one goes on.
    """
    with shell.open("r" if dry_run else "r+") as db:
        if compact and not dry_run and not shell.quiet and not shell.json:
            need = db.gc(dry_run=True, compact=True, jobs=jobs).compact_bytes
            click.echo(f"The copy will take {size(need)} of free disk.", err=True)
        report = db.gc(dry_run=dry_run, compact=compact, jobs=jobs, progress=shell.progress())
    shell.answer(report, lines(report))


def lines(report: "GcReport") -> Iterator[str]:
    """What was found and done, for people."""
    if report.dry_run:
        title = "Nothing was changed; a gc would free:"
    else:
        title = "Compaction complete." if report.compacted else "Garbage collection complete."
    return headline(
        title,
        {
            "Versions": report.versions,
            "Live entries": report.live_entries,
            "Garbage entries": report.garbage_entries,
            "Reclaimed": size(report.reclaimed_bytes),
            "Free": None if report.compacted or report.dry_run else size(report.free_bytes),
            "Copy": size(report.compact_bytes) if report.dry_run and report.compact_bytes else None,
            "File size": size(report.size),
            "Duration": f"{report.duration:.1f} s",
        },
    )
