"""Several readers as one: a backup, those of its chain before it, and the database below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.native.table import RECORD
from aeordb.storage.protocols import Entry

NODE_MAX = 20 << 20
"""No honest directory node is longer: 255 children with names of 64 KiB."""

RECORD_MAX = 256 << 20
"""A record of this many bytes lists the chunks of 2 TB."""

_FRAME = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH
_LIMITS = {
    c.ENTRY_DIRECTORY: NODE_MAX,
    c.ENTRY_FILE: RECORD_MAX,
    c.ENTRY_SYMLINK: 4 * c.U16_MAX,
}
NOWHERE = 255


class Layer(Protocol):
    """What a layer must answer: a view of a file does, and what salvage rebuilt."""

    @property
    def head(self) -> bytes:
        """The root of its HEAD."""

    def find(self, key: bytes) -> tuple[int, int, int] | None:
        """Where the entry lies: (KV type and flags, offset, total length)."""

    def locate_many(self, keys: bytes) -> tuple[bytes, bytes]:
        """As :meth:`View.locate_many`."""

    def fetch(self, offset: int) -> Entry:
        """The verified entry at an offset."""

    def read(self, key: bytes) -> Entry | None:
        """The verified entry of a key."""

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        """The same; missing or of another type is a DamagedError."""

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Which of the keys it has."""


class Layers:
    """Readers of which the first that has a key answers; implements the `Reader` protocol.

    The last layer is the database. An entry's integrity hash is checked by its reader; that its
    key is its content's address, by whoever asked for it.
    """

    def __init__(self, views: Sequence[Layer]) -> None:
        if len(views) >= NOWHERE:
            raise ValueError("too many layers")
        self.views = tuple(views)
        self.bottom = len(self.views) - 1

    @property
    def head(self) -> bytes:
        """The database's HEAD."""
        return self.views[self.bottom].head

    def locate(self, keys: bytes, kv_type: int) -> bytearray:
        """For joined keys the number of the first layer that has each, else NOWHERE.

        What the index calls another KV type is not there.
        """
        count = len(keys) // c.HASH_LENGTH
        where = bytearray([NOWHERE]) * count
        for number, view in enumerate(self.views):
            mask, records = view.locate_many(keys)
            kinds = records[1 + c.HASH_LENGTH :: RECORD]
            for i in range(count):
                if mask[i] and where[i] == NOWHERE and kinds[i] & c.KV_TYPE_MASK == kv_type:
                    where[i] = number
            if NOWHERE not in where:
                break
        return where

    def fetch(self, number: int, key: bytes, entry_type: int) -> Entry:
        """The entry of a key that layer `number` has, of the type wanted and no longer than may
        be; DamagedError else."""
        view = self.views[number]
        found = view.find(key)
        if found is not None and found[2] - _FRAME > _LIMITS[entry_type]:
            raise DamagedError(
                key=key,
                entry_type=entry_type,
                offset=found[1],
                reason=f"a {c.ENTRY_NAMES[entry_type]} of {found[2]} bytes",
            )
        entry = view.read_as(key, entry_type)
        if entry.compression != c.COMPRESSION_NONE:
            raise DamagedError(
                key=key,
                entry_type=entry_type,
                offset=entry.offset,
                reason=f"a compressed {c.ENTRY_NAMES[entry_type]}: only chunks may be",
            )
        return entry

    def intact(self, key: bytes, entry_type: int) -> Entry | None:
        """The database's own entry of this key; None if it lacks it, or holds it damaged."""
        try:
            entry = self.views[self.bottom].read(key)
        except DamagedError:
            return None
        return entry if entry is not None and entry.type == entry_type else None

    def read(self, key: bytes) -> Entry | None:
        """As :meth:`View.read`, of the first layer that has the key."""
        for view in self.views:
            entry = view.read(key)
            if entry is not None:
                return entry
        return None

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        """As :meth:`View.read_as`, of the first layer that has the key."""
        number = next(
            (n for n, view in enumerate(self.views) if view.find(key) is not None), self.bottom
        )
        if entry_type in _LIMITS:
            return self.fetch(number, key, entry_type)
        return self.views[number].read_as(key, entry_type)

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Which of the keys any layer has."""
        found = [False] * len(keys)
        for view in self.views:
            found = [a or b for a, b in zip(found, view.has_many(keys), strict=True)]
        return found
