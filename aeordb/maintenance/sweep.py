"""Taking garbage out of a database (engine.md section 10), in an order that any cut leaves whole.

First garbage leaves the index, page batch by page batch; from then on nothing can reach its bytes.
Then commits list the room between the entries that stay as free, some thousand ranges at a time,
and void entries are put over them, with holes where the file system can make some. At last the
largest ranges are listed for good, and the log ends behind its last entry.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import lru_cache, partial
from typing import Final, NamedTuple

from aeordb.errors import LockedError, NotDurableError
from aeordb.format import constants as c
from aeordb.format.hottail import encode_void_record, hot_tail_length
from aeordb.native.framing import void_header
from aeordb.native.index import Index
from aeordb.native.log import scan_log
from aeordb.native.pages import Checkpoint, page_of
from aeordb.native.sweep import Ranges, Room, Rooms, Survey, drop_records, rooms, table_records
from aeordb.native.table import Table
from aeordb.native.walk import Marks
from aeordb.parallel.threads import ahead, in_order
from aeordb.progress import Progress
from aeordb.storage.checkpoint import checkpoint
from aeordb.storage.commit import Log
from aeordb.storage.locks import VIEW_BYTE, ExclusiveLock, readers
from aeordb.storage.recovery import thaw
from aeordb.storage.voids import Extent, VoidMap, pack_extents

# Entries of the pages that one batch rewrites: its hot tail has 46 bytes for each.
_BATCH_ENTRIES: Final = 120_000
_BATCH_LEAST: Final = 1_000
# Live entries whose places are looked at together, at 8 bytes each.
_LIVE_AT_ONCE: Final = 3_200_000
# The hot tail lists so many ranges for good, beside what it needs itself.
_LISTED: Final = c.VOIDS_LISTED_MAX - 64
# For the moment of a round it may be more: each costs two syncs.
_ROUND: Final = 32_000
# A free range's header hashes all of it, and is written anew where the range is used.
_PIECE: Final = 64 << 20
_LEAST_LISTED: Final = 256
_BLOCK: Final = 4096
_ZEROS: Final = memoryview(bytes(2 * _BLOCK + c.VOID_MIN_LENGTH))


class _RoundVoids(VoidMap):
    """Free ranges, and those of a round, which its caller writes."""

    def __init__(self, extents: Iterable[Extent], listed: bytes) -> None:
        """`listed`: void records of the round's ranges."""
        super().__init__(extents)
        self.beside = listed
        self.most += len(listed) // c.HOT_TAIL_VOID_LENGTH

    def __len__(self) -> int:
        return super().__len__() + len(self.beside) // c.HOT_TAIL_VOID_LENGTH


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


class _Batch(NamedTuple):
    """What one step takes out of the index: a checkpoint of the pages from `first` to `after`.

    `plan` and a `table` of its lead records are None where no page of these changes; `overlaid`
    are the tables' records of these pages, which their hot tail had so far.
    """

    first: int
    after: int
    overlaid: bytes
    plan: Checkpoint | None
    table: Table | None


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
        # Each is made while the one before it is on its way to the disk: they share no page.
        with closing(ahead(_batches(index, marks, waiting, first, most))) as batches:
            for batch in batches:
                full = overflow + (batch.plan.overflow_records if batch.plan else batch.overlaid)
                rest = b"".join(record for page, record in waiting if page >= batch.after)
                if batch.plan and not _take_out(log, batch, full + rest, most, patience):
                    break
                overflow = full
                waiting = [row for row in waiting if row[0] >= batch.after]
                progress.advance(batch.after - batch.first)
                first = batch.after
        if first < pages:
            most //= 8


def _take_out(log: Log, batch: _Batch, tail: bytes, most: int, patience: float) -> bool:
    """Commits one batch, with these records behind its own; False if it is to be a smaller one."""
    assert batch.plan
    plan = batch.plan._replace(overflow_records=tail)
    before = log.state.header.sequence
    try:
        with ExclusiveLock(log.file.path, log.file.fd, VIEW_BYTE, patience):
            checkpoint(log, plan, log.state.header.head, drops=True, table=batch.table)
    except NotDurableError:
        committed = log.state.header.sequence != before
        if committed or log.file.broken is not None or most <= _BATCH_LEAST:
            raise
        # Hardly any room on the disk: smaller steps need less of it.
        log.undo()
        return False
    return True


def _batches(
    index: Index, marks: Marks, waiting: list[tuple[int, bytes]], first: int, most: int
) -> Generator[_Batch, None, None]:
    """The batches from page `first` on; `waiting` are the tables' records by page."""
    rest = b"".join(record for page, record in waiting if page >= first)
    while first < index.pages:
        plan, after, overlaid = drop_records(index, marks, first, most, rest)
        rest = rest[len(overlaid) :]
        table = Table.from_records(plan.lead_records) if plan else None
        yield _Batch(first, after, overlaid, plan, table)
        first = after


def _by_page(records: bytes, pages: int) -> list[tuple[int, bytes]]:
    size = c.HOT_TAIL_RECORD_LENGTH
    parts = (records[at : at + size] for at in range(0, len(records), size))
    return sorted((page_of(part[1:33], pages), part) for part in parts)


def find_rooms(
    log: tuple[int, int, int],
    voids: Iterable[Extent],
    index: Index,
    marks: Marks | None,
    found: Survey,
    jobs: int,
) -> Generator[Rooms, None, None]:
    """The ranges of a log without a live entry, in the order of their offsets.

    `log` is where it starts, where it ended for the survey `found`, and where it ends; `marks` are
    those of the survey, None if all that the index has is live; `voids` what the hot tail lists.
    """
    in_turn = partial(in_order, jobs)
    most = _LIVE_AT_ONCE
    return ahead(rooms(index, marks, found, log, pack_extents(voids), most, in_turn=in_turn))


class Freeing:
    """Makes free space of the rooms of a log; no entry of its index stands in one.

    Each room becomes one void entry, or some if it is large. The largest are listed for good, and
    room at the log's end is cut off. Deletion entries go last: until no older entry of their keys
    is left, these could come back without them, if the index is rebuilt.
    """

    def __init__(self, log: Log, progress: Progress) -> None:
        self.reclaimed = 0
        self._log = log
        self._progress = progress
        self._keep: list[tuple[int, int]] = []
        self._waiting: list[Ranges] = []
        self._long: list[Extent] = []
        self._late: list[Room] = []
        self._last: Room | None = None
        self._rounds = 0

    def run(self, found: Iterable[Rooms], total: int) -> int:
        """Goes through all rooms of a log of `total` bytes; how many bytes were not free before."""
        log = self._log
        self._progress.start(total, "Freeing")
        # What is listed so far are void entries once this is written, also where it is listed no
        # more.
        log.write_voids()
        before, log.voids = log.voids, VoidMap()
        edge = log.state.log_end
        reclaimed = 0
        for batch in found:
            reclaimed += batch.reclaimed
            for room in batch.special:
                self._take(room, edge)
            self._take_ranges(batch.ranges)
            self._progress.advance(batch.bytes)
        self._flush()
        for room in self._late:
            self._long += _less_deletions(log, room)
        self._flush()
        for room in self._late:
            self._take(room._replace(deletions=False), edge)
        self._flush()
        if self._rounds or self._last or len(before) < len(self._keep):
            _list_for_good(log, sorted(self._keep, reverse=True), self._last)
        else:
            log.voids = before
        return reclaimed

    def _take(self, room: Room, edge: int) -> None:
        if room.deletions:
            self._late.append(room)
        elif room.end == edge and _can_cut(self._log, room):
            self._last = room
            if self._late:
                # It goes last of all, but what is older than a deletion must be gone before it.
                self._long += _pieces(room.offset, room.end)
        elif room.settled:
            self._note(room.offset, room.end - room.offset)
        else:
            for offset, length in _pieces(room.offset, room.end):
                self._note(offset, length)
                self._long.append((offset, length))
                if len(self._long) >= _ROUND:
                    self._flush()

    def _take_ranges(self, ranges: Ranges) -> None:
        least = self._keep[0][0] + 1 if len(self._keep) >= _LISTED else _LEAST_LISTED
        for offset, length in ranges.above(least):
            self._note(offset, length)
        for part in ranges.parts(_ROUND):
            self._waiting.append(part)
            if sum(map(len, self._waiting)) >= _ROUND // 2:
                self._flush()

    def _note(self, offset: int, length: int) -> None:
        """Keeps the largest ranges, as many as a hot tail lists."""
        if length < _LEAST_LISTED:
            return
        if len(self._keep) < _LISTED:
            heapq.heappush(self._keep, (length, offset))
        elif length > self._keep[0][0]:
            heapq.heapreplace(self._keep, (length, offset))

    def _flush(self) -> None:
        """Lists what waits with commits, and puts void entries over it.

        The next commit's sync comes before the slot that lists a round no more.
        """
        log = self._log
        ranges, long = Ranges.join(self._waiting), self._long
        self._waiting, self._long = [], []
        parts = [*ranges.parts(_ROUND)] or [Ranges.join([])]
        while long or parts:
            part = parts.pop() if parts else Ranges.join([])
            extents = long[: _ROUND - len(part)]
            del long[: len(extents)]
            if part or extents:
                rows = [encode_void_record(*extent) for extent in extents]
                self._list(b"".join((part.records(), *rows)))
                log.file.write_voids(part)
                for offset, length in extents:
                    _write_void(log, offset, length)

    def _list(self, records: bytes) -> None:
        log = self._log
        log.write_voids()
        log.voids = _RoundVoids(log.voids.extents(), records)
        log.commit(log.state.table, log.state.header.head)
        self._rounds += 1


def _less_deletions(log: Log, room: Room) -> Iterator[Extent]:
    """The stretches of a room between the deletion entries in it."""
    at = room.offset
    source = log.files.covering(room.end)
    for batch in scan_log(source, room.offset, room.end):
        for entry in batch:
            if entry.type == c.ENTRY_DELETION:
                yield from _pieces(at, entry.offset)
                at = entry.offset + entry.length
    yield from _pieces(at, room.end)


def _pieces(offset: int, end: int, most: int = _PIECE) -> Iterator[Extent]:
    """A room as ranges that are no longer than they should be; none if no void entry fits."""
    while end - offset > most:
        size = min(most, end - offset - c.VOID_MIN_LENGTH)
        yield offset, size
        offset += size
    if end - offset >= c.VOID_MIN_LENGTH:
        yield offset, end - offset


def _write_void(log: Log, offset: int, length: int) -> None:
    header = _header(length)
    start, end = offset + len(header), offset + length
    # A hole gives whole blocks back to the disk.
    if end // _BLOCK * _BLOCK - -(-start // _BLOCK) * _BLOCK >= _BLOCK:
        log.file.write(offset, header)
        if log.file.punch(start, end - start):
            return
    if end - start <= len(_ZEROS):
        log.file.write(offset, b"".join((header, _ZEROS[: end - start])))
        return
    log.file.write(offset, header)
    log.write_zeros(start, end - start)


_header = lru_cache(4096)(void_header)


def _can_cut(log: Log, room: Room) -> bool:
    """Whether the hot tail of the last commit fits into the room at the log's end."""
    size = room.end - room.offset
    need = hot_tail_length(len(log.state.table), c.VOIDS_LISTED_MAX) + 2 * _BLOCK
    return need <= size <= c.VOID_MAX_LENGTH * (_LISTED // 2)


def _list_for_good(log: Log, largest: list[tuple[int, int]], last: Room | None) -> None:
    """Lists the largest ranges; the hot tail moves to the start of the room at the log's end."""
    table, head = log.state.table, log.state.header.head
    log.write_voids()
    end = list(_pieces(last.offset, last.end, c.VOID_MAX_LENGTH)) if last else []
    keep = [(offset, length) for length, offset in largest[: _LISTED - len(end)]]
    # Listed, but no place for this commit's own hot tail: the live one does not list them yet.
    listed = b"".join(encode_void_record(*extent) for extent in sorted([*keep, *end]))
    log.voids = _RoundVoids(log.voids.extents(), listed)
    log.commit(table, head)
    log.write_voids()
    if last is None:
        log.voids = VoidMap(log.state.voids)
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
