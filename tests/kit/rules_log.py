"""Rules of the log: entries back to back, free space under void entries, times that rise."""

from collections.abc import Iterator

from tests.kit.layout import (
    DIRECTORY,
    FILE,
    HEADER_LENGTH,
    SYMLINK,
    VOID,
    Entry,
    MalformedError,
    read_entry,
)
from tests.kit.oracle import Ranges
from tests.kit.subject import Subject

# AeorDB 0.9 gives up when it meets no entry header for this long.
MAX_GAP = 1 << 20


def log_rules(s: Subject) -> Iterator[str]:
    """All rules of the log, from its start to the live hot tail."""
    entries, gaps = walk_log(s)
    yield from _gap_rules(s, gaps)
    yield from _void_rules(s, entries)
    yield from _time_rules(s, entries)
    for entry in entries.values():
        if not entry.intact and not _in_old_space(s, entry.offset, entry.end):
            yield f"entry at {entry.offset}: integrity hash"
        if entry.type != VOID and len(entry.key) != 32:
            yield f"entry at {entry.offset}: key of {len(entry.key)} bytes"


def walk_log(s: Subject) -> tuple[dict[int, Entry], list[tuple[int, int]]]:
    """The entries by offset, and the (start, end) stretches that are none."""
    assert s.tail
    entries: dict[int, Entry] = {}
    gaps = []
    offset, end = s.slot.log_start, s.tail.offset
    while offset < end:
        other = s.other_tail
        if other and offset == other[0]:
            gaps.append(other)
            offset = other[1]
            continue
        try:
            entry = read_entry(s.data, offset, end)
        except MalformedError:
            following = next(s.oracle.scan(offset + 1, end), None)
            stop = following.offset if following else end
            if other and offset < other[0] < stop:
                stop = other[0]
            gaps.append((offset, stop))
            offset = stop
            continue
        entries[offset] = entry
        offset = entry.end
    return entries, gaps


def _in_old_space(s: Subject, start: int, end: int) -> bool:
    """Free space that AeorDB left: anything may stand there until it is written anew."""
    assert s.tail
    return s.lenient_voids and Ranges(s.tail.voids).meets(start, end)


def _gap_rules(s: Subject, gaps: list[tuple[int, int]]) -> Iterator[str]:
    """A gap is the other slot's hot tail before a close, old free space in a file taken over."""
    for start, end in gaps:
        if end - start > MAX_GAP:
            yield f"{end - start} bytes at {start} without an entry header"
        if _in_old_space(s, start, end) or (s.small_gaps and end - start < HEADER_LENGTH):
            continue
        if (start, end) != s.other_tail:
            yield f"gap of {end - start} bytes in the log at {start}"
        elif s.closed and s.ours:
            yield f"the other slot's hot tail at {start} was not voided by the close"


def _void_rules(s: Subject, entries: dict[int, Entry]) -> Iterator[str]:
    """Each void record is tiled exactly by void entries, or holds the other slot's hot tail."""
    assert s.tail
    for entry in entries.values():
        if entry.type != VOID or not s.ours or s.taken_over:
            continue
        if entry.key or entry.value.count(0) != len(entry.value):
            yield f"void entry at {entry.offset}: a key, or bytes that are not zero"
        if entry.total > 1 << 30:
            yield f"void entry at {entry.offset}: {entry.total} bytes"
    if s.lenient_voids:
        return
    for start, end in s.tail.voids:
        offset = start
        while offset < end:
            entry = entries.get(offset)
            if entry is not None and entry.type == VOID:
                offset = entry.end
            elif s.other_tail and offset == s.other_tail[0]:
                offset = s.other_tail[1]
            else:
                break
        if offset != end:
            yield f"void {start}..{end} is not covered by void entries from {offset} on"


def _time_rules(s: Subject, entries: dict[int, Entry]) -> Iterator[str]:
    """No two entries share a time, and none is later than the header's.

    In what began as a backup of ours, entries that were made anew have their source's time.
    """
    seen: dict[int, int] = {}
    for entry in entries.values():
        if entry.type == VOID:
            continue
        if entry.time in seen and not _shares_time(entries[seen[entry.time]], entry):
            yield f"entries at {seen[entry.time]} and {entry.offset} have the same time"
        seen[entry.time] = entry.offset
        if entry.time > s.slot.updated:
            yield f"entry at {entry.offset} is later than the header's time"


def _shares_time(one: Entry, two: Entry) -> bool:
    """Path keys' entries beside the one they were made from, or system listings made anew."""
    if one.type != two.type:
        return False
    if one.type == DIRECTORY and (one.flags & two.flags & 1 or two.value == one.key):
        return True
    return one.type in (FILE, DIRECTORY, SYMLINK) and one.value == two.value
