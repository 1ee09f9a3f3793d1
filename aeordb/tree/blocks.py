"""A source's bytes as blocks of a few chunks, hashed and compressed by a pool of threads, in order.

A few blocks are in work at once, so that a file of any length takes the same memory.
"""

from __future__ import annotations

import io
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import BinaryIO, Final

from blake3 import blake3

from aeordb.errors import UsageError
from aeordb.format import constants as c
from aeordb.tree.chunking import Chunk, cut, pack_block

_BLOCK_CHUNKS: Final = 8
BLOCK_LENGTH: Final = _BLOCK_CHUNKS * c.CHUNK_LENGTH
"""What one task of the pool handles; files up to this length need no pool."""

Block = tuple[list[bytes], list[Chunk]]
"""The pieces as read, and the chunks that they make."""

Source = BinaryIO | io.RawIOBase | bytes | bytearray | memoryview


class SourceError(OSError):
    """Reading the source failed: not the database."""


def read_blocks(
    source: Source, compress: bool, jobs: int, pool: Executor | None, hasher: blake3
) -> Iterator[Block]:
    """The source's pieces and their chunks, a block at a time, in order.

    `hasher` is fed with all pieces; it is done when the last block has been taken and the next is
    asked for. Raises SourceError.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) <= BLOCK_LENGTH:
            pieces = cut(bytes(source))
            _update(hasher, pieces)
            yield _pack(pieces, compress)
            return
        source = io.BytesIO(source)
    place = _regular_file(source)
    if place is None:
        yield from _from_stream(source, compress, _Pipeline(jobs, pool, hasher))
    else:
        yield from _from_file(*place, compress, _Pipeline(jobs, pool, hasher))


def _from_file(
    fd: int, offset: int, length: int, compress: bool, pipeline: _Pipeline
) -> Iterator[Block]:
    """Blocks that the pool reads itself, each at its place.

    `length` is what the file is said to hold. The file ends at the first short block, whatever it
    holds behind that by then: it may grow or shrink while it is read.
    """
    end = offset + length
    with pipeline:
        if length < BLOCK_LENGTH:
            block = pipeline.alone(_read_and_pack(fd, offset, compress))
            yield block
            if not _is_full(block[0]):
                return
            offset += BLOCK_LENGTH
        while True:
            # Past the stated end only one block at a time is tried.
            while pipeline.has_room() and (offset < end or pipeline.is_empty()):
                pipeline.submit(_read_and_pack, fd, offset, compress)
                offset += BLOCK_LENGTH
            block = pipeline.next()
            yield block
            if not _is_full(block[0]):
                return


def _from_stream(
    source: BinaryIO | io.RawIOBase, compress: bool, pipeline: _Pipeline
) -> Iterator[Block]:
    """Blocks that this thread reads and the pool packs."""
    pieces = _read_pieces(source)
    with pipeline:
        if not _is_full(pieces):
            yield pipeline.alone(_pack(pieces, compress))
            return
        while pieces or not pipeline.is_empty():
            while pieces and pipeline.has_room():
                pipeline.submit(_pack, pieces, compress)
                pieces = _read_pieces(source) if _is_full(pieces) else []
            yield pipeline.next()


class _Pipeline:
    """Blocks on their way through a pool: a bounded number at once, taken out in order.

    Those taken out are hashed in their order too, by a thread of its own: the caller is busy
    enough with writing them.
    """

    def __init__(self, jobs: int, pool: Executor | None, hasher: blake3) -> None:
        self._jobs = jobs
        self._pool = pool
        self._owns_pool = pool is None
        self._hasher = hasher
        self._hash_thread: ThreadPoolExecutor | None = None
        self._room = jobs + 2
        self._pending: deque[Future[Block]] = deque()
        self._hashing: deque[Future[None]] = deque()

    def __enter__(self) -> _Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for what is running: the caller closes the file next."""
        for future in self._pending:
            future.cancel()
        wait(self._pending)
        if self._hash_thread is not None:
            self._hash_thread.shutdown()
        if self._owns_pool and self._pool is not None:
            self._pool.shutdown()

    def alone(self, block: Block) -> Block:
        """Hashes a block that no thread was needed for."""
        _update(self._hasher, block[0])
        return block

    def has_room(self) -> bool:
        return len(self._pending) < self._room

    def is_empty(self) -> bool:
        return not self._pending

    def submit(self, work: Callable[..., Block], *args: object) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._jobs, "aeordb-ingest")
        self._pending.append(self._pool.submit(work, *args))

    def next(self) -> Block:
        block = self._pending.popleft().result()
        if self._hash_thread is None:
            self._hash_thread = ThreadPoolExecutor(1, "aeordb-hash")
        self._hashing.append(self._hash_thread.submit(_update, self._hasher, block[0]))
        while len(self._hashing) > self._room:
            self._hashing.popleft().result()
        return block


def _update(hasher: blake3, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        hasher.update(piece)


def _is_full(pieces: Sequence[bytes]) -> bool:
    return len(pieces) == _BLOCK_CHUNKS and len(pieces[-1]) == c.CHUNK_LENGTH


def _pack(pieces: list[bytes], compress: bool) -> Block:
    return pieces, pack_block(pieces, compress)


def _read_and_pack(fd: int, offset: int, compress: bool) -> Block:
    try:
        pieces = _read_at(fd, offset)
    except OSError as error:
        raise SourceError(*error.args) from error
    return _pack(pieces, compress)


def _read_at(fd: int, offset: int) -> list[bytes]:
    """The block at `offset` of a regular file; a short one is its end."""
    pieces: list[bytes] = []
    for start in range(offset, offset + BLOCK_LENGTH, c.CHUNK_LENGTH):
        piece = os.pread(fd, c.CHUNK_LENGTH, start)
        while 0 < len(piece) < c.CHUNK_LENGTH:
            more = os.pread(fd, c.CHUNK_LENGTH - len(piece), start + len(piece))
            if not more:
                break
            piece += more
        if piece:
            pieces.append(piece)
        if len(piece) < c.CHUNK_LENGTH:
            break
    return pieces


def _read_pieces(source: BinaryIO | io.RawIOBase) -> list[bytes]:
    """The next block of a stream; a short one is its end."""
    pieces: list[bytes] = []
    while len(pieces) < _BLOCK_CHUNKS:
        parts: list[bytes] = []
        missing = c.CHUNK_LENGTH
        while missing:
            try:
                part = source.read(missing)
            except OSError as error:
                raise SourceError(*error.args) from error
            if not isinstance(part, bytes):
                raise UsageError(_not_binary(part))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        if parts:
            pieces.append(parts[0] if len(parts) == 1 else b"".join(parts))
        if missing:
            break
    return pieces


def _not_binary(part: object) -> str:
    if part is None:
        return "the source is a non-blocking file that has nothing to read yet"
    return f"the source gives {type(part).__name__}: open it in binary mode"


def _regular_file(source: BinaryIO | io.RawIOBase) -> tuple[int, int, int] | None:
    """(descriptor, offset, bytes left) of a regular file on disk, None of any other source.

    Only the plain classes: a wrapper's descriptor (gzip's, say) holds other bytes than it reads.
    """
    raw = source.raw if type(source) is io.BufferedReader else source
    if type(raw) is not io.FileIO:
        return None
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    offset = source.tell()
    return raw.fileno(), offset, max(0, status.st_size - offset)
