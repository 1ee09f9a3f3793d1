"""The chunks of checked files, from backups into a transaction: threads check, one writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

import zstandard

from aeordb.backup.chunks import CHUNK_MAX, Batch, Item, load
from aeordb.backup.files import Record, refuse
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.entry import decode_entry_header
from aeordb.format.errors import FormatError
from aeordb.native.hashing import blake3
from aeordb.native.table import RECORD
from aeordb.parallel.threads import in_order
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.view import View
from aeordb.storage.writer import WriteView
from aeordb.tree.reading import load_address

_BATCH_BYTES: Final = 1 << 20
_BATCH_CHUNKS: Final = 1_024
_WINDOW_KEYS: Final = 8_192
# Less is not worth threads.
_THREADS_FROM: Final = 2 << 20
_FRAME: Final = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH
# A zstd frame's header has at most so many bytes.
_ZSTD_HEADER: Final = 18


@dataclass(slots=True)
class _File:
    """A file whose chunks are being added up."""

    key: bytes
    path: str
    size: int
    content: bytes | None  # where its one chunk is the whole of it
    length: int = 0


@dataclass(slots=True)
class _Part:
    """A stretch of a file's chunk keys within the window."""

    file: _File
    keys: bytes
    last: bool


class ChunkCopy:
    """Takes file records one by one, and copies what chunks the transaction lacks, a window of
    them at a time; checks that each file's chunks add up to its size."""

    def __init__(
        self,
        writer: WriteView,
        sources: Sequence[View],
        *,
        jobs: int,
        newest: int,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """`newest`: no entry's time may be later, in milliseconds."""
        self._writer = writer
        self._sources = sources
        self._jobs = jobs
        self._newest = newest
        self._progress = progress
        self._parts: list[_Part] = []
        self._count = 0
        self._spare: SimpleQueue[bytearray] = SimpleQueue()
        self.written = 0

    def add(self, key: bytes, record: Record) -> None:
        """The next file; its chunks are there when `flush` returns, at the latest."""
        keys = record.chunk_keys
        content = record.content_hash if len(keys) == c.HASH_LENGTH else None
        file = _File(key, record.path.decode(), record.size, content)
        at = 0
        while at < len(keys):
            room = (_WINDOW_KEYS - self._count) * c.HASH_LENGTH
            part = keys[at : at + room]
            at += len(part)
            self._parts.append(_Part(file, part, at == len(keys)))
            self._count += len(part) // c.HASH_LENGTH
            if self._count >= _WINDOW_KEYS:
                self.flush()

    def flush(self) -> None:
        """Copies and adds up what was added."""
        parts, self._parts, self._count = self._parts, [], 0
        wanted: dict[bytes, _File] = {}
        for part in parts:
            for at in range(0, len(part.keys), c.HASH_LENGTH):
                key = part.keys[at : at + c.HASH_LENGTH]
                other = wanted.setdefault(key, part.file)
                if other is not part.file:
                    wanted[key] = _stricter(other, part.file)
        lengths = self._present(wanted)
        self._copy([key for key in wanted if key not in lengths], wanted, lengths)
        for part in parts:
            file = part.file
            for at in range(0, len(part.keys), c.HASH_LENGTH):
                file.length += lengths[part.keys[at : at + c.HASH_LENGTH]]
            if part.last and file.length != file.size:
                reason = f"its chunks make {file.length} bytes, its record says {file.size}"
                refuse(file.key, 0, file.path, reason)

    def _present(self, wanted: dict[bytes, _File]) -> dict[bytes, int]:
        """The raw lengths of the chunks that the database, or this transaction, has."""
        lengths: dict[bytes, int] = {}
        keys = list(wanted)
        self._writer.flush()
        mask, records = self._writer.locate_many(b"".join(keys))
        for i, key in enumerate(keys):
            if not mask[i]:
                continue
            file = wanted[key]
            if file.content is not None:
                raw = load_address(self._writer, key, file.size, file.path)
                if blake3(raw) != file.content:
                    reason = "its bytes do not have the content hash of its record"
                    refuse(file.key, 0, file.path, reason)
                lengths[key] = len(raw)
                continue
            offset, length = _place(records, i)
            lengths[key] = self._raw_length(key, offset, length, file)
        return lengths

    def _raw_length(self, key: bytes, offset: int, length: int, file: _File) -> int:
        """Of a chunk that is there: what its header says, or its zstd frame."""
        head = self._writer.copy(offset, min(length, _FRAME + _ZSTD_HEADER))
        try:
            header = decode_entry_header(head)
            if header.type != c.ENTRY_CHUNK or header.total_length != length:
                raise FormatError("another entry stands there")
        except FormatError as fault:
            raise DamagedError(
                key=key,
                entry_type=c.ENTRY_CHUNK,
                offset=offset,
                reason=f"the database's chunk: {fault.reason}",
                path=file.path,
                hint="Run `aeordb verify` to see what is hit.",
            ) from None
        if header.compression == c.COMPRESSION_NONE:
            return header.value_length
        try:
            stated = zstandard.frame_content_size(head[_FRAME:])
        except zstandard.ZstdError:
            stated = -1
        return stated if stated >= 0 else len(load_address(self._writer, key, file.size))

    def _copy(
        self, keys: Sequence[bytes], wanted: dict[bytes, _File], lengths: dict[bytes, int]
    ) -> None:
        for batch in self._loaded(self._batches(keys, wanted)):
            if batch.newest > self._newest:
                raise DamagedError(
                    key=batch.keys[0],
                    entry_type=c.ENTRY_CHUNK,
                    reason="the backup's entries are from the future",
                )
            kinds = [c.KV_CHUNK] * len(batch.keys)
            self._writer.append_framed(batch.frames, batch.keys, kinds, batch.lengths)
            if batch.room is not None:
                self._spare.put(batch.room)
            lengths.update(zip(batch.keys, batch.raw_lengths, strict=True))
            self.written += len(batch.keys)
            self._progress.advance(len(batch.frames), len(batch.keys))

    def _batches(
        self, keys: Sequence[bytes], wanted: dict[bytes, _File]
    ) -> list[tuple[View, list[Item]]]:
        """The chunks by source, in the order in which they lie there, some MiB at a time."""
        batches: list[tuple[View, list[Item]]] = []
        for view in self._sources:
            mask, records = view.locate_many(b"".join(keys))
            items = []
            for i, key in enumerate(keys):
                if mask[i] and records[RECORD * i + 33] & c.KV_TYPE_MASK == c.KV_CHUNK:
                    file = wanted[key]
                    offset, length = _place(records, i)
                    limit = min(file.size, CHUNK_MAX)
                    items.append(Item(key, offset, length, limit, file.path, file.content))
            items.sort(key=lambda item: item.offset)
            batches += [(view, part) for part in _split(items)]
            keys = [key for i, key in enumerate(keys) if not mask[i]]
        if keys:
            file = wanted[keys[0]]
            refuse(file.key, 0, file.path, f"{len(keys)} of its chunks are missing")
        return batches

    def _loaded(self, batches: list[tuple[View, list[Item]]]) -> Iterator[Batch]:
        """The batches, checked: some ahead on threads while one is written."""
        total = sum(item.length for _, items in batches for item in items)
        return in_order(self._jobs if total >= _THREADS_FROM else 1, batches, self._load)

    def _load(self, batch: tuple[View, list[Item]]) -> Batch:
        try:
            room = self._spare.get_nowait()
        except Empty:
            room = bytearray(_BATCH_BYTES)
        return load(*batch, room)


def _stricter(one: _File, other: _File) -> _File:
    """Of two files that share a chunk the one that tells more of it: its bytes are checked once.

    The content hashes of two files that are this one chunk must agree.
    """
    if one.content is not None and other.content is not None and one.content != other.content:
        reason = f"its record has another content hash than that of the same bytes at {other.path}"
        refuse(one.key, 0, one.path, reason)
    if (one.content is None) != (other.content is None):
        return one if one.content is not None else other
    return one if one.size >= other.size else other


def _place(records: bytes, number: int) -> tuple[int, int]:
    """(offset, total length) in the index record of this number."""
    at = RECORD * number + 34
    offset = int.from_bytes(records[at : at + 8], "little")
    return offset, int.from_bytes(records[at + 8 : at + 12], "little")


def _split(items: Sequence[Item]) -> Iterator[list[Item]]:
    part: list[Item] = []
    size = 0
    for item in items:
        if part and (size + item.length > _BATCH_BYTES or len(part) >= _BATCH_CHUNKS):
            yield part
            part, size = [], 0
        part.append(item)
        size += item.length
    if part:
        yield part
