"""One transaction's writes: entries are framed in batches and placed as they come."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from aeordb.format import constants as c
from aeordb.format.entry import set_times
from aeordb.native.entries import Entry
from aeordb.native.faults import NativeFault
from aeordb.native.framing import frame_entries
from aeordb.native.index import Index
from aeordb.native.table import Table
from aeordb.storage.commit import RECENT, Log
from aeordb.storage.protocols import Buffer, KeyedEntry, NewEntry
from aeordb.storage.state import State
from aeordb.storage.view import View, make_index

_BATCH_BYTES = 4 << 20
_BATCH_ENTRIES = 4096

# Of each entry type, in its place.
_KV_TYPE = bytes(c.KV_TYPE.get(number, 0) for number in range(256))

_FRAME = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH

_T = TypeVar("_T")


class WriteView(View):
    """A :class:`View` of the live state with one transaction's own entries on top.

    Implements the `Writer` protocol. Nothing of it exists for others before the store commits it.
    """

    def __init__(self, log: Log) -> None:
        super().__init__(log.file.path, log.file.fd, log.files, log.state)
        self.pending = Table()
        self.new_keys = 0
        self._log = log
        # Most transactions read nothing of what the last one appended: the map follows on demand.
        self._reach = log.state.header.log_start
        self._queue: dict[bytes, KeyedEntry] = {}
        self._queued_bytes = 0
        # Of what is queued: the keys that the index may have, whose entries are dropped then.
        self._unsure: set[bytes] = set()

    def append(
        self,
        entry_type: int,
        key: bytes,
        value: Buffer,
        *,
        version: int = 0,
        flags: int = 0,
        compression: int = 0,
    ) -> None:
        """Adds an entry; of several under one key the newest stands."""
        self._unsure.discard(key)
        self._queue[key] = (entry_type, version, flags, compression, value)
        self._queued_bytes += len(value)
        if self._queued_bytes >= _BATCH_BYTES or len(self._queue) >= _BATCH_ENTRIES:
            self.flush()

    def append_many(self, entries: Iterable[NewEntry]) -> None:
        """Adds many entries: rows of (type, version, flags, compression, key, value)."""
        for entry_type, version, flags, compression, key, value in entries:
            self._unsure.discard(key)
            self._queue[key] = (entry_type, version, flags, compression, value)
            self._queued_bytes += len(value)
        if self._queued_bytes >= _BATCH_BYTES or len(self._queue) >= _BATCH_ENTRIES:
            self.flush()

    def append_new(self, entries: Sequence[NewEntry]) -> None:
        """Adds those entries whose keys the index lacks: for keys that say what the value is."""
        for entry_type, version, flags, compression, key, value in entries:
            if key not in self._queue:
                self._queue[key] = (entry_type, version, flags, compression, value)
                self._queued_bytes += len(value)
                self._unsure.add(key)
        if self._queued_bytes >= _BATCH_BYTES or len(self._queue) >= _BATCH_ENTRIES:
            self.flush()

    def append_framed(
        self,
        frames: bytearray | memoryview,
        keys: Sequence[bytes],
        kinds: Sequence[int],
        lengths: list[int],
    ) -> None:
        """Adds entries that stand framed one after the other, verified; only their times are set.

        `kinds` are KV types, `lengths` total lengths. Of each key this is the only entry so far.
        """
        self.flush()
        first = max(self.now(), self._log.last_time + 1)
        self._log.last_time = first + len(keys) - 1
        set_times(frames, lengths, first)
        self._log.place(frames, array("Q", lengths), b"".join(keys), bytes(kinds), self.pending)
        self.new_keys += len(keys)
        self._index = None

    def tombstone(self, key: bytes) -> None:
        """Marks the key as deleted in the index, if it is there."""
        self._queue.pop(key, None)
        self._unsure.discard(key)
        found = self.index.find(key)
        if found is not None:
            kv, offset, length = found
            self.pending.put(key, kv | c.KV_DELETED, offset, length)
            self._index = None

    def entry_time(self) -> int:
        """A time in milliseconds that no entry so far is later than."""
        return max(self.now(), self._log.last_time + len(self._queue) + 1)

    def now(self) -> int:
        """The wall clock in milliseconds."""
        return time.time_ns() // 1_000_000

    def read(self, key: bytes) -> Entry | None:
        """As :meth:`View.read`; sees this transaction's own entries."""
        spec = self._queue.get(key) or self._log.recent.get(key)
        if spec is None:
            return super().read(key)
        entry_type, version, flags, compression, value = spec
        return Entry(entry_type, version, flags, compression, 0, 0, bytes(value))

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """For each key whether the index, or this transaction, has it."""
        queue = self._queue
        found = super().has_many(keys)
        return [there or key in queue for key, there in zip(keys, found, strict=True)]

    @property
    def changed(self) -> bool:
        """Whether anything was written or marked."""
        if self._unsure:
            self.flush()
        return bool(self._queue) or len(self.pending) > 0

    def flush(self) -> None:
        """Frames and places what is queued."""
        self._drop_present()
        if not self._queue:
            return
        keys = b"".join(self._queue)
        types, versions, flags, compressions, values = zip(*self._queue.values(), strict=True)
        count = len(types)
        first = max(self.now(), self._log.last_time + 1)
        self._log.last_time = first + count - 1
        kinds = bytes(types)
        frames = frame_entries(
            kinds, bytes(versions), bytes(flags), bytes(compressions), keys, values, first
        )
        lengths = array("Q", map(_FRAME.__add__, map(len, values)))
        self._log.place(frames, lengths, keys, kinds.translate(_KV_TYPE), self.pending)
        if count <= RECENT:
            self._log.placed = self._queue
        self._queue = {}
        self._queued_bytes = 0
        self.new_keys += count
        self._index = None

    def _drop_present(self) -> None:
        """Takes out of the queue what is only to be added if the index lacks it, and does not."""
        if not self._unsure:
            return
        keys = list(self._unsure)
        self._unsure.clear()
        for key, there in zip(keys, super().has_many(keys), strict=True):
            if there:
                self._queued_bytes -= len(self._queue.pop(key)[4])

    def _make_index(self, state: State) -> Index:
        log = self._log
        if state is log.state and not len(self.pending) and self._reach == state.header.log_start:
            return log.index
        return make_index(self._files, state, self.pending, end=self._reach)

    def _again(self, ask: Callable[[Index], _T | None], fault: NativeFault | None) -> _T | None:
        """As in :class:`View`, but nobody else writes: first the map may just be too short."""
        if fault is not None and self._reach < self._log.append_at:
            self._reach = self._log.append_at
            self._index = None
            try:
                return ask(self.index)
            except NativeFault as error:
                fault = error
        return super()._again(ask, fault)
