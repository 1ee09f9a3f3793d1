"""Entries that stand in no file yet: what salvage rebuilds, before anything is written."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aeordb.backup.layers import Layers
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.hottail import encode_tail_record
from aeordb.native.entries import Entry as Kept
from aeordb.native.table import RECORD
from aeordb.storage.protocols import Buffer, Entry, NewEntry


class Overlay:
    """A layer in memory; entry number n counts as lying at offset n."""

    def __init__(self) -> None:
        self._entries: list[Kept] = []
        self._numbers: dict[bytes, int] = {}

    @property
    def head(self) -> bytes:
        """None of its own."""
        return c.ZERO_HASH

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
        """Keeps an entry."""
        number = len(self._entries)
        self._numbers[key] = number
        self._entries.append(Kept(entry_type, version, flags, compression, 0, number, bytes(value)))

    def find(self, key: bytes) -> tuple[int, int, int] | None:
        """As :meth:`View.find`."""
        number = self._numbers.get(key)
        if number is None:
            return None
        entry = self._entries[number]
        length = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH + len(entry.value)
        return c.KV_TYPE[entry.type], number, length

    def locate_many(self, keys: bytes) -> tuple[bytes, bytes]:
        """As :meth:`View.locate_many`."""
        mask = bytearray()
        records = bytearray()
        for at in range(0, len(keys), c.HASH_LENGTH):
            key = keys[at : at + c.HASH_LENGTH]
            found = self.find(key)
            mask.append(found is not None)
            records += bytes(RECORD) if found is None else encode_tail_record(key, *found)
        return bytes(mask), bytes(records)

    def fetch(self, offset: int) -> Entry:
        """The entry of this number."""
        return self._entries[offset]

    def read(self, key: bytes) -> Entry | None:
        """The entry of a key."""
        number = self._numbers.get(key)
        return None if number is None else self._entries[number]

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        """The same; missing or of another type is a DamagedError."""
        entry = self.read(key)
        if entry is None or entry.type != entry_type:
            name = c.ENTRY_NAMES[entry_type]
            reason = f"the {name} {key.hex()} is missing"
            raise DamagedError(key=key, entry_type=entry_type, reason=reason)
        return entry

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Which of the keys are here."""
        return [key in self._numbers for key in keys]


class OverlayWriter(Layers):
    """Reads layers of which one is the overlay, and writes to that; a `Writer` for directories."""

    def __init__(self, overlay: Overlay, layers: Layers) -> None:
        super().__init__(layers.views)
        self._overlay = overlay

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
        """Keeps an entry in the overlay."""
        self._overlay.append(
            entry_type, key, value, version=version, flags=flags, compression=compression
        )

    def append_many(self, entries: Sequence[NewEntry]) -> None:
        """Keeps entries: rows of (type, version, flags, compression, key, value)."""
        for entry_type, version, flags, compression, key, value in entries:
            self.append(
                entry_type, key, value, version=version, flags=flags, compression=compression
            )

    def append_new(self, entries: Sequence[NewEntry]) -> None:
        """Keeps those that no layer has."""
        present = self.has_many([entry[4] for entry in entries])
        self.append_many(
            [entry for entry, there in zip(entries, present, strict=True) if not there]
        )

    def tombstone(self, key: bytes) -> None:
        """Not for what is rebuilt: nothing is deleted."""
        raise NotImplementedError

    def now(self) -> int:
        """The wall clock in milliseconds."""
        return time.time_ns() // 1_000_000

    def entry_time(self) -> int:
        """The same: entries here have no time yet."""
        return self.now()
