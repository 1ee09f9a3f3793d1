"""Taking garbage out of a database (engine.md section 10), in an order that any cut leaves whole.

First garbage leaves the index, page batch by page batch; from then on nothing can reach its bytes.
Then commits list the room between the entries that stay as free, some thousand ranges at a time,
and void entries are put over them, with holes where the file system can make some. At last the
largest ranges are listed for good, and the log ends behind its last entry.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

from aeordb.errors import LockedError, NotDurableError
from aeordb.format import constants as c
from aeordb.format.hottail import encode_void_record, hot_tail_length
from aeordb.native.framing import void_header
from aeordb.native.index import Index
from aeordb.native.pages import page_of
from aeordb.native.sweep import Room, Survey, garbage_records, rooms, table_records
from aeordb.native.walk import Marks
from aeordb.progress import Progress
from aeordb.storage.checkpoint import checkpoint, plan_checkpoint
from aeordb.storage.commit import Log
from aeordb.storage.locks import VIEW_BYTE, ExclusiveLock, readers
from aeordb.storage.recovery import thaw
from aeordb.storage.voids import Extent, VoidMap

# Entries of the pages that one batch rewrites: its hot tail has 46 bytes for each.
_BATCH_ENTRIES: Final = 160_000
_BATCH_LEAST: Final = 1_000
# Live entries whose places are looked at together, at 40 bytes each.
_LIVE_AT_ONCE: Final = 500_000
# The hot tail of a round lists so many ranges, beside what it needs itself.
_ROUND: Final = c.VOIDS_LISTED_MAX - 64
# A free range's header hashes all of it, and is written anew where the range is used.
_PIECE: Final = 64 << 20
_LEAST_LISTED: Final = 256
_BLOCK: Final = 4096
_ZEROS: Final = memoryview(bytes(2 * _BLOCK + c.VOID_MIN_LENGTH))


class _RoundVoids(VoidMap):
    """Free ranges, and those of a round, which its caller writes."""

    def __init__(self, extents: Iterable[Extent], listed: Iterable[Extent]) -> None:
        super().__init__(extents)
        rows = [encode_void_record(*extent) for extent in listed]
        self._listed = b"".join(rows)
        self._count = len(rows)

    def __len__(self) -> int:
        return super().__len__() + self._count

    def records(self) -> bytes:
        """All ranges as void records."""
        return super().records() + self._listed


def thaw_all(log: Log, patience: float) -> None:
    """Takes what AeorDB's gc left dead in the pages out of them, so that its voids can be used.

    Raises LockedError with the readers that stand in the way for `patience` seconds.
    """
    if not log.frozen:
        return
    state = log.state
    with ExclusiveLock(log.file.path, log.file.fd, VIEW_BYTE, patience):
        pass
    if not thaw(log, state.table, state.header.head):
        raise LockedError(path=log.file.path, pid=None, readers=max(1, readers(log.file.fd)))


def drop(
    log: Log, index: Index, marks: Marks, found: Survey, patience: float, progress: Progress
) -> None:
    """Takes every entry that is not marked out of the index.

    `index` and `marks` are those of the log's state. Each batch of pages is a commit of its own,
    for which readers must give way. Raises LockedError with their number, NotDurableError.
    """
    pages = log.state.header.pages
    waiting = _by_page(table_records(index, marks), pages)
    overflow = b""
    log.entry_count = found.live
    most = _BATCH_ENTRIES
    first = 0
    progress.start(pages, "Dropping garbage from the index")
    while first < pages:
        records, after = garbage_records(index, marks, first, most)
        batch = [record for page, record in waiting if page < after]
        if records or any(record[33] & c.KV_DELETED for record in batch):
            rest = b"".join(record for page, record in waiting if page >= after)
            plan = plan_checkpoint(log, b"".join((records, *batch)), drops=True)
            full = overflow + plan.overflow_records
            plan = plan._replace(overflow_records=full + rest)
            before = log.state.header.sequence
            try:
                with ExclusiveLock(log.file.path, log.file.fd, VIEW_BYTE, patience):
                    checkpoint(log, plan, log.state.header.head, drops=True)
            except NotDurableError:
                committed = log.state.header.sequence != before
                if committed or log.file.broken is not None or most <= _BATCH_LEAST:
                    raise
                # Hardly any room on the disk: smaller steps need less of it.
                log.undo()
                most //= 8
                continue
            overflow = full
        else:
            overflow += b"".join(batch)
        waiting = [row for row in waiting if row[0] >= after]
        progress.advance(after - first)
        first = after


def _by_page(records: bytes, pages: int) -> list[tuple[int, bytes]]:
    size = c.HOT_TAIL_RECORD_LENGTH
    parts = (records[at : at + size] for at in range(0, len(records), size))
    return sorted((page_of(part[1:33], pages), part) for part in parts)


def find_rooms(
    log_start: int, log_end: int, voids: Iterable[Extent], index: Index, marks: Marks, found: Survey
) -> Iterator[list[Room]]:
    """The ranges of the log without a live entry, in the order of their offsets, in batches."""
    flat = array("Q")
    for offset, length in sorted(voids):
        flat.extend((offset, offset + length))
    return rooms(index, marks, found, log_start, log_end, flat.tobytes(), _LIVE_AT_ONCE)


def free(
    log: Log, found: Iterable[list[Room]], total: int, progress: Progress, *, last_pass: bool = True
) -> int:
    """Makes free space of all room in the log; how many bytes of it were not free before.

    Every entry of the index stands outside of these rooms. Afterwards each room is one void entry,
    or some if it is large; with the last pass the largest are listed, and room at the log's end is
    cut off instead.
    """
    progress.start(total, "Freeing")
    keep: list[tuple[int, int]] = []
    last: Room | None = None
    reclaimed = 0
    ranges: list[Extent] = []
    rounds = 0
    # What is listed so far are void entries once this is written, also where it is listed no more.
    log.write_voids()
    before, log.voids = log.voids, VoidMap()
    edge = log.state.log_end
    for batch in found:
        for room in batch:
            reclaimed += room.end - room.offset - room.free
            if last_pass and room.end == edge and _can_cut(log, room):
                last = room
                continue
            if room.settled:
                _note(keep, room.offset, room.end - room.offset)
                continue
            for offset, length in _pieces(room.offset, room.end):
                _note(keep, offset, length)
                ranges.append((offset, length))
            while len(ranges) >= _ROUND:
                _write_round(log, ranges[:_ROUND])
                del ranges[:_ROUND]
                rounds += 1
        progress.advance(sum(room.end - room.offset for room in batch))
    if ranges:
        _write_round(log, ranges)
        rounds += 1
    if last_pass and (rounds or last or len(before) < len(keep)):
        _list_for_good(log, sorted(keep, reverse=True), last)
    elif not rounds:
        log.voids = before
    return reclaimed


def _pieces(offset: int, end: int, most: int = _PIECE) -> Iterator[Extent]:
    """A room as ranges that are no longer than they should be; none if no void entry fits."""
    while end - offset > most:
        size = min(most, end - offset - c.VOID_MIN_LENGTH)
        yield offset, size
        offset += size
    if end - offset >= c.VOID_MIN_LENGTH:
        yield offset, end - offset


def _note(keep: list[tuple[int, int]], offset: int, length: int) -> None:
    """Keeps the largest ranges, as many as a hot tail lists."""
    if length < _LEAST_LISTED:
        return
    if len(keep) < _ROUND:
        heapq.heappush(keep, (length, offset))
    elif length > keep[0][0]:
        heapq.heapreplace(keep, (length, offset))


def _write_round(log: Log, ranges: list[Extent]) -> None:
    """Lists the ranges with a commit, then puts void entries over them.

    The next commit's sync comes before the slot that lists them no more.
    """
    log.write_voids()
    log.voids = _RoundVoids(log.voids.extents(), ranges)
    log.commit(log.state.table, log.state.header.head)
    for offset, length in ranges:
        _write_void(log, offset, length)


def _write_void(log: Log, offset: int, length: int) -> None:
    header = _header(length)
    start, end = offset + len(header), offset + length
    # A hole gives whole blocks back to the disk.
    if end // _BLOCK * _BLOCK - -(-start // _BLOCK) * _BLOCK >= _BLOCK:
        log.file.write(offset, header)
        if log.file.punch(start, end - start):
            return
    if length <= len(_ZEROS):
        log.file.write(offset, b"".join((header, _ZEROS[: end - start])))
        return
    log.file.write(offset, header)
    log.write_zeros(start, end - start)


_header = lru_cache(4096)(void_header)


def _can_cut(log: Log, room: Room) -> bool:
    """Whether the hot tail of the last commit fits into the room at the log's end."""
    size = room.end - room.offset
    need = hot_tail_length(len(log.state.table), c.VOIDS_LISTED_MAX) + 2 * _BLOCK
    return need <= size <= c.VOID_MAX_LENGTH * (_ROUND // 2)


def _list_for_good(log: Log, largest: list[tuple[int, int]], last: Room | None) -> None:
    """Lists the largest ranges; the hot tail moves to the start of the room at the log's end."""
    table, head = log.state.table, log.state.header.head
    log.write_voids()
    end = list(_pieces(last.offset, last.end, c.VOID_MAX_LENGTH)) if last else []
    keep = [(offset, length) for length, offset in largest[: _ROUND - len(end)]]
    log.voids = _RoundVoids([*keep, *log.voids.extents()], end)
    log.commit(table, head)
    if last is None:
        return
    at = last.offset
    for offset, length in sorted(log.state.voids):
        at = offset + length if offset == at else at
    if at != log.state.log_end:
        log.reset(dirty=True)
        return
    # All of this is listed, so the next hot tail may stand there; behind it nothing counts.
    log.voids = VoidMap([*keep, (last.offset, at - last.offset)])
    log.commit(table, head)
    with suppress(LockedError), ExclusiveLock(log.file.path, log.file.fd, VIEW_BYTE, 0.0):
        log.file.truncate(log.state.region_end)
