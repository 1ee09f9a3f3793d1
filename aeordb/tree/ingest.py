"""Files into the store: chunks appended once each, and the file record that lists them.

They stream block by block through a pool of threads (engine.md section 3). Many small files at once
are the business of `small_files`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import accumulate, compress
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.keys import file_identity_key
from aeordb.format.nodes import Child
from aeordb.format.records import encode_file_record
from aeordb.native.hashing import Hasher, blake3
from aeordb.storage.protocols import BulkWriter, Writer
from aeordb.tree.blocks import BLOCK_LENGTH, How, Source, read_blocks
from aeordb.tree.chunking import Chunk, Framed, cut, pack_block
from aeordb.tree.content_types import guess, is_compressed


class Stored(NamedTuple):
    """A stored file: its child entry, the record as it was appended, and the hash of its bytes."""

    child: Child
    record: bytes
    content_hash: bytes


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
    how = How(not is_compressed(content_type), c.ENTRY_FLAG_SYSTEM if system else 0)
    if isinstance(source, bytes | bytearray | memoryview) and len(source) <= BLOCK_LENGTH:
        # What one task of the pool would do needs no pool.
        data = bytes(source)
        chunks = pack_block(cut(data), how.compress)
        append_chunks(writer, chunks, how.flags)
        chunk_list = b"".join([chunk.key for chunk in chunks])
        size, content_hash = len(data), blake3(data)
        if advance is not None:
            advance(size)
    else:
        hasher = Hasher()
        keys = bytearray()
        size = 0
        bulk = writer if isinstance(writer, BulkWriter) else None
        for block in read_blocks(source, how, jobs or default_jobs(), pool, hasher):
            if block.framed is not None and bulk is not None:
                append_framed(bulk, block.framed)
            else:
                append_chunks(writer, block.chunks, how.flags)
            before = size
            for chunk in block.chunks:
                keys += chunk.key
                size += chunk.length
            if advance is not None:
                advance(size - before)
        chunk_list, content_hash = bytes(keys), hasher.digest()
    created = now if created is None else created
    updated = now if updated is None else updated
    record = encode_file_record(
        path, content_type, size, created, updated, content_hash, metadata, chunk_list
    )
    identity = file_identity_key(path, content_type, chunk_list)
    name = path[path.rfind("/") + 1 :]
    child = Child(
        c.KIND_FILE, identity, size, created, updated, name, content_type, virtual_time=now
    )
    return Stored(child, record, content_hash)


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
    writer.append_new(
        [
            # What lies in a block's room does not stay there.
            (c.ENTRY_CHUNK, c.VALUE_VERSION, flags, compression, key, bytes(value))
            for key, compression, value, _ in chunks
        ]
    )


def append_framed(writer: BulkWriter, framed: Framed) -> None:
    """Appends those of the framed chunks that the writer lacks."""
    frames, keys, lengths = framed
    present = writer.has_many(keys)
    if any(present):
        missing = [not there for there in present]
        view = memoryview(frames)
        ends = accumulate(lengths)
        parts = [view[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        frames = bytearray().join(compress(parts, missing))
        keys, lengths = list(compress(keys, missing)), list(compress(lengths, missing))
    if keys:
        writer.append_framed(frames, keys, [c.KV_CHUNK] * len(keys), lengths)
