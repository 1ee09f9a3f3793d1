"""Growth of the KV block (engine.md section 3): it takes the room of the log's first entries.

Live entries in the way are copied behind the log; one flagged hot tail commits the copies with
the entire index; `checkpoint.finish` then writes the larger block.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from aeordb.format import constants as c
from aeordb.format.page import block_length
from aeordb.format.page import pages as stage_pages
from aeordb.native.index import Index, split_records
from aeordb.native.log import scan_log
from aeordb.native.pages import order_records, overflow_count
from aeordb.native.table import Table
from aeordb.native.voids import NO_RECORD
from aeordb.storage.checkpoint import finish
from aeordb.storage.commit import Layout, Log
from aeordb.storage.view import make_index

# Above this many entries a page the tail of the distribution finds its page full too often.
_ENTRIES_PER_PAGE = 18
OVERFLOW_LIMIT = 512
_COPY_BYTES = 4 << 20
# Entries looked at in one go: what is wanted of a log of large chunks is within its first few.
_SCAN_ENTRIES = 64

_Row = tuple[int, int, int, bytes]
_Live = tuple[int, int, bytes, int | None]
"""(offset, total length, key, KV type and flags) of an entry; None: the index has it not."""


def stage_for(entries: int) -> int:
    """The lowest stage whose pages take so many entries with next to none finding a page full."""
    stage = 0
    while stage_pages(stage) * _ENTRIES_PER_PAGE < entries and stage < c.STAGE_MAX:
        stage += 1
    return stage


def stage_for_records(records: bytes, at_least: int) -> int:
    """The lowest stage, from `at_least` on, in which at most 512 records find their page full."""
    count = len(records) // c.HOT_TAIL_RECORD_LENGTH
    stage = at_least
    while stage_pages(stage) * c.PAGE_ENTRIES < count or (
        overflow_count(records, stage_pages(stage)) > OVERFLOW_LIMIT
    ):
        stage += 1
    return stage


def grow(log: Log, table: Table, head: bytes, stage: int | None = None) -> None:
    """Commits `table` and `head`, with a KV block of `stage` (None: the lowest that will do).

    The table is taken over: entries that move get their new places in it.
    """
    # What an undone transaction left in free ranges must not be met by the scans below.
    log.write_voids()
    index = make_index(log.files, log.state, table)
    if stage is None:
        stage = stage_for_records(_joined(index), log.state.header.stage + 1)
    edge = c.HEADERS_LENGTH + block_length(stage)
    # Of a long transaction only what it appended first is in the way.
    in_the_way = _boundary(log, edge) or log.append_at
    log.voids.clip(in_the_way)
    if in_the_way > log.state.log_end:
        # So is the live hot tail, or the log ends too close behind the edge for a void entry.
        log.leave_room(edge, max(in_the_way, edge + c.VOID_MIN_LENGTH))
    elif in_the_way > edge:
        log.free_with_commit(edge, in_the_way)
    for rows in _live_entries(log, table, in_the_way):
        _copy(log, rows, table)
    whole, batch = _in_page_order(_joined(make_index(log.files, log.state, table)), stage)
    flags = c.SPARE_CHECKPOINT | c.SPARE_GROWTH | (log.state.flags & c.SPARE_DEAD_PAGES)
    log.commit(whole, head, Layout(flags, batch, resize_target=stage))
    finish(log)


def _in_page_order(records: bytes, stage: int) -> tuple[Table, int]:
    """A table of all records, those that fit their pages first and in order; how many these are."""
    leads, overflow = order_records(records, stage_pages(stage))
    table = Table.from_records(leads)
    table.put_many(overflow)
    return table, len(leads) // c.HOT_TAIL_RECORD_LENGTH


def _joined(index: Index) -> bytes:
    return b"".join(index.scan())


def _boundary(log: Log, edge: int) -> int | None:
    """Where the first entry begins that can stay: at `edge`, or with a void entry's room between.

    None if there is no such place.
    """
    for rows in _log_rows(log, log.append_at):
        for offset, *_ in rows:
            if offset == edge or offset >= edge + c.VOID_MIN_LENGTH:
                return offset
    return None


def _scan(log: Log, start: int, end: int) -> Iterator[list[_Row]]:
    """Log entries as (offset, length, type, key), in batches, without gaps and free ranges."""
    for batch in scan_log(log.files.covering(end), start, end, _SCAN_ENTRIES):
        yield [
            (offset, length, kind, key)
            for offset, kind, _, _, length, key, *_ in batch
            if kind not in (0, c.ENTRY_VOID)
        ]


def _live_entries(log: Log, table: Table, end: int) -> Iterator[list[_Live]]:
    """The entries before `end` that are still needed, in batches of some MiB.

    These are what the index points to, and all deletion entries: of a gc that was cut off the index
    has them no more, but older entries of their keys may still stand in the log, and a rebuild of
    the index would bring these back.
    """
    index = make_index(log.files, log.state, table)
    rows: list[_Live] = []
    size = 0
    for batch in _log_rows(log, end):
        for (offset, length, kind, key), kv in zip(batch, _indexed(index, batch), strict=True):
            if kv is None and kind != c.ENTRY_DELETION:
                continue
            rows.append((offset, length, key, kv))
            size += length
            if size >= _COPY_BYTES:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def _log_rows(log: Log, end: int) -> Iterator[list[_Row]]:
    """Entries of the log before `end`: the committed ones, then this transaction's behind the
    live hot tail."""
    state = log.state
    yield from _scan(log, state.header.log_start, min(end, state.log_end))
    if end > state.region_end:
        yield from _scan(log, state.region_end, end)


def _indexed(index: Index, rows: list[_Row]) -> list[int | None]:
    """Of each row the KV type and flags, if it is the one that the index has of its key."""
    keyed = [row for row in rows if len(row[3]) == c.HASH_LENGTH]
    _, records = index.find_many(b"".join([row[3] for row in keyed]))
    kinds = {(offset, key): kv for key, kv, offset, _ in split_records(records)}
    return [kinds.get((row[0], row[3])) for row in rows]


def _copy(log: Log, rows: list[_Live], moved: Table) -> None:
    """Appends these entries' bytes as they stand; the index gets new places of those it has."""
    source = log.files.covering(rows[-1][0] + rows[-1][1])
    lengths = array("Q", [length for _, length, _, _ in rows])
    frames = bytearray(sum(lengths))
    start, done = rows[0][0], 0
    for (offset, length, _, _), after in zip(rows, [*rows[1:], None], strict=True):
        end = offset + length
        if after is None or after[0] != end:
            # What stands together is copied together.
            source.copy_into(frames, done, start, end - start)
            done += end - start
            start = end if after is None else after[0]
    keys = b"".join([c.ZERO_HASH if kv is None else key for _, _, key, kv in rows])
    kinds = bytes(NO_RECORD if kv is None else kv for _, _, _, kv in rows)
    log.place(frames, lengths, keys, kinds, moved)
