"""How results look: pure functions from result objects to lines."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aeordb import Stat

SHORT_HASH = 12  # digits of a hash in a listing; 8 are enough to name a version


def escape(text: str) -> str:
    """The text with what a terminal would obey (control characters and their like) as escapes."""
    if text.isprintable():
        return text
    return "".join(
        ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text
    )


def shown(name: str) -> str:
    """A path or name for standard output: escaped on a terminal, as it is in a pipe or file."""
    return escape(name) if sys.stdout.isatty() else name


def size(count: int) -> str:
    """A byte count, with a rounded figure behind it where the count is hard to read."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} ({value:.1f} {unit})" if count >= 1024 else f"{count}"


def when(milliseconds: int) -> str:
    """A time in milliseconds since 1970 as local date and time (or as it is, if beyond them)."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"


def duration(seconds: float) -> str:
    """A length of time in its largest whole unit: `3 days`, `1 hour`."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return plural(int(seconds // length), unit)
    return plural(max(0, int(seconds)), "second")


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def headline(title: str, fields: Mapping[str, object]) -> Iterator[str]:
    """A headline and its facts, each on a line indented by two spaces; None is left out."""
    yield title
    for name, value in fields.items():
        if value is not None:
            yield f"  {name}: {value}"


def columns(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Rows as left-aligned columns, two spaces between; the last column is as wide as it is."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*cells, row[-1]])


def listing_line(stat: "Stat", name: str) -> str:
    """One line of `ls`: kind, size (of files), time of change, name."""
    amount = str(stat.size) if stat.kind == "file" else "-"
    return f"{stat.kind:7}  {amount:>12}  {when(stat.updated)}  {listing_name(stat, name)}"


def listing_name(stat: "Stat", name: str) -> str:
    """A name as `ls` shows it: a folder ends in `/`, a symlink is followed by its target."""
    if stat.kind == "folder":
        return shown(name) if name.endswith("/") else f"{shown(name)}/"
    if stat.kind == "symlink":
        return f"{shown(name)} -> {shown(stat.target or '')}"
    return shown(name)
