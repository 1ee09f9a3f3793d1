"""The shadow commit (engine.md section 3): data, sync, slot, sync.

A commit writes behind the live hot tail, or into free ranges that the live hot tail lists, and
leaves alone whatever the live header slot needs. A cut at any moment leaves that slot in force.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from typing import NamedTuple

from aeordb.errors import NotDurableError
from aeordb.format import constants as c
from aeordb.format.header import Spare
from aeordb.format.hottail import encode_void_record, hot_tail_length
from aeordb.native.index import Index, split_records
from aeordb.native.table import Table
from aeordb.native.tail import write_tail
from aeordb.storage.datafile import DataFile
from aeordb.storage.filemap import FileMap
from aeordb.storage.protocols import KeyedEntry
from aeordb.storage.state import State
from aeordb.storage.view import make_index
from aeordb.storage.voids import Extent, VoidMap

# AeorDB's scan gives up after 1 MiB without an entry: a longer tail is made a void at once.
LONG_TAIL = 768 << 10
# Rounded up, the tails of later commits fit where an earlier one was.
_TAIL_ROUNDING = 4096
_PUNCH_FROM = 1 << 16
# Small commits that follow each other find so many bytes behind the live tail written already.
_AHEAD = 1 << 18
_ZEROS = bytes(1 << 20)
# Up to so many records are copied before it is known that they are needed.
_COPIED = 4096
# So many directory nodes are kept for the next transaction.
RECENT = 64


class Layout(NamedTuple):
    """What a commit may change of the header beside HEAD: the KV block's size and the flags."""

    flags: int = 0
    batch_count: int = 0
    stage: int | None = None
    kv_length: int | None = None
    resize_target: int = 0


def _believable_count(state: State) -> int:
    """The header's count of entries, as far as so many have room in the log: the index would be
    made large for what it says."""
    return min(state.header.entry_count, state.region_end // c.ENTRY_HEADER_LENGTH)


class Log:
    """The log's free room and end, and the commit that makes new entries part of it.

    Invariants: `state` is what the live slot says; bytes that it needs are never written; `voids`
    are ranges that its hot tail lists, less what the running transaction has taken; `frozen` are
    ranges that AeorDB's gc listed: index pages still hold entries in them, so they stay listed
    and nothing is put there (engine.md section 4).
    """

    def __init__(self, file: DataFile, files: FileMap, state: State) -> None:
        self.file = file
        self.files = files
        self.state = state
        self.frozen: tuple[Extent, ...] = ()
        # The sequence with which a clean close was reopened, and the slot's bytes before that.
        self.reopened: tuple[int, bytes] | None = None
        self.voids = VoidMap()
        self.append_at = state.region_end
        # Directory nodes that this writer placed last, by key: the next transaction needs them.
        self.recent: dict[bytes, KeyedEntry] = {}
        # What the running transaction placed last.
        self.placed: dict[bytes, KeyedEntry] = {}
        self.last_time = state.last_time
        self.entry_count = _believable_count(state)
        # Free once entries stand behind it: the live tail's room; wider while the block grows.
        self._gap = state.region
        self._freed: list[Extent] = []
        # How far this writer has written, with zeros behind its tails; 0: it did not grow the file.
        self._written_to = 0
        # Made ahead for the next transaction: the live state's index, and a copy of its table.
        self._index: tuple[State, Index] | None = None
        self._copy: tuple[Table, Table] | None = None

    def thawed(self) -> None:
        """All listed ranges are free to use: no index page holds an entry in them any more."""
        self.frozen = ()
        self.reset(dirty=True)

    def reset(self, *, dirty: bool = False) -> None:
        """Starts from the live state; `dirty`: nothing is known of the bytes of free ranges."""
        frozen = set(self.frozen)
        self.voids = VoidMap((v for v in self.state.voids if v not in frozen), dirty=dirty)
        self._begin()

    @property
    def untouched(self) -> bool:
        """Whether the running transaction has placed nothing so far."""
        return self.append_at == self.state.region_end and not self.voids.taken

    def undo(self) -> None:
        """Forgets what an unfinished transaction placed; what it overwrote is rewritten later."""
        self.recent.clear()
        self.placed = {}
        unsettled = self.voids.unsettled()
        self.reset()
        self.voids.unsettle(unsettled)
        self.entry_count = _believable_count(self.state)
        self._written_to = 0
        if self.file.broken is None:
            with suppress(NotDurableError):
                self.file.truncate(self.state.region_end)

    def _begin(self) -> None:
        self.append_at = self.state.region_end
        self._gap = self.state.region
        self._freed = []

    def place(
        self,
        frames: bytearray | memoryview,
        lengths: array[int],
        keys: bytes,
        kinds: bytes,
        table: Table,
    ) -> None:
        """Writes framed entries into free ranges or at the log's end.

        `table` gets a record of each, with the key and KV type that stand in its place in `keys`
        and `kinds`; none where the kind is `NO_RECORD`.
        """
        view = memoryview(frames)
        appended: list[memoryview] = []
        end = self.append_at
        start = 0
        for at, size, behind in self.voids.place(lengths, keys, kinds, end, table):
            part = view[start : start + size]
            if behind:
                appended.append(part)
            else:
                self.file.write(at, part)
            start += size
        if appended:
            part = appended[0] if len(appended) == 1 else memoryview(b"".join(appended))
            self.file.write(end, part)
            self.append_at = end + len(part)

    def leave_room(self, start: int, end: int) -> None:
        """The room from `start`, or from the live tail if that lies lower, to `end` becomes one
        free range with the next commit; entries and tail go behind it."""
        low = min(start, self._gap[0])
        self._gap = (low, end - low)
        self.append_at = max(self.append_at, end)

    def free_with_commit(self, start: int, end: int) -> None:
        """The live state needs this range; the next commit lists it as free."""
        self._freed.append((start, end - start))

    def merged(self, pending: Table) -> Table:
        """The live state's records and pending ones, which stand before those of the same key.

        The larger table may be millions of records long: it is not copied if that can be helped.
        """
        committed = self.state.table
        if len(pending) > len(committed):
            for record in split_records(committed.record_view()):
                if record.key not in pending:
                    pending.put(*record)
            return pending
        copy, self._copy = self._copy, None
        merged = copy[1] if copy is not None and copy[0] is committed else committed.copy()
        merged.put_table(pending)
        return merged

    def commit(self, table: Table, head: bytes, layout: Layout | None = None) -> None:
        """Makes `table` (all index entries that are not in the pages) and `head` durable."""
        layout = layout or Layout(flags=self.state.flags & c.SPARE_DEAD_PAGES)
        self.write_voids()
        region = self._place_tail(table)
        tail, listed, tail_hash = write_tail(table, self.voids, self._listed(), region[1])
        # On its way to the disk while the header is made.
        self.file.send(region[0], tail)
        state = self.next_state(head, region, listed, tail_hash, layout, table)
        self._remember()
        before = self.state.region_end
        self.flip(state)
        if not layout.flags & c.SPARE_CHECKPOINT:
            self._write_ahead(state.region_end - before)

    @property
    def index(self) -> Index:
        """Answers for the live state; its map may reach no further than the KV block."""
        made = self._index
        if made is None or made[0] is not self.state:
            made = self._index = self.state, self._index_of(self.state)
        return made[1]

    def _index_of(self, state: State) -> Index:
        return make_index(self.files, state, end=state.header.log_start)

    def _write_ahead(self, grown: int) -> None:
        """Zeros behind a commit that grew the log by so much, for the next ones to be written over.

        A sync that finds new blocks in the file waits for the file system's journal as well. What
        stands behind the live tail is nobody's: closing cuts it off, and so does the first act.
        """
        end = self.state.region_end
        start = max(end, self._written_to)
        grows_again, self._written_to = self._written_to > 0, start
        if grows_again and 0 < grown <= _AHEAD and start - end < 2 * grown:
            # No room for it is no reason to fail.
            with suppress(NotDurableError):
                self.file.send(start, memoryview(_ZEROS)[:_AHEAD])
                self._written_to = start + _AHEAD

    def next_state(
        self,
        head: bytes,
        region: Extent,
        void_records: bytes,
        region_hash: bytes,
        layout: Layout,
        table: Table,
    ) -> State:
        """The state once the other header slot is written."""
        old = self.state.header
        # With another HEAD, what was an export of one version is a database of its own.
        same = head == old.head
        header = old._replace(
            sequence=old.sequence + 1,
            updated_at=self.last_time,
            kv_length=old.kv_length if layout.kv_length is None else layout.kv_length,
            hot_tail_offset=region[0],
            stage=old.stage if layout.stage is None else layout.stage,
            head=head,
            entry_count=self.entry_count,
            resize_in_progress=int(layout.resize_target != 0),
            resize_target=layout.resize_target,
            backup_type=old.backup_type if same else c.BACKUP_NONE,
            base=old.base if same else c.ZERO_HASH,
            target=old.target if same else c.ZERO_HASH,
            spare=Spare(layout.flags, region[1], region_hash, layout.batch_count),
        )
        return State(
            slot=1 - self.state.slot,
            header=header,
            other=old,
            table=table,
            void_records=void_records,
            region=region,
            last_time=self.last_time,
        )

    def _remember(self) -> None:
        """Keeps the directory nodes of a small batch; links stand under keys that change."""
        placed, self.placed = self.placed, {}
        recent = self.recent
        for key, spec in placed.items():
            if spec[0] == c.ENTRY_DIRECTORY and len(spec[4]) != c.HASH_LENGTH:
                recent[key] = spec
        while len(recent) > RECENT:
            del recent[next(iter(recent))]

    def flip(self, state: State) -> None:
        """Makes `state` the live one, a commit's last step: syncs, writes its slot, syncs.

        The slot may be down before the last sync: an exception that comes from elsewhere, such as
        a signal's, is raised when that step is done. What it leads to is the way on, not back.
        """
        try:
            self._flip(state)
        except NotDurableError:
            raise
        except BaseException:
            try:
                self._flip(state)
            except BaseException:
                self.file.give_up("a commit was interrupted twice")
                raise
            raise

    def _flip(self, state: State) -> None:
        self.file.send(state.slot * c.SLOT_LENGTH, state.header.encode(), sync=True)
        # What the next transaction needs is made while the disk is busy.
        if not state.flags & c.SPARE_CHECKPOINT:
            self._index = state, self._index_of(state)
            if len(state.table) <= _COPIED:
                self._copy = state.table, state.table.copy()
        self.file.sync()
        self.state = state
        self.voids.taken.clear()
        self._begin()

    def write_voids(self, voids: VoidMap | None = None) -> None:
        """Gives every free range of the committed list its void entry, with zeros inside."""
        voids = self.voids if voids is None else voids
        self.file.write_short_voids(voids)
        for offset, header, zeros in voids.pending_writes():
            end = offset + len(header)
            if zeros and zeros[0][0] <= end < sum(zeros[0]) <= end + _PUNCH_FROM:
                # One write for what lies in a row.
                header = header.ljust(sum(zeros.pop(0)) - offset, b"\0")
            for extent in zeros:
                self.write_zeros(*extent)
            self.file.write(offset, header)

    def write_zeros(self, offset: int, length: int) -> None:
        """Makes a range read as zeros, out of the file system's hands where it can be."""
        if length >= _PUNCH_FROM and self.file.punch(offset, length):
            return
        while length > 0:
            size = min(length, len(_ZEROS))
            self.file.write(offset, memoryview(_ZEROS)[:size])
            offset += size
            length -= size

    def _listed(self) -> bytes:
        """The void records of a hot tail that stand behind those of the free ranges."""
        frozen = b"".join([encode_void_record(*void) for void in self.frozen])
        return self.voids.beside + frozen

    def _place_tail(self, table: Table) -> Extent:
        """Where this commit's hot tail goes; the void map has what it lists then."""
        for extent in self._freed:
            self.voids.add(*extent, merge=False)
        self._freed = []
        appended = self.append_at > self.state.region_end
        room = None if appended else self.voids.ending_at(self.state.log_end)
        listed = len(self.voids) + len(self.frozen) + 1
        need = hot_tail_length(len(table), min(listed, self.voids.most + len(self.frozen)))
        length = -(-need // _TAIL_ROUNDING) * _TAIL_ROUNDING
        if room is not None and room[1] >= length:
            # All of this commit lies in free room before the live tail: the log's end moves down,
            # the live tail lies behind it and is nobody's once the slot is down.
            self.voids.remove(room[0])
            region = (room[0], length)
        else:
            region = (self.append_at, length)
            if self._gap[1]:
                self.voids.add(*self._gap)
        self.voids.keep_largest(self.voids.most)
        return region
