"""How a repair looks: what `aeordb verify --repair` prints of it."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aeordb.cli.output import headline, plural, shown, size

if TYPE_CHECKING:
    from aeordb import RepairReport

_SHOWN = 1000


def repair_lines(database: str, report: "RepairReport", *, in_place: bool) -> Iterator[str]:
    """What was done, and what could not be brought back."""
    if report.output is None:
        yield "Nothing was repaired: nothing is damaged."
        return
    yield from headline(
        f"Repaired: {shown(report.output)}",
        {
            "HEAD": report.head.hex(),
            "Entries": report.entries,
            "Size": size(report.bytes),
            "Mended": report.mended or None,
            "Found a second time": report.replaced or None,
            "Taken from backups": report.refilled or None,
            "Unreadable, left out": report.unreadable or None,
            "Bytes of no entry": report.gap_bytes or None,
        },
    )
    for version in report.changed:
        before = "unknown" if version.old is None else version.old.hex()
        yield f"  {shown(version.version)} was {before}, is {version.new.hex()} now."
    for folder in report.rebuilt:
        children = "1 child" if folder.children == 1 else f"{folder.children} children"
        where = f"{shown(folder.path)} ({shown(folder.version)})"
        yield f"  Rebuilt from records: {where}: {children}"
    for lost in report.lost[:_SHOWN]:
        still = ", ".join(map(shown, lost.stands_in)) or "no other version"
        where = ", ".join(map(shown, lost.versions))
        yield f"  Lost: {shown(lost.path)} in {where}; it still stands in {still}"
    if len(report.lost) > _SHOWN:
        yield f"  {plural(len(report.lost) - _SHOWN, 'more lost path')}: see --json."
    if report.kept_as is not None:
        yield "  HEAD is the newest complete version; what is left of a newer one is kept as"
        yield f"  the snapshot {report.kept_as}."
    if report.lost_names:
        yield f"  {report.lost_names} snapshots or forks cannot be read any more."
    if not in_place:
        move = shlex.join(["mv", report.output, database])
        yield f"The damaged file was not changed. To use the repaired one: {move}"
