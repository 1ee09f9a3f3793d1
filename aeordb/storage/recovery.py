"""A writer's first act (engine.md section 3): before it, nothing in the file has been touched.

On our own file it undoes what a cut, or a sync that failed, may have left around the live state.
On AeorDB's it commits the file as it stands, so that our rules hold from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from aeordb.errors import AeorDBError, DamagedError, LockedError, quote
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.header import Spare
from aeordb.format.hottail import mark_deleted
from aeordb.format.page import block_length
from aeordb.native.faults import PageFault
from aeordb.native.pages import order_records
from aeordb.native.table import Table
from aeordb.storage.checkpoint import checkpoint, finish, plan_checkpoint, write_pages
from aeordb.storage.commit import Layout, Log
from aeordb.storage.locks import VIEW_BYTE, ExclusiveLock
from aeordb.storage.state import rebuild_live
from aeordb.storage.view import make_index
from aeordb.storage.voids import Extent, VoidMap

_PATIENCE = 0.2


def first_act(log: Log) -> None:
    """Makes the file one that this writer may commit to; raises before it changes a byte that
    the live state needs."""
    header = log.state.header
    if header.kv_offset != c.HEADERS_LENGTH:
        raise AeorDBError(
            f"{quote(log.file.path)} has an old layout (no index ahead of its log): read-only",
            hint="Export it to a new file and go on with that one.",
        )
    # A hot tail's hash and a header's checksum say nothing of who made them.
    _check_counters(log)
    _check_block(log)
    _check_extents(log, log.state.voids)
    if log.state.ours:
        _settle_ours(log)
    else:
        _take_over(log)


def _check_counters(log: Log) -> None:
    """What each commit and entry counts up must have room for more of them than there can be."""
    header = log.state.header
    for what, number in (("sequence", header.sequence), ("time", log.last_time)):
        if number > c.COUNTER_MAX:
            raise _bad_header(log, f"the header's {what} is {number}, which no writer reaches")


def _check_block(log: Log) -> None:
    """The KV block must be one of the stages that growth leads to, the larger one of a growth that
    was cut off lie before the log's end."""
    header = log.state.header
    try:
        length = block_length(header.stage)
        larger = block_length(header.resize_target)
    except FormatError as fault:
        raise _bad_header(log, str(fault)) from None
    if log.state.ours and header.kv_length != length:
        raise _bad_header(log, f"a KV block of {header.kv_length} bytes in stage {header.stage}")
    if log.state.flags & c.SPARE_GROWTH and (
        larger <= length or c.HEADERS_LENGTH + larger > log.state.log_end
    ):
        raise _bad_header(log, f"it grows from stage {header.stage} to {header.resize_target}")


def _bad_header(log: Log, reason: str) -> DamagedError:
    return DamagedError(
        path=log.file.path,
        offset=log.state.slot * c.SLOT_LENGTH,
        reason=reason,
        hint="Run `aeordb verify --repair`.",
    )


def _settle_ours(log: Log) -> None:
    state = log.state
    # After a failed sync the page cache may hold a slot that the disk does not.
    log.file.write(state.slot * c.SLOT_LENGTH, state.header.encode())
    if state.other is None:
        log.file.write((1 - state.slot) * c.SLOT_LENGTH, bytes(c.SLOT_LENGTH))
    log.file.sync()
    if state.flags & c.SPARE_DEAD_PAGES:
        log.frozen = state.voids
    if state.flags & c.SPARE_CLEAN:
        log.reset()
        _reopen(log)
        return
    log.file.truncate(state.region_end)
    log.reset(dirty=True)
    if state.flags & c.SPARE_GROWTH:
        finish(log)
        return
    log.write_voids()
    # Beside AeorDB's free space, a commit that was cut off may have filled some of ours.
    log.write_voids(VoidMap(log.frozen, dirty=True))
    log.file.sync()
    finish(log)


def _reopen(log: Log) -> None:
    """Takes back the mark of a clean close, before anything is written on the strength of it."""
    state = log.state
    spare = state.header.spare
    assert spare is not None
    slot = log.file.read((1 - state.slot) * c.SLOT_LENGTH, c.SLOT_LENGTH)
    _commit_flags(log, spare, spare.flags & ~c.SPARE_CLEAN)
    log.reopened = log.state.header.sequence, slot


def close_cleanly(log: Log) -> None:
    """Leaves no gap in the log and nothing behind the hot tail, and marks the close as clean.

    Where nothing was committed since a clean close, the slot that took its mark back gets its old
    bytes again: the other slot, which has the mark, counts then, and the file is what it was.
    """
    state = log.state
    spare = state.header.spare
    if spare is None or state.flags & (c.SPARE_CLEAN | c.SPARE_CHECKPOINT):
        return
    log.write_voids()
    log.file.truncate(state.region_end)
    log.file.sync()
    if log.reopened is not None and log.reopened[0] == state.header.sequence:
        log.file.write(state.slot * c.SLOT_LENGTH, log.reopened[1])
        log.file.sync()
        return
    _commit_flags(log, spare, spare.flags | c.SPARE_CLEAN)


def _commit_flags(log: Log, spare: Spare, flags: int) -> None:
    """Commits the live state, whose marker is `spare`, once more with other flags."""
    old = log.state
    layout = Layout(flags, spare.batch_count)
    state = log.next_state(
        old.header.head, old.region, old.void_records, spare.region_hash, layout, old.table
    )
    log.flip(state)


def _take_over(log: Log) -> None:
    state = log.state
    if not state.rebuilt and not _pages_are_good(log):
        state = rebuild_live(log.file.fd, log.file.path, log.files.covering)
        log.state = state
        log.last_time = state.last_time
        log.reset()
    if state.rebuilt:
        _write_rebuilt(log)
        return
    log.frozen = state.voids
    log.reset()
    log.file.truncate(state.header.hot_tail_offset + _tail_bytes(log))
    flags = c.SPARE_DEAD_PAGES if state.voids else 0
    log.commit(state.table, state.header.head, Layout(flags))


def _pages_are_good(log: Log) -> bool:
    """Under our marker a bad page is damage; AeorDB leaves torn ones behind a good hot tail."""
    try:
        for _ in make_index(log.files, log.state).scan():
            pass
    except PageFault:
        return False
    return True


def _tail_bytes(log: Log) -> int:
    state = log.state
    return (
        c.HOT_TAIL_HEADER_LENGTH
        + len(state.table) * c.HOT_TAIL_RECORD_LENGTH
        + len(state.voids) * c.HOT_TAIL_VOID_LENGTH
    )


def _write_rebuilt(log: Log) -> None:
    """Index pages made anew, before our first slot: until it is down, every opener scans again.

    So no hot tail may stand where AeorDB's header looks for one, not even a torn one of ours.
    """
    state = log.state
    header = state.header
    log.file.truncate(state.log_end)
    log.file.sync()
    if log.append_at == header.hot_tail_offset:
        log.leave_room(log.append_at, log.append_at + c.VOID_MIN_LENGTH)
    records = b"".join(make_index(log.files, state).scan())
    leads, overflow = order_records(records, header.pages)
    log.write_zeros(header.kv_offset, header.kv_length)
    write_pages(log, leads, header.pages)
    log.file.sync()
    log.commit(Table.from_records(overflow), header.head, Layout())


def thaw(log: Log, table: Table, head: bytes) -> bool:
    """Takes out of the pages what AeorDB's gc left dead in them, so that its voids can be used.

    Commits `table` and `head` with it. False, and nothing done, while readers stand in the way.
    """
    dead = b"".join(make_index(log.files, log.state, table).dead_records())
    records = table.records() + mark_deleted(dead)
    try:
        with ExclusiveLock(log.file.path, log.file.fd, VIEW_BYTE, _PATIENCE):
            checkpoint(log, plan_checkpoint(log, records, drops=True), head, drops=True)
    except LockedError:
        return False
    log.thawed()
    log.commit(log.state.table, head, Layout())
    return True


def _check_extents(log: Log, extents: Iterable[Extent]) -> None:
    """Free ranges that nothing vouches for must lie in the log, apart from each other."""
    end = log.state.header.log_start
    for offset, length in sorted(extents):
        if offset < end or offset + length > log.state.log_end:
            raise DamagedError(
                path=log.file.path,
                offset=offset,
                reason=f"the hot tail lists {length} bytes at {offset} as free, which cannot be",
                hint="Run `aeordb verify --repair`.",
            )
        end = offset + length
