"""Files out of the store: each chunk checked, decompressed within bounds, read ahead if it pays.

A chunk's integrity hash is checked by the reader, its address here (FORMAT.md 3, 3.1). The lengths
of a file's chunks must add up to the size in its record, and a file that is read from its start to
its end must have the record's content hash: its last chunk is not handed out before that is known.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Final, NoReturn

import zstandard
from blake3 import blake3

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import CHUNK_PREFIX, SYSTEM_CHUNK_PREFIX
from aeordb.format.nodes import Child
from aeordb.format.records import FileRecord
from aeordb.storage.protocols import Buffer, ChunkReader, Entry, Reader
from aeordb.tree.directory import at_path

# The most that zstd can make of one byte: 128 KiB from a block of four.
_EXPANSION_MAX: Final = 32_768
_STEP: Final = c.CHUNK_LENGTH
_BLOCK_CHUNKS: Final = 4

# Up to this length it costs less to put the prefix before the bytes than to hash in two parts.
_COPIED: Final = 32_768

_CHUNK_BASE: Final = blake3(CHUNK_PREFIX)
_SYSTEM_BASE: Final = blake3(SYSTEM_CHUNK_PREFIX)


class _Local(threading.local):
    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_local = _Local()


def read_record(reader: Reader, child: Child, path: str) -> FileRecord:
    """The record of a listed file; `path` is for messages. DamagedError if it does not hold."""
    try:
        entry = reader.read_as(child.hash, c.ENTRY_FILE)
    except DamagedError as error:
        raise at_path(error, path) from None
    try:
        record = FileRecord.decode(entry.value, entry.version)
    except FormatError as error:
        raise _damaged(entry, child.hash, str(error), path) from None
    if record.size != child.size:
        reason = f"the record says {record.size} bytes, the listing {child.size}"
        raise _damaged(entry, child.hash, reason, path)
    return record


def read_file(reader: Reader, record: FileRecord, *, jobs: int = 1) -> bytes:
    """A file's whole content. Raises DamagedError."""
    if record.chunk_count == 1:
        return _only_chunk(reader, record)
    return b"".join(iter_chunks(reader, record, jobs=jobs))


def iter_chunks(
    reader: Reader, record: FileRecord, *, jobs: int = 1, pool: Executor | None = None
) -> Iterator[Buffer]:
    """A file's content in order, a chunk at a time.

    `pool`: threads to use in place of own ones. Raises DamagedError before the last chunk if the
    lengths or the content hash do not hold.
    """
    size = record.size
    last = record.chunk_count - 1
    if last == 0:
        yield _only_chunk(reader, record)
        return
    hasher = None if record.content_hash is None else blake3()
    done = 0
    for index, raw in enumerate(load_ahead(reader, record, 0, jobs, pool)):
        done += len(raw)
        if done > size:
            wrong_size(record)
        if hasher is not None:
            hasher.update(raw)
        if index == last:
            if done != size:
                wrong_size(record)
            check_content(record, hasher)
        yield raw
    if last < 0:
        if size:
            wrong_size(record)
        check_content(record, hasher)


def _only_chunk(reader: Reader, record: FileRecord) -> bytes:
    """`iter_chunks` of a file with one chunk: most files are small."""
    raw = load_address(reader, record.chunk_keys, record.size, record.path)
    if len(raw) != record.size:
        wrong_size(record)
    if record.content_hash is not None:
        check_content(record, blake3(raw))
    return raw


def load_ahead(
    reader: Reader, record: FileRecord, first: int, jobs: int, pool: Executor | None
) -> Generator[Buffer, None, None]:
    """The chunks from number `first` on, the next ones read by threads meanwhile."""
    count, size = record.chunk_count, record.size
    if (jobs == 1 and pool is None) or count - first < 2 * _BLOCK_CHUNKS:
        for index in range(first, count):
            yield load_chunk(reader, record, index, size)
        return
    own = ThreadPoolExecutor(jobs, "aeordb-read") if pool is None else None
    threads = pool or own
    assert threads is not None
    pending: deque[Future[list[Buffer]]] = deque()
    starts = iter(range(first, count, _BLOCK_CHUNKS))
    try:
        for start in starts:
            pending.append(threads.submit(_load_some, reader, record, start))
            if len(pending) > jobs:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        if own is not None:
            own.shutdown()


def _load_some(reader: Reader, record: FileRecord, first: int) -> list[Buffer]:
    count = min(_BLOCK_CHUNKS, record.chunk_count - first)
    block, lengths = load_plain(reader, record, first, count)
    chunks: list[Buffer] = []
    at = 0
    for length in lengths:
        chunks.append(block[at : at + length])
        at += length
    for index in range(first + len(chunks), first + count):
        chunks.append(load_chunk(reader, record, index, record.size))
    return chunks


def load_plain(
    reader: Reader, record: FileRecord, first: int, count: int
) -> tuple[memoryview, list[int]]:
    """The chunks from number `first` on, as far as they can be had in one go: their bytes, one
    after the other, and their lengths.

    It stops before one that is compressed or bad, which `load_chunk` reads or complains of.
    """
    if not isinstance(reader, ChunkReader):
        return memoryview(b""), []
    keys = record.chunk_keys[first * c.HASH_LENGTH : (first + count) * c.HASH_LENGTH]
    return reader.read_chunks(keys, min(count * _STEP, record.size))


def load_chunk(reader: Reader, record: FileRecord, index: int, limit: int) -> bytes:
    """Chunk number `index` of a file, at most `limit` bytes long."""
    start = index * c.HASH_LENGTH
    key = record.chunk_keys[start : start + c.HASH_LENGTH]
    return load_address(reader, key, limit, record.path)


def load_address(reader: Reader, key: bytes, limit: int, path: str | None = None) -> bytes:
    """A chunk's raw bytes, at most `limit`, checked against its address; DamagedError else."""
    try:
        entry = reader.read_as(key, c.ENTRY_CHUNK)
    except DamagedError as error:
        raise (error if path is None else at_path(error, path)) from None
    raw = entry.value
    if entry.compression != c.COMPRESSION_NONE:
        try:
            raw = decompress(raw, limit)
        except (zstandard.ZstdError, FormatError) as error:
            raise _damaged(entry, key, f"chunk: {error}", path) from None
    if len(raw) > limit:
        raise _damaged(entry, key, f"a chunk of {len(raw)} bytes in a file of {limit}", path)
    if (
        _address(_CHUNK_BASE, CHUNK_PREFIX, raw) != key
        and _address(_SYSTEM_BASE, SYSTEM_CHUNK_PREFIX, raw) != key
    ):
        raise _damaged(entry, key, "the chunk's bytes have another address", path)
    return raw


def _address(base: blake3, prefix: bytes, raw: bytes) -> bytes:
    if len(raw) < _COPIED:
        return blake3(prefix + raw).digest()
    hasher = base.copy()
    hasher.update(raw)
    return hasher.digest()


def decompress(frame: bytes, limit: int) -> bytes:
    """What one zstd frame holds, at most `limit` bytes; FormatError or zstandard.ZstdError else.

    No more memory is taken than a frame of this length can fill, whatever size it states.
    """
    stated = zstandard.frame_content_size(frame)
    if stated > limit:
        raise FormatError(f"a zstd frame of {stated} bytes, at most {limit} fit")
    if stated > len(frame) * _EXPANSION_MAX:
        raise FormatError(f"a zstd frame of {len(frame)} bytes that claims to hold {stated}")
    if stated >= 0:
        return _local.zstd.decompress(frame, allow_extra_data=False)
    parts: list[bytes] = []
    with _local.zstd.stream_reader(frame) as stream:
        while part := stream.read(min(limit + 1, _STEP)):
            parts.append(part)
            limit -= len(part)
            if limit < 0:
                raise FormatError("a zstd frame that holds more than fits")
    return b"".join(parts)


def check_content(record: FileRecord, hasher: blake3 | None) -> None:
    """DamagedError unless `hasher`, fed with the whole file, agrees with the record."""
    if hasher is not None and hasher.digest() != record.content_hash:
        raise DamagedError(
            entry_type=c.ENTRY_FILE,
            reason="the file's bytes do not have the content hash of its record",
            path=record.path,
        )


def wrong_size(record: FileRecord) -> NoReturn:
    """Raises the error for chunks that are longer or shorter together than the file."""
    raise DamagedError(
        entry_type=c.ENTRY_FILE,
        reason=f"the chunks do not add up to the {record.size} bytes of the file's record",
        path=record.path,
    )


def _damaged(entry: Entry, key: bytes, reason: str, path: str | None) -> DamagedError:
    return DamagedError(
        key=key, entry_type=entry.type, offset=entry.offset, reason=reason, path=path
    )
