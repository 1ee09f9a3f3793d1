"""A view: one committed version of the file's index, read without a lock against the writer.

What a view finds is checked (engine.md section 2): the entry's magic, its place in the file, its
lengths, that its key is the key asked for, and its integrity hash. What does not hold may be a
writer's work in progress, so it is asked again of the newest header's index; it is damage once
the header's sequence has stood still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aeordb.errors import DamagedError, UsageError, quote
from aeordb.format import constants as c
from aeordb.format.hottail import decode_tail_records
from aeordb.format.page import IndexRecord
from aeordb.native.entries import Entry
from aeordb.native.faults import EntryFault, NativeFault, PageFault
from aeordb.native.index import ALL, Index
from aeordb.native.pages import mark
from aeordb.native.table import Table
from aeordb.storage.filemap import FileMap
from aeordb.storage.locks import ReaderLock
from aeordb.storage.state import State, load_state, read_header, rebuild_live
from aeordb.storage.voids import pack_extents

_TRIES = 1000
_T = TypeVar("_T")

Record = tuple[int, int, int]
"""Where an entry lies: (KV type and flags, offset, total length)."""


class View:
    """Reads entries of one committed state; implements the `Reader` protocol.

    Invariant: `head` and `sequence` never change; the index may be taken from a newer header, in
    which whatever `head` reaches is still found.
    """

    def __init__(
        self, path: str, fd: int, files: FileMap, state: State, *, lock: ReaderLock | None = None
    ) -> None:
        """`lock`: the reader's lock that this view keeps (None for the writer's own index)."""
        self.path = path
        self.head = state.header.head
        self.sequence = state.header.sequence
        self.state = state
        self._fd = fd
        self._files = files
        self._lock = lock
        self._newest = state
        self._closed = False
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        """The index that answers now."""
        if self._index is None:
            self._index = self._make_index(self._newest)
        return self._index

    def close(self) -> None:
        """Gives up the view's lock; nothing more can be read."""
        self._closed = True
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def begin_walk(self) -> None:
        """Asks the writer to leave the KV block's size alone until :meth:`end_walk`."""
        if self._lock is not None:
            self._lock.share_walk()

    def end_walk(self) -> None:
        """Ends what :meth:`begin_walk` began."""
        if self._lock is not None:
            self._lock.end_walk()

    def walk_index(self, *, rebuild: bool = False) -> tuple[Index, State]:
        """An index for one walk, and its state: the newest committed one, which stays as it is.

        Its slots have the same numbers as long as it lives; call it after :meth:`begin_walk`.
        `rebuild`: its records come from a scan of the log (a bad page after AeorDB's crash).
        """
        self._check()
        load = rebuild_live if rebuild else load_state
        state = load(self._fd, self.path, self._files.covering)
        return self._make_index(state), state

    def moved_since(self, state: State) -> bool:
        """Whether something was committed after `state`."""
        return read_header(self._fd, self.path).sequence != state.header.sequence

    def read(self, key: bytes) -> Entry | None:
        """The verified entry under `key`, or None if the index has no such key.

        Raises DamagedError with key and offset when what is there does not hold.
        """
        self._check()
        try:
            entry = self.index.read(key)
        except NativeFault as fault:
            return self._again(lambda index: index.read(key), fault)
        return entry if entry is not None else self._again(lambda index: index.read(key), None)

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        """The verified entry under a key that the tree needs: missing, or of another type, is
        damage."""
        entry = self.read(key)
        if entry is None or entry.type != entry_type:
            name = c.ENTRY_NAMES[entry_type]
            found = "missing"
            if entry is not None:
                found = f"a {c.ENTRY_NAMES.get(entry.type, f'thing of type {entry.type}')}"
            raise DamagedError(
                key=key,
                entry_type=entry_type,
                offset=entry.offset if entry else None,
                reason=f"the {name} {key.hex()} is {found}",
            )
        return entry

    def read_chunks(self, keys: bytes, capacity: int) -> tuple[memoryview, list[int]]:
        """The bytes of the first of these chunks, as far as they can be had without more ado."""
        self._check()
        return self.index.read_chunks(keys, capacity)

    def find(self, key: bytes) -> Record | None:
        """Where the index says that `key` lies; the entry itself is not looked at."""
        return self._ask(lambda index: index.find(key))

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """For each key whether the index has it; no entry is read."""
        joined = b"".join(keys)
        return self._ask(lambda index: index.has_many(joined)) or []

    def locate_many(self, keys: bytes) -> tuple[bytes, bytes]:
        """For 32-byte keys that stand one after the other: (mask, records).

        `mask` has a byte per key, 1 if the index has it; `records` 46 bytes per key (FORMAT.md 5),
        zeros if not. No entry is read.
        """
        found = self._ask(lambda index: index.find_many(keys))
        assert found is not None
        return found

    def copy(self, offset: int, length: int) -> bytes:
        """Bytes of the file as they stand, unchecked; DamagedError if they are not all there."""
        out = bytearray(length)
        self.copy_into(out, 0, offset, length)
        return bytes(out)

    def copy_into(self, out: bytearray | memoryview, at: int, offset: int, length: int) -> None:
        """The same into `out` from its byte `at` on, which has room for them."""
        self._check()
        try:
            self._files.covering(offset + length).copy_into(out, at, offset, length)
        except NativeFault as fault:
            raise self._damage(fault) from None

    def fetch(self, offset: int) -> Entry:
        """The entry that begins at `offset`, its integrity hash checked; DamagedError."""
        self._check()
        try:
            return self._files.covering(offset + c.ENTRY_HEADER_LENGTH).fetch(offset)
        except NativeFault as fault:
            raise self._damage(fault) from None

    def records(self, kv_type: int) -> list[IndexRecord]:
        """All live index records of one KV type: reads every page."""
        return list(
            decode_tail_records(self._ask(lambda index: b"".join(index.scan(kv_type))) or b"")
        )

    def keys_with_prefix(self, prefix: bytes) -> list[IndexRecord]:
        """The live records whose key begins with `prefix`: reads the pages they can be in."""
        found = self._ask(lambda index: list(index.scan_prefix(prefix)))
        return [IndexRecord(*record) for record in found or ()]

    def _ask(self, ask: Callable[[Index], _T | None]) -> _T | None:
        """An answer of the index in which what is not found is not there."""
        self._check()
        for _ in range(_TRIES):
            try:
                answer = ask(self.index)
            except NativeFault as fault:
                answer = self._again(ask, fault)
            if self._lock is None or self._settled():
                return answer
            self._newest = load_state(self._fd, self.path, self._files.covering)
            self._index = None
        raise AssertionError("a block that never rests")

    def _settled(self) -> bool:
        """Whether the pages still lie where the index looks for them.

        The pages of a block that grew are good ones too: they just hold other keys.
        """
        mine, now = self._newest.header, read_header(self._fd, self.path)
        if mine.sequence == now.sequence:
            return True
        return mine.kv_length == now.kv_length and not now.resize_in_progress

    def _check(self) -> None:
        if self._closed:
            raise UsageError(f"{quote(self.path)} is closed")

    def _again(self, ask: Callable[[Index], _T | None], fault: NativeFault | None) -> _T | None:
        """Asks the newest header's index, until it answers or the sequence stands still."""
        for _ in range(_TRIES):
            newest = self._newest
            if read_header(self._fd, self.path).sequence != newest.header.sequence:
                newest = load_state(self._fd, self.path, self._files.covering)
            elif fault is None:
                return None
            elif newest.ours or newest.rebuilt or not isinstance(fault, PageFault):
                raise self._damage(fault) from None
            else:
                # A bad page is what AeorDB's crash looks like.
                newest = rebuild_live(self._fd, self.path, self._files.covering)
            self._newest = newest
            self._index = None
            try:
                answer = ask(self.index)
                if answer is not None:
                    return answer
                fault = None
            except NativeFault as error:
                fault = error
        raise self._damage(fault) if fault else AssertionError("a header that never rests")

    def _make_index(self, state: State) -> Index:
        return make_index(self._files, state)

    def _damage(self, fault: NativeFault) -> DamagedError:
        hint = "Run `aeordb verify` to see what is hit."
        if isinstance(fault, EntryFault):
            return DamagedError(key=fault.key, offset=fault.offset, reason=str(fault), hint=hint)
        return DamagedError(reason=str(fault), hint=hint)


def make_index(files: FileMap, state: State, *newer: Table, end: int | None = None) -> Index:
    """The index of `state`, with tables of newer records (the newest first) on top.

    `end`: how far its map reaches at least, if not to the end of the committed log.
    """
    header = state.header
    covered: Any = None
    if state.rebuilt or header.kv_offset == 0 or state.flags & c.SPARE_GROWTH:
        covered = ALL
    elif state.flags & c.SPARE_CHECKPOINT:
        covered = mark(state.batch, header.pages)
    return Index(
        files.covering(header.hot_tail_offset if end is None else end),
        header.kv_offset,
        header.pages,
        (*newer, state.table),
        pack_voids(state),
        covered,
    )


def pack_voids(state: State) -> bytes:
    """The free ranges as the index takes them: rising pairs of (offset, end).

    Pages of our files hold no entry that meets one, but for what AeorDB's gc left in them.
    """
    if state.ours and not state.flags & c.SPARE_DEAD_PAGES:
        return b""
    return pack_extents(state.voids)
