"""A transaction in memory: what storage promises to the tree, kept in dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.entry import decode_entry
from aeordb.format.keys import blake3
from aeordb.format.nodes import Child
from aeordb.storage.protocols import Buffer, NewEntry


@dataclass(frozen=True)
class FakeEntry:
    type: int
    version: int
    flags: int
    compression: int
    time: int
    offset: int
    value: bytes


class FakeWriter:
    """Holds entries by key; `log` keeps every append, `reads` counts reads by key."""

    def __init__(self) -> None:
        self.head = c.ZERO_HASH
        self.live: dict[bytes, FakeEntry] = {}
        self.log: list[tuple[bytes, FakeEntry]] = []
        self.tombstones: set[bytes] = set()
        self.reads: Counter[bytes] = Counter()
        self.clock = 1_000

    def read(self, key: bytes) -> FakeEntry | None:
        self.reads[key] += 1
        return self.live.get(key)

    def read_as(self, key: bytes, entry_type: int) -> FakeEntry:
        entry = self.read(key)
        if entry is None or entry.type != entry_type:
            raise DamagedError(key=key, entry_type=entry_type, reason="missing")
        return entry

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        return [key in self.live for key in keys]

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
        self.append_many([(entry_type, version, flags, compression, key, value)])

    def append_many(self, entries: Sequence[NewEntry]) -> None:
        for kind, version, flags, compression, key, value in entries:
            number = len(self.log)
            entry = FakeEntry(kind, version, flags, compression, number, number, bytes(value))
            self.log.append((key, entry))
            self.live[key] = entry
            self.tombstones.discard(key)

    def append_new(self, entries: Sequence[NewEntry]) -> None:
        for entry in entries:
            if entry[4] not in self.live:
                self.append_many([entry])

    def append_framed(
        self, frames: bytearray, keys: Sequence[bytes], kinds: Sequence[int], lengths: list[int]
    ) -> None:
        at = 0
        for key, kind, length in zip(keys, kinds, lengths, strict=True):
            entry = decode_entry(bytes(frames[at : at + length]))
            head = entry.header
            assert (entry.key, c.KV_TYPE[head.type]) == (key, kind)
            self.append_many(
                [(head.type, head.version, head.flags, head.compression, key, entry.value)]
            )
            at += length
        assert at == len(frames)

    def tombstone(self, key: bytes) -> None:
        self.live.pop(key, None)
        self.tombstones.add(key)

    def entry_time(self) -> int:
        return self.now()

    def now(self) -> int:
        self.clock += 1
        return self.clock

    def appended(self, entry_type: int = c.ENTRY_DIRECTORY) -> list[bytes]:
        """The keys of all appends of one type, in order."""
        return [key for key, entry in self.log if entry.type == entry_type]


def file_child(name: str, seed: object = 0, *, size: int = 1, time: int = 5) -> Child:
    """A file's child entry with a made-up identity key."""
    key = blake3(f"{name}:{seed}".encode())
    return Child(c.KIND_FILE, key, size, time, time, name, "text/plain", time)
