"""The rules that every file of ours keeps, so that AeorDB 0.9 can take it over at any time.

`check_file` reads the file with the independent reader and returns one line per rule that does
not hold. It is a check of bytes on disk: nothing is taken from the package. The rules are those of
FORMAT.md and of the shadow commit; the modules beside this one hold them by subject.
"""

import os
from collections.abc import Callable, Iterator

from tests.kit.layout import (
    FLAG_CHECKPOINT,
    FLAG_CLEAN,
    FLAG_DEAD_PAGES,
    FLAG_DROPS,
    FLAG_GROWTH,
    HEADER_LENGTH,
    LOG_START,
    PAGE_LENGTH,
    PENDING,
    SLOT_LENGTH,
    ZERO,
    HotTail,
    MalformedError,
    Slot,
    page_of,
    read_hot_tail,
    stage_length,
)
from tests.kit.oracle import Oracle, Ranges
from tests.kit.rules_log import log_rules
from tests.kit.rules_tree import tree_rules
from tests.kit.subject import Subject

MAX_VOIDS = 4096
_SHOWN = 20


def check_file(
    path: str | os.PathLike[str],
    *,
    closed: bool = True,
    ours: bool = True,
    taken_over: bool = False,
) -> list[str]:
    """Every rule that the file breaks, as sentences; empty when all hold.

    Args:
        path: the file, read at once; nobody may be in the middle of a commit.
        closed: the last writer closed it: no gap in the log, the tail is the end of the file.
        ours: our marker must stand in the live slot. False leaves out the rules that AeorDB 0.9
            itself does not keep.
        taken_over: AeorDB wrote part of the log: its free space holds old bytes, not void
            entries, and its pages may hold entries that lie in it.
    """
    try:
        oracle = Oracle(path)
    except MalformedError as error:
        return [str(error)]
    try:
        tail = read_hot_tail(oracle.data, oracle.slot.hot_tail)
    except MalformedError as error:
        return [*_run(_header_rules, Subject(oracle, None, closed, ours, taken_over)), str(error)]
    subject = Subject(oracle, tail, closed, ours, taken_over)
    findings = []
    for rules in (_header_rules, _tail_rules, _page_rules, log_rules, tree_rules):
        findings += _run(rules, subject)
    return findings


def assert_file(path: str | os.PathLike[str], **how: bool) -> None:
    """Fails with the first findings where a rule is broken."""
    findings = check_file(path, **how)
    more = f"\n... and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    assert not findings, "\n".join(findings[:_SHOWN]) + more


def _run(rules: Callable[[Subject], Iterator[str]], subject: Subject) -> list[str]:
    found = []
    try:
        for finding in rules(subject):
            found.append(finding)
    except MalformedError as error:
        found.append(f"{rules.__name__.strip('_')}: {error}")
    return found


def _header_rules(s: Subject) -> Iterator[str]:
    """Both slots good or zero, in turn; the spare bytes are our marker or zeros."""
    live, other = s.slot, s.oracle.other
    for number, slot in enumerate(s.oracle.slots):
        raw = s.data[number * SLOT_LENGTH : (number + 1) * SLOT_LENGTH]
        if slot is None and any(raw):
            yield f"slot {'AB'[number]} is neither good nor zero"
        if slot is not None:
            yield from (f"slot {'AB'[number]}: {said}" for said in _slot_rules(s, slot))
    if other is not None:
        if other.sequence >= live.sequence:
            yield f"both slots have sequence {live.sequence}"
        elif other.sequence != live.sequence - 1 and s.ours:
            yield f"the slots' sequences are {other.sequence} and {live.sequence}"
        if other.created != live.created:
            yield "the slots disagree on the creation time"
    if s.ours and live.head == ZERO:
        yield "HEAD is zero"
    if s.ours and live.ours is None:
        yield "the live slot lacks our marker"
    marker = live.ours
    if marker is not None and marker.flags & FLAG_DEAD_PAGES and not s.taken_over:
        yield "dead entries in the pages of a file that AeorDB never wrote to"
    if marker is not None and s.closed:
        if not marker.flags & FLAG_CLEAN:
            yield "the close is not marked as clean"
        if marker.flags & (FLAG_CHECKPOINT | FLAG_GROWTH | FLAG_DROPS):
            yield f"closed with the flags {marker.flags:#x} set"


def _slot_rules(s: Subject, slot: Slot) -> Iterator[str]:
    if slot.algorithm != 1:
        yield f"hash algorithm {slot.algorithm}"
    if slot.kv_offset != LOG_START or slot.kv_length != stage_length(slot.stage):
        yield f"KV block of {slot.kv_length} bytes at {slot.kv_offset}, stage {slot.stage}"
    if slot.kv_version != 1 or slot.nvt != (0, 0, 1) or slot.buffers != (0, 0):
        yield "an unused field is not as AeorDB writes it"
    if slot.hot_tail < slot.log_start:
        yield f"hot tail at {slot.hot_tail}, inside the index"
    if slot.created > slot.updated:
        yield "updated before it was created"
    if slot.backup_type > 2:
        yield f"backup type {slot.backup_type}"
    if slot.backup_type == 0 and (slot.base != ZERO or slot.target != ZERO) and s.ours:
        yield "a database with a base or target"
    growing = slot.ours is not None and slot.ours.flags & FLAG_GROWTH
    if (slot.resizing or slot.target_stage) and slot.ours is not None and not growing:
        yield f"resize in progress {slot.resizing}, target stage {slot.target_stage}"
    marker = slot.ours
    if marker is None:
        if any(slot.spare):
            yield "spare bytes are neither zero nor ours"
        return
    if marker.version != 1 or any(marker.rest):
        yield f"marker of version {marker.version}, rest {marker.rest.hex()}"
    known = FLAG_CHECKPOINT | FLAG_GROWTH | FLAG_CLEAN | FLAG_DROPS | FLAG_DEAD_PAGES
    if marker.flags & ~known:
        yield f"unknown flags {marker.flags:#x}"
    if marker.tail_length < HEADER_LENGTH:
        yield f"a tail region of {marker.tail_length} bytes has no room for a void entry"


def _tail_rules(s: Subject) -> Iterator[str]:
    """The live tail's place, length, padding and records."""
    tail, marker = s.tail, s.slot.ours
    assert tail
    region_end = tail.offset + (marker.tail_length if marker else tail.length)
    if marker and tail.length > marker.tail_length:
        yield f"the tail has {tail.length} bytes, its region {marker.tail_length}"
    if any(s.data[tail.offset + tail.length : region_end]):
        yield "the padding behind the hot tail is not zero"
    if s.closed and region_end != len(s.data):
        yield f"the tail ends at {region_end}, the file at {len(s.data)}"
    if marker and marker.batch > len(tail.writes):
        yield f"a batch of {marker.batch} records in a tail of {len(tail.writes)}"
    keys = [location.key for location in tail.writes]
    if len(set(keys)) != len(keys):
        yield "a key stands twice in the hot tail"
    if s.ours and any(location.kv & PENDING for location in tail.writes):
        yield "a pending record in the hot tail"
    yield from _void_record_rules(s, tail)


def _void_record_rules(s: Subject, tail: HotTail) -> Iterator[str]:
    if not s.lenient_voids and len(tail.voids) > MAX_VOIDS:
        yield f"{len(tail.voids)} void records"
    last = 0
    for start, end in sorted(tail.voids):
        if start < s.slot.log_start or end > tail.offset:
            yield f"void {start}..{end} lies outside the log"
        if not HEADER_LENGTH <= end - start <= 1 << 30 and not s.lenient_voids:
            yield f"void {start}..{end} has {end - start} bytes"
        if start < last:
            yield f"void {start}..{end} meets the one before it"
        last = max(last, end)


def _page_rules(s: Subject) -> Iterator[str]:
    """Every page whole, every key on its page once, nothing but zeros behind the records."""
    assert s.tail
    pages, dead = s.slot.pages, Ranges(s.tail.voids)
    covered = s.oracle.covered_pages(s.tail)
    for number in range(pages):
        if number in covered:
            continue
        start = s.slot.kv_offset + number * PAGE_LENGTH
        raw = s.data[start : start + PAGE_LENGTH]
        try:
            records = s.oracle.page(number)
        except MalformedError as error:
            yield f"page {number}: {error}"
            continue
        if any(raw[10 + 45 * len(records) :]) or (not records and raw[8:10] == b"\0\0" and raw[10]):
            yield f"page {number}: not zero behind its records"
        if len({location.key for location in records}) != len(records):
            yield f"page {number}: a key stands twice"
        for location in records:
            if page_of(location.key, pages) != number:
                yield f"page {number}: {location.key.hex()} belongs elsewhere"
            if s.ours and location.kv & PENDING:
                yield f"page {number}: {location.key.hex()} is pending"
            if not s.lenient_voids and dead.meets(location.offset, location.end):
                yield f"page {number}: {location.key.hex()} lies in a void"
    start = s.slot.kv_offset + pages * PAGE_LENGTH
    if any(s.data[start : s.slot.kv_offset + s.slot.kv_length]):
        yield "the KV block is not zero behind its last page"
