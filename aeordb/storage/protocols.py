"""What the layers above see of storage: a reader of entries, and a writer for one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

Buffer = bytes | bytearray | memoryview
NewEntry = tuple[int, int, int, int, bytes, Buffer]
"""An entry to append: (type, version, flags, compression, key, value as stored)."""
KeyedEntry = tuple[int, int, int, int, Buffer]
"""The same of an entry whose key is known: (type, version, flags, compression, value)."""


class Entry(Protocol):
    """A verified entry (FORMAT.md 3): its key was the one asked for, its integrity hash holds."""

    @property
    def type(self) -> int:
        """One of the ENTRY_* constants."""

    @property
    def version(self) -> int:
        """Version of the value's layout."""

    @property
    def flags(self) -> int:
        """Bit 0: system."""

    @property
    def compression(self) -> int:
        """0 none, 1 zstd."""

    @property
    def time(self) -> int:
        """Entry time in milliseconds."""

    @property
    def offset(self) -> int:
        """Where the entry begins in the file, in bytes."""

    @property
    def value(self) -> bytes:
        """The value as stored."""


class Reader(Protocol):
    """One view of the database: what it reads does not change under it."""

    @property
    def head(self) -> bytes:
        """The root of the view's HEAD."""

    def read(self, key: bytes) -> Entry | None:
        """The entry of this key, verified; None only if the index lacks it. DamagedError."""

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        """The entry of a key that the tree needs: missing or of another type is a DamagedError."""

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Which of the keys the index holds, in their order; no entry is read."""


@runtime_checkable
class ChunkReader(Reader, Protocol):
    """A reader that gives many chunks in one call."""

    def read_chunks(self, keys: bytes, capacity: int) -> tuple[memoryview, list[int]]:
        """The bytes of the first of these chunks (keys of 32 bytes, one after the other), at most
        `capacity` together, each checked against its address: all bytes, and each chunk's length.

        It stops before a chunk that is compressed, a system's, missing or damaged; the others are
        to be read one by one.
        """


class Writer(Reader, Protocol):
    """One transaction. Reads see its own appends; nothing is visible outside before its commit."""

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
        """Adds an entry to the log; of entries with one key the newest wins."""

    def append_many(self, entries: Sequence[NewEntry]) -> None:
        """Adds entries in their order."""

    def append_new(self, entries: Sequence[NewEntry]) -> None:
        """Adds those entries whose keys the index lacks: for keys that say what the value is."""

    def tombstone(self, key: bytes) -> None:
        """Marks the key as deleted in the index; an append after it makes the key live again."""

    def entry_time(self) -> int:
        """A time in milliseconds that no entry so far is later than: for deletions, which hide
        what is older."""

    def now(self) -> int:
        """The wall clock in milliseconds, for records and listings (entry times are others)."""


@runtime_checkable
class BulkWriter(Writer, Protocol):
    """A writer that also takes entries made ready by other threads."""

    def append_framed(
        self,
        frames: bytearray | memoryview,
        keys: Sequence[bytes],
        kinds: Sequence[int],
        lengths: list[int],
    ) -> None:
        """Adds entries that stand framed one after the other, each key once; sets their times.

        `kinds` are KV types, `lengths` total lengths in bytes. `frames` is written before this
        returns.
        """
