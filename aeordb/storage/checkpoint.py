"""Bringing index pages up to date (engine.md section 3): pages are written in place, so a torn
one must be harmless.

First a flagged hot tail commits *all* entries of every page about to be written; while the flag
stands these pages are answered from the tail alone. Then the pages, then a small hot tail. What
a flag promises is kept by `finish`, after the commit as after a crash.
"""

from __future__ import annotations

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.page import block_length
from aeordb.native.faults import PageFault
from aeordb.native.pages import Checkpoint, replay_batches
from aeordb.native.pages import checkpoint as merge_pages
from aeordb.native.table import Table
from aeordb.storage.commit import LONG_TAIL, Layout, Log
from aeordb.storage.voids import clip_extents


def plan_checkpoint(log: Log, records: bytes | memoryview, *, drops: bool = False) -> Checkpoint:
    """What the pages of `records` are to hold, and which records find theirs full.

    `drops`: records with the deleted flag take their entries out of the pages; the caller is alone
    with the pages then (engine.md section 5).
    """
    header = log.state.header
    source = log.files.covering(header.log_start)
    return merge_pages(source, header.kv_offset, header.pages, records, drops, images=False)


def checkpoint(
    log: Log, plan: Checkpoint, head: bytes, *, drops: bool = False, table: Table | None = None
) -> None:
    """Commits the plan's records and `head`, and moves the records into their pages.

    `table`: one of the lead records, which becomes the log's, if the caller has made it already.
    """
    flags = c.SPARE_CHECKPOINT | (c.SPARE_DROPS if drops else log.state.flags & c.SPARE_DEAD_PAGES)
    if table is None:
        table = Table.from_records(plan.lead_records)
    table.put_many(plan.overflow_records)
    batch = len(plan.lead_records) // c.HOT_TAIL_RECORD_LENGTH
    log.commit(table, head, Layout(flags, batch))
    finish(log)


def finish(log: Log) -> None:
    """Does what the live hot tail's flag announces, and takes the flag down."""
    state = log.state
    if not state.flags & c.SPARE_CHECKPOINT:
        return
    header = state.header
    kept = state.flags & c.SPARE_DEAD_PAGES
    if state.flags & c.SPARE_GROWTH:
        layout, pages = _clear_block(log, kept)
    else:
        layout, pages = Layout(kept), header.pages
    drops = bool(state.flags & c.SPARE_DROPS)
    try:
        write_pages(log, state.batch, pages, drops=drops)
    except PageFault as fault:
        # What was committed does not fit its pages: nobody of good will wrote that.
        raise DamagedError(path=log.file.path, reason=str(fault)) from None
    log.commit(Table.from_records(state.rest), header.head, layout)
    settle(log)


def _clear_block(log: Log, kept: int) -> tuple[Layout, int]:
    """Zeros over the larger KV block that a growth was heading for."""
    stage = log.state.header.resize_target
    length = block_length(stage)
    edge = c.HEADERS_LENGTH + length
    log.voids.clip(edge)
    log.frozen = tuple(clip_extents(log.frozen, edge))
    log.write_zeros(c.HEADERS_LENGTH, length)
    return Layout(kept, stage=stage, kv_length=length), length // c.PAGE_LENGTH


def settle(log: Log) -> None:
    """Makes a long hot tail that the other slot names a void entry."""
    while log.state.other is not None and _is_long(log):
        log.commit(log.state.table, log.state.header.head)


def _is_long(log: Log) -> bool:
    state = log.state
    other = state.other
    if other is None or other.spare is None or other.hot_tail_offset >= state.log_end:
        return False
    return other.spare.region_length > LONG_TAIL


def write_pages(log: Log, leads: bytes | memoryview, pages: int, *, drops: bool = False) -> None:
    """Writes the pages that these records describe; neighbours go in one call."""
    kv_offset = log.state.header.kv_offset
    for numbers, images in replay_batches(leads, pages, drops):
        log.file.write_pages(kv_offset, numbers, images)
