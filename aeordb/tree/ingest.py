"""Files into the store: chunks appended once each, and the file record that lists them.

Large files stream block by block through a pool of threads, small ones are prepared hundreds at a
time, so that Python's cost is shared (engine.md section 3).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from blake3 import blake3

from aeordb.format import constants as c
from aeordb.format.keys import file_identity_key, file_identity_text, file_path_keys
from aeordb.format.nodes import Child
from aeordb.format.records import encode_file_record
from aeordb.native.hashing import blake3_many
from aeordb.storage.protocols import NewEntry, Writer
from aeordb.tree.blocks import Source, read_blocks
from aeordb.tree.chunking import Chunk, chunk_keys, compress_many, content_hashes, cut
from aeordb.tree.content_types import guess, is_compressed


class Stored(NamedTuple):
    """A stored file: its child entry, and the record as it was appended."""

    child: Child
    record: bytes


class NewFile(NamedTuple):
    """A small file, read whole. `path` is that in the database; times in milliseconds."""

    path: str
    content_type: str
    created: int
    updated: int
    data: bytes


class Prepared(NamedTuple):
    """Files hashed and compressed, ready to be appended: made on any thread, without a writer.

    `path_keys` go with `stored`; `size` is the sum of the files' bytes.
    """

    stored: list[Stored]
    path_keys: list[bytes]
    chunks: list[Chunk]
    size: int


def default_jobs() -> int:
    """How many threads are worth having: the processors that this process may use."""
    return len(os.sched_getaffinity(0))


def store_file(
    writer: Writer,
    path: str,
    source: Source,
    *,
    content_type: str | None = None,
    created: int | None = None,
    updated: int | None = None,
    metadata: bytes = b"",
    system: bool = False,
    jobs: int | None = None,
    pool: Executor | None = None,
    advance: Callable[[int], object] | None = None,
) -> Stored:
    """Appends a file's new chunks, and its record under the identity key; the tree is not changed.

    Args:
        source: bytes, or a binary file read from where it stands to its end. What is read is the
            content; the size is what was read, whatever the file's length was said to be.
        content_type: None guesses from the path.
        created, updated: milliseconds; None is now.
        system: marks the entries as system (FORMAT.md 3).
        jobs, pool: threads to use; `pool` is one that the caller has already.
        advance: told of bytes as they are stored.
    """
    stored = store_content(
        writer,
        path,
        source,
        content_type=content_type,
        created=created,
        updated=updated,
        metadata=metadata,
        system=system,
        jobs=jobs,
        pool=pool,
        advance=advance,
    )
    append_record(writer, stored, system=system)
    return stored


def store_content(
    writer: Writer,
    path: str,
    source: Source,
    *,
    content_type: str | None = None,
    created: int | None = None,
    updated: int | None = None,
    metadata: bytes = b"",
    system: bool = False,
    jobs: int | None = None,
    pool: Executor | None = None,
    advance: Callable[[int], object] | None = None,
) -> Stored:
    """`store_file` without its last step: the record is made, but not appended."""
    now = writer.now()
    content_type = guess(path) if content_type is None else content_type
    flags = c.ENTRY_FLAG_SYSTEM if system else 0
    compress = not is_compressed(content_type)
    hasher = blake3()
    keys = bytearray()
    size = 0
    for pieces, chunks in read_blocks(source, compress, jobs or default_jobs(), pool):
        append_chunks(writer, chunks, flags)
        before = size
        for piece, chunk in zip(pieces, chunks, strict=True):
            hasher.update(piece)
            keys += chunk.key
            size += chunk.length
        if advance is not None:
            advance(size - before)
    chunk_list = bytes(keys)
    created = now if created is None else created
    updated = now if updated is None else updated
    record = encode_file_record(
        path, content_type, size, created, updated, hasher.digest(), metadata, chunk_list
    )
    identity = file_identity_key(path, content_type, chunk_list)
    name = path[path.rfind("/") + 1 :]
    child = Child(
        c.KIND_FILE, identity, size, created, updated, name, content_type, virtual_time=now
    )
    return Stored(child, record)


def append_record(writer: Writer, stored: Stored, *, system: bool = False) -> None:
    """Appends a stored file's record under its identity key."""
    writer.append(
        c.ENTRY_FILE,
        stored.child.hash,
        stored.record,
        version=c.FILE_RECORD_VERSION,
        flags=c.ENTRY_FLAG_SYSTEM if system else 0,
    )


def append_chunks(writer: Writer, chunks: Sequence[Chunk], flags: int = 0) -> None:
    """Appends those chunks that the writer lacks, each once."""
    distinct = {chunk.key: chunk for chunk in chunks}
    present = writer.has_many(list(distinct))
    writer.append_many(
        [
            (c.ENTRY_CHUNK, c.VALUE_VERSION, flags, chunk.compression, chunk.key, chunk.value)
            for chunk, there in zip(distinct.values(), present, strict=True)
            if not there
        ]
    )


def store_small_files(writer: Writer, files: Sequence[NewFile]) -> list[Stored]:
    """`store_file` for many files at once, each under its identity and its path key."""
    prepared = prepare(files, writer.now())
    append_prepared(writer, prepared)
    return prepared.stored


def prepare(files: Sequence[NewFile], now: int) -> Prepared:
    """Hashes, compresses and encodes files; `now` becomes the virtual time of their listing."""
    chunks, owners = _prepare_chunks(files)
    hashes = content_hashes([file.data for file in files])
    identities = blake3_many(
        [
            file_identity_text(file.path, file.content_type, keys)
            for file, keys in zip(files, owners, strict=True)
        ]
    )
    stored = []
    total = 0
    for file, keys, content_hash, identity in zip(files, owners, hashes, identities, strict=True):
        path, content_type, created, updated, data = file
        size = len(data)
        total += size
        record = encode_file_record(
            path, content_type, size, created, updated, content_hash, b"", keys
        )
        name = path[path.rfind("/") + 1 :]
        child = Child(c.KIND_FILE, identity, size, created, updated, name, content_type, now, 0)
        stored.append(Stored(child, record))
    path_keys = file_path_keys([file.path for file in files])
    return Prepared(stored, path_keys, chunks, total)


def _prepare_chunks(files: Sequence[NewFile]) -> tuple[list[Chunk], list[bytes]]:
    """All chunks of the files, and for each file its chunks' keys, joined."""
    pieces: list[bytes] = []
    counts: list[int] = []
    raw: list[bool] = []
    skip: dict[str, bool] = {}
    for file in files:
        content_type = file.content_type
        compressed_already = skip.get(content_type)
        if compressed_already is None:
            compressed_already = skip[content_type] = is_compressed(content_type)
        own = cut(file.data)
        pieces += own
        raw += [compressed_already] * len(own)
        counts.append(len(own))
    keys = chunk_keys(pieces)
    packed = compress_many(
        [b"" if as_it_is else piece for piece, as_it_is in zip(pieces, raw, strict=True)]
    )
    chunks = [
        Chunk(key, c.COMPRESSION_NONE, piece, len(piece))
        if frame is None
        else Chunk(key, c.COMPRESSION_ZSTD, frame, len(piece))
        for key, piece, frame in zip(keys, pieces, packed, strict=True)
    ]
    owners: list[bytes] = []
    start = 0
    for count in counts:
        owners.append(keys[start] if count == 1 else b"".join(keys[start : start + count]))
        start += count
    return chunks, owners


def append_prepared(writer: Writer, prepared: Prepared) -> None:
    """Appends prepared files: new chunks, then each record under its identity and its path key."""
    append_chunks(writer, prepared.chunks)
    entries: list[NewEntry] = []
    for (child, record), path_key in zip(prepared.stored, prepared.path_keys, strict=True):
        entries.append((c.ENTRY_FILE, c.FILE_RECORD_VERSION, 0, 0, child.hash, record))
        entries.append((c.ENTRY_FILE, c.FILE_RECORD_VERSION, 0, 0, path_key, record))
    writer.append_many(entries)
