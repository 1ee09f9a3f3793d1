"""`aeordb verify`: whether every byte of a database holds, and what is hit where one does not."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from aeordb.cli.output import headline, plural, shown, size
from aeordb.cli.repaired import repair_lines
from aeordb.cli.shell import Command, Shell, jobs_option
from aeordb.database.plain import plain
from aeordb.errors import (
    DamagedError,
    IncompleteError,
    NotADatabaseError,
    UsageError,
    quote,
)

if TYPE_CHECKING:
    from aeordb import Finding, VerifyReport


def parse_part(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """The part that a percentage means: `5%` and `5` are 0.05."""
    if text is None:
        return None
    try:
        part = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        part = 0
    if not 0 < part <= 1:
        raise click.BadParameter(f"{quote(text)} is no part, as 5% is.")
    return part


@click.command(
    "verify",
    cls=Command,
    short_help="Check every byte of the database.",
    examples=(
        "aeordb verify -D data.aeordb",
        "aeordb verify --deep --json",
        "aeordb verify --repair --from backup.aeordb",
    ),
    exits=(0, 2, 3, 10, 11, 14, 15, 16, 20),
)
@click.option("--deep", is_flag=True, help="Also read every file and check its content hash.")
@click.option(
    "--sample",
    callback=parse_part,
    metavar="PERCENT",
    help="Read only this part of the files' content, chosen at random, as 5%.",
)
@click.option(
    "--since", metavar="VERSION", help="Check only what this version does not reach already."
)
@click.option(
    "--repair", is_flag=True, help="Write what is intact to a new file, with .repaired at its name."
)
@click.option(
    "--force-fix-in-place",
    "in_place",
    envvar="AEORDB_VERIFY_FORCE_FIX_IN_PLACE",
    is_flag=True,
    help="Put the repaired file in the place of the damaged one.",
)
@click.option(
    "--from",
    "refill",
    envvar="AEORDB_VERIFY_FROM",
    type=click.Path(),
    multiple=True,
    metavar="BACKUP",
    help="Take lost entries from this export, patch or database; may be given several times.",
)
@jobs_option
@click.pass_obj
def command(
    shell: Shell,
    deep: bool,
    sample: float | None,
    since: str | None,
    repair: bool,
    in_place: bool,
    refill: tuple[str, ...],
    jobs: int | None,
) -> int | None:
    """Check a database, an export or a patch: every entry's hash and content address, that every
    version is complete, the index, the path keys, the free space.

    Nothing is changed, and others may write meanwhile: what they commit is left out.

    With --repair, a damaged database is written anew beside it: the index is made from the log,
    what cannot be read is left out of its folders, and each lost path is listed with the versions
    that still have it (exit 3).
    """
    import aeordb

    if repair or in_place:
        if sample is not None or since is not None:
            raise UsageError("a repair verifies everything: not with --sample or --since")
        repaired(shell, deep, in_place, refill, jobs)
        return None
    if refill:
        raise UsageError("--from is for --repair or --force-fix-in-place")
    report = aeordb.verify(
        shell.database, deep=deep, sample=sample, since=since, jobs=jobs, progress=shell.progress()
    )
    findings = [{**plain(finding), "what": finding.what} for finding in report.findings]
    shell.answer(
        {**plain(report), "findings": findings},
        lines(shell.database, report),
        code=None if report.ok else DamagedError.code,
    )
    return None if report.ok else DamagedError.exit_code


def repaired(
    shell: Shell, deep: bool, in_place: bool, refill: tuple[str, ...], jobs: int | None
) -> None:
    """Verifies, and repairs what is found; a file without a header cannot be verified first."""
    import aeordb

    report = None
    with suppress(DamagedError, NotADatabaseError):
        report = aeordb.verify(shell.database, deep=deep, jobs=jobs, progress=shell.progress())
    done = aeordb.repair(
        shell.database,
        in_place=in_place,
        refill=refill,
        verified=report,
        jobs=jobs,
        progress=shell.progress(),
    )
    result = {"ok": report is not None and report.ok, "findings": []}
    if report is not None:
        findings = [{**plain(finding), "what": finding.what} for finding in report.findings]
        result = {**plain(report), "findings": findings}

    def both() -> Iterator[str]:
        if report is not None:
            yield from lines(shell.database, report)
        yield from repair_lines(shell.database, done, in_place=in_place)

    shell.complete = done.complete
    code = None if done.complete else IncompleteError.code
    shell.answer({**result, "repair": done}, both(), code=code)


def lines(database: str, report: "VerifyReport") -> Iterator[str]:
    """The report, for people."""
    if report.ok:
        title = f"{shown(database)}: everything holds."
    else:
        title = f"{shown(database)}: damaged, {plural(report.found, 'finding')}."
    rate = report.bytes / report.seconds if report.seconds > 0 else 0
    yield from headline(
        title,
        {
            "Entries": report.entries,
            "Log": size(report.bytes),
            "Versions": report.versions,
            "Files read": report.files or None,
            "Time": f"{report.seconds:.1f} s ({rate / 1e6:.0f} MB/s)",
        },
    )
    for note in report.notes:
        yield f"  Note: {note}"
    for finding in report.findings:
        yield from finding_lines(finding)
    if report.found > len(report.findings):
        yield f"  {report.found - len(report.findings)} more findings are not shown."


def finding_lines(finding: "Finding") -> Iterator[str]:
    """A finding: what and where, what it hits, what to do."""
    place = f" at offset {finding.offset}" if finding.offset is not None else ""
    yield f"  {finding.kind}{place}: {finding.what}"
    if finding.reason:
        yield f"    Reason: {finding.reason}"
    if finding.key is not None:
        yield f"    Key: {finding.key.hex()}"
    for path in finding.paths:
        yield f"    Path: {shown(path)}"
    if finding.versions:
        yield f"    Versions: {', '.join(map(shown, finding.versions))}"
    if finding.hint:
        yield f"    {finding.hint}"
