"""The addresses of entries, and what refers to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import zstandard
from blake3 import blake3

from aeordb.format.errors import FormatError
from aeordb.format.nodes import decode_children
from aeordb.format.records import FileRecord, ForkRecord, SnapshotRecord, SymlinkRecord

CHUNK, FILE, DIRECTORY, SNAPSHOT, FORK, SYMLINK = 1, 2, 3, 5, 7, 8
STEPS = 400
BOMB = 1 << 22


class Entry(Protocol):
    """What is needed of a piece of the log."""

    type: int
    version: int
    compression: int
    key: bytes
    value: bytes


def h(*parts: bytes) -> bytes:
    """BLAKE3 of all parts."""
    return blake3(b"".join(parts)).digest()


def raw_chunk(entry: Entry) -> bytes | None:
    """A chunk's bytes; None if they cannot be told, or are too many."""
    if entry.compression == 0:
        return entry.value
    try:
        # A size that the frame states goes before the one that is given here.
        if zstandard.frame_content_size(entry.value) > BOMB:
            return None
        return zstandard.ZstdDecompressor().decompress(entry.value, max_output_size=BOMB)
    except zstandard.ZstdError:
        return None


def forms(entry: Entry) -> dict[str, bytes]:
    """Every address that the entry's content has, by the kind of address."""
    value = entry.value
    try:
        match entry.type:
            case 1:
                raw = raw_chunk(entry)
                return (
                    {} if raw is None else {"chunk": h(b"chunk:", raw), "sys": h(b"system::", raw)}
                )
            case 2:
                record = FileRecord.decode(value, entry.version)
                path, kind = record.path.encode(), record.content_type.encode()
                return {
                    "identity": h(b"fileid:", path, b"\0", kind, b"\0", record.chunk_keys),
                    "path": h(b"file:", path),
                    "content": h(b"filec:", value),
                }
            case 3:
                return {"dirc": h(b"dirc:", value), "btree": h(b"btree:", value)}
            case 5:
                return {"name": h(b"snap:", SnapshotRecord.decode(value).name.encode())}
            case 7:
                return {"name": h(b"::aeordb:fork:", ForkRecord.decode(value).name.encode())}
            case 8:
                link = SymlinkRecord.decode(value)
                path = link.path.encode()
                return {
                    "identity": h(b"symlinkid:", path, b"\0", link.target.encode()),
                    "path": h(b"symlink:", path),
                    "content": h(b"symlinkc:", value),
                }
    except (FormatError, UnicodeEncodeError):
        pass
    return {}


class Addresses:
    """Which address each entry's key is, as long as it is."""

    def __init__(self, entries: Sequence[Any]) -> None:
        self._entries = entries
        self._forms: dict[int, str] = {}
        self._sizes: dict[int, int] = {}
        for entry in entries:
            for name, key in forms(entry).items():
                if key == entry.key:
                    self._forms[id(entry)] = name
            self._sizes[id(entry)] = len(entry.value)

    def changed(self, entry: Any) -> Iterator[tuple[bytes, bytes]]:
        """Each key that is another one now, and which, from the changed entry up to the roots."""
        waiting = [entry]
        for _ in range(STEPS):
            if not waiting:
                return
            entry = waiting.pop(0)
            form = self._forms.get(id(entry))
            old = entry.key
            new = forms(entry).get(form, old) if form else old
            entry.key = new
            for other in self._entries:
                if other is not entry and old in other.value:
                    other.value = self._told(other, entry, old, new)
                    if other not in waiting:
                        waiting.append(other)
            self._sizes[id(entry)] = len(entry.value)
            if new != old:
                yield old, new

    def _told(self, other: Any, entry: Any, old: bytes, new: bytes) -> bytes:
        """The value of an entry that refers to a changed one: its key, and its size if that was
        right."""
        value = bytearray(other.value)
        at = value.find(old)
        while at >= 0:
            value[at : at + 32] = new
            if other.type == DIRECTORY and at > 0 and len(value) >= at + 40:
                was = self._sizes.get(id(entry), -1)
                size = int.from_bytes(value[at + 32 : at + 40], "little")
                if entry.type == DIRECTORY and value[at - 1] == DIRECTORY and size == was:
                    value[at + 32 : at + 40] = len(entry.value).to_bytes(8, "little")
                if entry.type == FILE and value[at - 1] == FILE:
                    with contextlib.suppress(FormatError):
                        stated = FileRecord.decode(entry.value, entry.version).size
                        value[at + 32 : at + 40] = stated.to_bytes(8, "little")
            at = value.find(old, at + 32)
        if other.type == FILE and entry.type == CHUNK:
            return self._measured(other, bytes(value))
        return bytes(value)

    def _measured(self, other: Any, value: bytes) -> bytes:
        """A file record with the size and hash of the chunks that it names, where all are known."""

        with contextlib.suppress(FormatError, KeyError):
            record = FileRecord.decode(value, other.version)
            chunks = {entry.key: raw_chunk(entry) for entry in self._entries if entry.type == CHUNK}
            keys = record.chunk_keys
            parts = [chunks[keys[at : at + 32]] for at in range(0, len(keys), 32)]
            if None not in parts and other.version == 1:
                whole = b"".join(part for part in parts if part is not None)
                return replace(record, size=len(whole), content_hash=h(whole)).encode()
        return value


def children_of(entry: Entry) -> list[Any]:
    """The children of a flat listing or a leaf; none where it cannot be read."""
    value = entry.value
    with contextlib.suppress(FormatError):
        if value[:1] == b"\0":
            return decode_children(value, 3, int.from_bytes(value[1:3], "little"))
        if value[:1] not in (b"", b"\1") and len(value) != 32:
            return decode_children(value)
    return []
