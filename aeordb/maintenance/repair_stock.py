"""The file that a repair fills: what was carried into it, and what is made anew on top."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence

from aeordb.backup.sink import Sink
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.hottail import pack_tail_records
from aeordb.maintenance.repair_entries import FRAME, Made
from aeordb.native.entries import Entry
from aeordb.native.framing import frame_entries
from aeordb.native.index import ALL, Index
from aeordb.native.log import rebuild_index
from aeordb.storage.filemap import FileMap
from aeordb.storage.protocols import Buffer, NewEntry

_TIME_AT = 19
_BATCH_BYTES = 4 << 20
_BATCH_ENTRIES = 4096


Look = Callable[[bytes, int, "str | None"], Made | None]


class Stock:
    """Reads what a new file holds so far and adds to it; a `Writer` for directories.

    Every entry in it was verified before it was written. `look`: asked for what is not there
    (key, entry type, the path that needs it); what it finds becomes part of the file. Invariant:
    `_table` has what the file has, `_queue` what is to be written next.
    """

    head = c.ZERO_HASH

    def __init__(self, sink: Sink, latest: int) -> None:
        """`latest`: the highest time in use, in milliseconds."""
        self._sink = sink
        self._files = FileMap(sink.fd)
        self._queue: dict[bytes, Made] = {}
        self._queued = 0
        self._index: Index | None = None
        self.latest = latest
        self.look: Look = lambda key, kind, path: None
        start = sink.log_start
        self._table = rebuild_index(self._files.covering(sink.length), start, sink.length).table

    @property
    def index(self) -> Index:
        """The index of all that was added; what is queued is written first."""
        self.flush()
        if self._index is None:
            place = self._files.covering(self._sink.length)
            self._index = Index(place, 0, 0, self._table, covered=ALL)
        return self._index

    def add(self, made: Made) -> None:
        """Adds an entry whose key is not there yet; a time of 0 becomes one of its own."""
        self._queue[made.key] = made if made.time else made._replace(time=self.entry_time())
        self._queued += len(made.value)
        if self._queued >= _BATCH_BYTES or len(self._queue) >= _BATCH_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Writes what is queued."""
        if not self._queue:
            return
        queue, self._queue, self._queued = list(self._queue.values()), {}, 0
        frames = frame_entries(
            bytes([made.type for made in queue]),
            bytes([made.version for made in queue]),
            bytes([made.flags for made in queue]),
            bytes([made.compression for made in queue]),
            b"".join([made.key for made in queue]),
            [made.value for made in queue],
            0,
        )
        offsets, at = [], 0
        for made in queue:
            # The integrity hash does not cover the time.
            frames[at + _TIME_AT : at + _TIME_AT + 8] = made.time.to_bytes(8, "little", signed=True)
            offsets.append(at)
            at += FRAME + len(made.value)
        keys = [made.key for made in queue]
        kinds = [c.KV_TYPE[made.type] for made in queue]
        lengths = [FRAME + len(made.value) for made in queue]
        base = self._sink.length
        latest = max(made.time for made in queue)
        self._sink.write(bytes(frames), pack_tail_records(keys, kinds, offsets, lengths), latest)
        self._table.put_many(
            pack_tail_records(keys, kinds, [base + offset for offset in offsets], lengths)
        )
        self._index = None

    def has(self, key: bytes, kind: int, path: str | None = None) -> bool:
        """Whether an entry of this type is there, or was found elsewhere just now."""
        made = self._queue.get(key)
        if made is not None:
            return made.type == kind
        record = self._table.get(key)
        if record is not None:
            return record[0] & c.KV_TYPE_MASK == c.KV_TYPE[kind]
        found = self.look(key, kind, path)
        if found is None:
            return False
        self.add(found)
        return True

    def get(self, key: bytes, kind: int, path: str | None = None) -> Entry | None:
        """The entry of this key and type, perhaps found elsewhere just now; None if lost."""
        return self.read(key) if self.has(key, kind, path) else None

    def read(self, key: bytes) -> Entry | None:
        """The entry of a key."""
        made = self._queue.get(key)
        if made is not None:
            return Entry(made.type, made.version, made.flags, made.compression, 0, 0, made.value)
        return self.index.read(key) if key in self._table else None

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        """The same; missing or of another type is a DamagedError."""
        entry = self.read(key)
        if entry is None or entry.type != entry_type:
            reason = f"the {c.ENTRY_NAMES[entry_type]} {key.hex()} is missing"
            raise DamagedError(key=key, entry_type=entry_type, reason=reason)
        return entry

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Which of the keys are there."""
        return [key in self._queue or key in self._table for key in keys]

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
        """Adds an entry with a time of its own, if its key is not there."""
        if key not in self._queue and key not in self._table:
            self.add(Made(entry_type, version, flags, compression, key, bytes(value), 0))

    def append_many(self, entries: Sequence[NewEntry]) -> None:
        """Adds entries: rows of (type, version, flags, compression, key, value)."""
        for entry_type, version, flags, compression, key, value in entries:
            self.append(
                entry_type, key, value, version=version, flags=flags, compression=compression
            )

    append_new = append_many

    def tombstone(self, key: bytes) -> None:
        """Not in a file that holds nothing old."""
        raise NotImplementedError

    def entry_time(self) -> int:
        """The next time that no entry has, in milliseconds."""
        self.latest += 1
        return self.latest

    def now(self) -> int:
        """The wall clock in milliseconds."""
        return clock.time_ns() // 1_000_000
