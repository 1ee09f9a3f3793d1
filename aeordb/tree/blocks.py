"""A source's bytes as blocks of a few chunks, hashed and compressed by a pool of threads, in order.

A few blocks are in work at once, so that a file of any length takes the same memory.
"""

from __future__ import annotations

import io
import os
import stat
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import BinaryIO, Final, NamedTuple

from aeordb.errors import UsageError
from aeordb.format import constants as c
from aeordb.format.keys import CHUNK_PREFIX
from aeordb.native.framing import ROOM
from aeordb.native.hashing import HASH_SIZE, PIECE_SIZE, TOP_SIZE, Hasher, hash_pieces
from aeordb.native.sample import samples
from aeordb.tree.chunking import Chunk, Framed, Piece, frame_chunks, pack_block

_BLOCK_CHUNKS: Final = 8
BLOCK_LENGTH: Final = _BLOCK_CHUNKS * c.CHUNK_LENGTH
"""What one task of the pool handles; files up to this length need no pool."""

# So many blocks wait for a thread, or are ready before their turn: the disk takes its time for some
# writes, and no thread shall run out of work meanwhile.
_AHEAD: Final = 8

_STRIDE: Final = ROOM + c.CHUNK_LENGTH
assert c.CHUNK_LENGTH == PIECE_SIZE

Source = BinaryIO | io.RawIOBase | bytes | bytearray | memoryview


class SourceError(OSError):
    """Reading the source failed: not the database."""


class Block(NamedTuple):
    """Pieces as they were read, and the chunks that they make.

    Where a thread of the pool made it: `framed` are the chunks as log entries, `tops` what the
    content hash needs of the whole pieces. All of it may lie in `room`, which is used again once
    the next block has been asked for.
    """

    pieces: Sequence[Piece]
    chunks: list[Chunk]
    framed: Framed | None = None
    tops: bytes = b""
    room: bytearray | None = None

    @property
    def is_full(self) -> bool:
        """Whether more may follow: a short block ends the source."""
        return len(self.pieces) == _BLOCK_CHUNKS and len(self.pieces[-1]) == c.CHUNK_LENGTH


class How(NamedTuple):
    """Whether to compress, and the flags of the entries."""

    compress: bool
    flags: int


def read_blocks(
    source: Source, how: How, jobs: int, pool: Executor | None, hasher: Hasher
) -> Iterator[Block]:
    """The source's pieces and their chunks, a block at a time, in order.

    `hasher` is fed with all pieces; it is done when the last block has been taken and the next is
    asked for. Raises SourceError.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    place = _regular_file(source)
    if place is None:
        yield from _from_stream(source, how, _Pipeline(jobs, pool, hasher))
    else:
        yield from _from_file(*place, how, _Pipeline(jobs, pool, hasher))


def _from_file(fd: int, offset: int, length: int, how: How, pipeline: _Pipeline) -> Iterator[Block]:
    """Blocks that the pool reads itself, each at its place.

    `length` is what the file is said to hold. The file ends at the first short block, whatever it
    holds behind that by then: it may grow or shrink while it is read.
    """
    start, end = offset, offset + length
    with pipeline:
        if length < BLOCK_LENGTH:
            block = pipeline.alone(_read_at(fd, offset), how)
            yield block
            if not block.is_full:
                return
            offset += BLOCK_LENGTH
        while True:
            # Past the stated end only one block at a time is tried.
            while pipeline.has_room() and (offset < end or pipeline.is_empty()):
                first = (offset - start) // c.CHUNK_LENGTH
                pipeline.submit(_read_and_frame, fd, offset, first, how, pipeline.spare())
                offset += BLOCK_LENGTH
            block = pipeline.next()
            yield block
            if not block.is_full:
                return


def _from_stream(source: BinaryIO | io.RawIOBase, how: How, pipeline: _Pipeline) -> Iterator[Block]:
    """Blocks that this thread reads and the pool packs."""
    pieces = _read_pieces(source)
    first = 0
    with pipeline:
        if not _is_full(pieces):
            yield pipeline.alone(pieces, how)
            return
        while pieces or not pipeline.is_empty():
            while pieces and pipeline.has_room():
                pipeline.submit(_copy_and_frame, pieces, first, how, pipeline.spare())
                first += len(pieces)
                pieces = _read_pieces(source) if _is_full(pieces) else []
            yield pipeline.next()


class _Pipeline:
    """Blocks on their way through a pool: a bounded number at once, taken out in order."""

    def __init__(self, jobs: int, pool: Executor | None, hasher: Hasher) -> None:
        self._jobs = jobs
        self._pool = pool
        self._owns_pool = pool is None
        self._hasher = hasher
        self._limit = jobs + _AHEAD
        self._pending: deque[Future[Block]] = deque()
        self._taken: Block | None = None
        self._spare: list[bytearray] = []

    def __enter__(self) -> _Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for what is running: the caller closes the file next."""
        for future in self._pending:
            future.cancel()
        wait(self._pending)
        if self._owns_pool and self._pool is not None:
            self._pool.shutdown()

    def alone(self, pieces: list[bytes], how: How) -> Block:
        """A block that no thread is needed for."""
        _update(self._hasher, pieces)
        return Block(pieces, pack_block(pieces, how.compress))

    def has_room(self) -> bool:
        return len(self._pending) < self._limit

    def is_empty(self) -> bool:
        return not self._pending

    def submit(self, work: Callable[..., Block], *args: object) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._jobs, "aeordb-ingest")
        self._pending.append(self._pool.submit(work, *args))

    def next(self) -> Block:
        """The next block; the caller is done with the one before."""
        if self._taken is not None and self._taken.room is not None:
            self._spare.append(self._taken.room)
        block = self._taken = self._pending.popleft().result()
        self._hasher.update_tops(block.tops)
        _update(self._hasher, block.pieces[len(block.tops) // TOP_SIZE :])
        return block

    def spare(self) -> bytearray:
        """Room for a block: that of one long since taken, if there is any."""
        return self._spare.pop() if self._spare else bytearray(_BLOCK_CHUNKS * _STRIDE)


def _update(hasher: Hasher, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        hasher.update(piece)


def _is_full(pieces: Sequence[bytes]) -> bool:
    return len(pieces) == _BLOCK_CHUNKS and len(pieces[-1]) == c.CHUNK_LENGTH


def _copy_and_frame(pieces: Sequence[bytes], first: int, how: How, room: bytearray) -> Block:
    """The block of pieces that have been read already; `first` are ahead of them."""
    slots = _slots(room, BLOCK_LENGTH)
    for slot, piece in zip(slots, pieces, strict=False):
        slot[: len(piece)] = piece
    return _frame(room, slots, sum(map(len, pieces)), first, how)


def _read_and_frame(fd: int, offset: int, first: int, how: How, room: bytearray) -> Block:
    """The block at `offset` of a regular file, read to where its entries are to be made."""
    slots = _slots(room, BLOCK_LENGTH)
    length = got = 0
    try:
        while length < BLOCK_LENGTH:
            number, start = divmod(length, c.CHUNK_LENGTH)
            got = os.preadv(fd, [slots[number][start:], *slots[number + 1 :]], offset + length)
            if not got:
                break
            length += got
    except OSError as error:
        raise SourceError(*error.args) from error
    return _frame(room, slots, length, first, how)


def _frame(room: bytearray, slots: list[memoryview], length: int, first: int, how: How) -> Block:
    """The block of the `length` bytes that lie in the `slots` of `room`; `first` pieces are ahead
    of it."""
    frames = room
    if length < BLOCK_LENGTH:
        frames = room[: length + ROOM * -(-length // c.CHUNK_LENGTH)]
        slots = _slots(frames, length)
    offsets = array("Q", range(ROOM, len(frames), _STRIDE))
    lengths = array("Q", map(len, slots))
    joined, tops = hash_pieces(frames, offsets, lengths, CHUNK_PREFIX, first)
    keys = [joined[at : at + HASH_SIZE] for at in range(0, len(joined), HASH_SIZE)]
    loose = samples(frames, offsets, lengths) if how.compress else None
    chunks = pack_block(slots, how.compress, keys, loose)
    framed = frame_chunks(chunks, how.flags, frames)
    return Block(slots, chunks, framed, tops[: length // c.CHUNK_LENGTH * TOP_SIZE], room)


def _slots(room: bytearray, length: int) -> list[memoryview]:
    """Where in `room` the pieces of a block of `length` bytes stand."""
    view = memoryview(room)
    return [
        view[at + ROOM : at + ROOM + min(c.CHUNK_LENGTH, length - start)]
        for at, start in zip(
            range(0, len(room), _STRIDE), range(0, length, c.CHUNK_LENGTH), strict=True
        )
    ]


def _read_at(fd: int, offset: int) -> list[bytes]:
    """The block at `offset` of a regular file; a short one is its end."""
    pieces: list[bytes] = []
    try:
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
    except OSError as error:
        raise SourceError(*error.args) from error
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
