"""What a check found wanting, appended to the database in one transaction (engine: import)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from aeordb.backup.copying import ChunkCopy
from aeordb.backup.files import Record, read_record
from aeordb.backup.layers import Layer
from aeordb.backup.wanted import Places, Wanted, check_place
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import node_key, symlink_identity_key
from aeordb.format.records import FileRecord, SymlinkRecord
from aeordb.native.hashing import Hasher, blake3, blake3_many
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.protocols import Entry, NewEntry
from aeordb.storage.view import View
from aeordb.storage.writer import WriteView
from aeordb.tree.reading import iter_chunks

_BATCH: Final = 512


class Apply:
    """Writes what is wanted of each backup; every entry gets a fresh time.

    An entry is read again and its key made again: a backup that changes meanwhile is refused.
    """

    def __init__(
        self,
        writer: WriteView,
        sources: Sequence[View],
        *,
        jobs: int,
        newest: int,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        self._writer = writer
        self._chunks = ChunkCopy(writer, sources, jobs=jobs, newest=newest, progress=progress)

    def run(
        self, views: Sequence[Layer], wanted: Sequence[Wanted], healing: Sequence[bytes]
    ) -> int:
        """Writes chunks first, then what needs them; how many entries.

        Raises DamagedError, NotDurableError.
        """
        for view, wants in zip(views, wanted, strict=True):
            for key, record in _records(view, wants.files):
                self._chunks.add(key, record)
        for key in healing:
            entry = self._writer.read_as(key, c.ENTRY_FILE)
            self._chunks.add(key, read_record(entry, key, ""))
        self._chunks.flush()
        written = self._chunks.written
        for view, wants in zip(views, wanted, strict=True):
            written += self._entries(view, wants.entries, renew=False)
            written += self._entries(view, wants.renewed, renew=True)
        return written

    def _entries(self, view: Layer, places: Places, *, renew: bool) -> int:
        written = 0
        rest = iter(places)
        while batch := list(islice(rest, _BATCH)):
            entries = [view.fetch(offset) for offset, _ in batch]
            keys = _keys(entries)
            for (offset, noted), key in zip(batch, keys, strict=True):
                check_place(offset, noted, key)
            there = [False] * len(keys) if renew else self._writer.has_many(keys)
            rows = [
                self._row(key, entry)
                for key, entry, present in zip(keys, entries, there, strict=True)
                if not present
            ]
            self._writer.append_many(rows)
            written += len(rows)
        return written

    def _row(self, key: bytes, entry: Entry) -> NewEntry:
        version, value = entry.version, entry.value
        if entry.type == c.ENTRY_FILE and version == c.FILE_RECORD_VERSION_OLD:
            version, value = c.FILE_RECORD_VERSION, self._modern(value)
        return entry.type, version, 0, c.COMPRESSION_NONE, key, value

    def _modern(self, value: bytes) -> bytes:
        """A record of version 0 with the content hash that it lacks; its chunks are there now."""
        old = FileRecord.decode(value, c.FILE_RECORD_VERSION_OLD)
        hasher = Hasher()
        for chunk in iter_chunks(self._writer, old):
            hasher.update(chunk)
        return FileRecord(
            old.path,
            old.content_type,
            old.size,
            old.created,
            old.updated,
            hasher.digest(),
            old.metadata,
            old.chunk_keys,
        ).encode()


def _records(view: Layer, places: Places) -> Iterator[tuple[bytes, Record]]:
    """The file records at these places, with their keys made again."""
    rest = iter(places)
    while batch := list(islice(rest, _BATCH)):
        records = [read_record(view.fetch(offset), b"", "") for offset, _ in batch]
        keys = blake3_many([record.identity for record in records])
        for (offset, noted), key, record in zip(batch, keys, records, strict=True):
            check_place(offset, noted, key)
            yield key, record


def _keys(entries: Sequence[Entry]) -> list[bytes]:
    """The address of each entry's content, by its type."""
    return [
        node_key(entry.value)
        if entry.type == c.ENTRY_DIRECTORY
        else blake3(read_record(entry, b"", "").identity)
        if entry.type == c.ENTRY_FILE
        else _symlink_key(entry)
        for entry in entries
    ]


def _symlink_key(entry: Entry) -> bytes:
    try:
        record = SymlinkRecord.decode(entry.value)
    except FormatError as fault:
        raise DamagedError(
            entry_type=entry.type, offset=entry.offset, reason=f"a symlink: {fault.reason}"
        ) from None
    return symlink_identity_key(record.path, record.target)
