"""Chunks of a file: cut, keyed, and compressed where it pays (FORMAT.md 3.1, engine.md 3)."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

import zstandard
from blake3 import blake3

from aeordb.format import constants as c
from aeordb.format.keys import CHUNK_PREFIX
from aeordb.native.framing import ROOM, frame_entries, frame_in_place
from aeordb.native.hashing import blake3_many
from aeordb.native.sample import samples

COMPRESS_FROM: Final = 500
"""Shorter chunks stay as they are."""

ZSTD_LEVEL: Final = 1

# Not every build of zstandard has it.
_COMPRESS_AT_ONCE: Final = "multi_compress_to_buffer" in zstandard.backend_features

# Below this, many hashes in one call beat one call each.
_SMALL: Final = 32_768

_CHUNK_BASE: Final = blake3(CHUNK_PREFIX)


Piece = bytes | memoryview
"""A chunk's raw bytes."""


class Chunk(NamedTuple):
    """A chunk as it is stored; `length` is that of the raw bytes."""

    key: bytes
    compression: int
    value: Piece
    length: int


class Framed(NamedTuple):
    """Chunks as log entries one after the other, each key once; `lengths` are total lengths."""

    frames: bytearray
    keys: list[bytes]
    lengths: list[int]


class _Local(threading.local):
    """One compressor per thread: they keep their tables from call to call."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL)


_local = _Local()


def saves_enough(raw_length: int, packed_length: int) -> bool:
    """Whether compression is kept: it must save at least an eighth."""
    return packed_length * 8 <= raw_length * 7


def chunk_keys(pieces: Sequence[Piece]) -> list[bytes]:
    """The keys of raw chunks, in their order."""
    if len(pieces) > 1 and sum(map(len, pieces)) < _SMALL * len(pieces):
        return blake3_many(pieces, CHUNK_PREFIX)
    keys = []
    for raw in pieces:
        hasher = _CHUNK_BASE.copy()
        hasher.update(raw)
        keys.append(hasher.digest())
    return keys


def content_hashes(datas: Sequence[bytes]) -> list[bytes]:
    """The content hashes of whole files, in their order."""
    if len(datas) > 1 and sum(map(len, datas)) < _SMALL * len(datas):
        return blake3_many(datas)
    return [blake3(data).digest() for data in datas]


def cut(data: bytes) -> list[bytes]:
    """The pieces that a whole file is cut into; none of an empty one."""
    if len(data) <= c.CHUNK_LENGTH:
        return [data] if data else []
    step = c.CHUNK_LENGTH
    return [data[start : start + step] for start in range(0, len(data), step)]


def pack_block(
    pieces: Sequence[Piece],
    compress: bool,
    keys: Sequence[bytes] | None = None,
    loose: Sequence[int] | None = None,
) -> list[Chunk]:
    """The chunks of consecutive pieces of one file.

    `keys` of the pieces, and which are `loose` (native/sample.h), where they are known already.

    What is kept compressed depends on the pieces alone, not on other blocks or threads. Of equal
    pieces one is compressed.
    """
    keys = chunk_keys(pieces) if keys is None else keys
    # Noise costs zstd as much as a hash. After a piece that it could not shrink, samples of the
    # next one in the block decide whether that is tried at all.
    first = compressed(pieces[0]) if compress and pieces else None
    if first is None and (not compress or (loose is not None and not any(loose[1:]))):
        return [
            Chunk(key, c.COMPRESSION_NONE, raw, len(raw))
            for raw, key in zip(pieces, keys, strict=True)
        ]
    chunks: dict[bytes, Chunk] = {}
    order: list[Chunk] = []
    in_vain = False
    for number, (raw, key) in enumerate(zip(pieces, keys, strict=True)):
        chunk = chunks.get(key)
        if chunk is None:
            if number == 0:
                packed = first
            elif in_vain and not (loose[number] if loose else _is_loose(raw)):
                packed = None
            else:
                packed = compressed(raw)
            in_vain = packed is None
            if packed is None:
                chunk = Chunk(key, c.COMPRESSION_NONE, raw, len(raw))
            else:
                chunk = Chunk(key, c.COMPRESSION_ZSTD, packed, len(raw))
            chunks[key] = chunk
        order.append(chunk)
    return order


def frame_chunks(chunks: Sequence[Chunk], flags: int, room: bytearray | None = None) -> Framed:
    """The chunks as log entries without a time.

    `room`: what holds the raw pieces, each behind the `ROOM` bytes that the framing needs. Where
    all are stored as they are, the entries are made there and nothing is copied.
    """
    distinct = {chunk.key: chunk for chunk in chunks}
    count = len(distinct)
    values = [chunk.value for chunk in distinct.values()]
    compressions = bytes(chunk.compression for chunk in distinct.values())
    head = (
        bytes((c.ENTRY_CHUNK,)) * count,
        bytes((c.VALUE_VERSION,)) * count,
        bytes((flags,)) * count,
    )
    keys = b"".join(distinct)
    if room is not None and count == len(chunks) and not any(compressions):
        frames = room
        frame_in_place(frames, *head, compressions, keys, array("Q", map(len, values)), 0)
    else:
        frames = frame_entries(*head, compressions, keys, values, 0)
    return Framed(frames, list(distinct), [ROOM + len(value) for value in values])


def compressed(raw: Piece) -> bytes | None:
    """One zstd frame of `raw`, or None where that does not pay."""
    if len(raw) < COMPRESS_FROM:
        return None
    packed = _local.zstd.compress(raw)
    return packed if saves_enough(len(raw), len(packed)) else None


def compress_many(pieces: Sequence[bytes]) -> list[bytes | None]:
    """`compressed` of each piece, in one call without the interpreter's lock."""
    wanted: list[bytes | bytearray | memoryview] = [
        raw for raw in pieces if len(raw) >= COMPRESS_FROM
    ]
    if len(wanted) < 2 or not _COMPRESS_AT_ONCE:
        return [compressed(raw) for raw in pieces]
    frames = iter(_local.zstd.multi_compress_to_buffer(wanted))
    results: list[bytes | None] = []
    for raw in pieces:
        frame = next(frames) if len(raw) >= COMPRESS_FROM else None
        keep = frame is not None and saves_enough(len(raw), len(frame))
        results.append(frame.tobytes() if frame is not None and keep else None)
    return results


def _is_loose(raw: Piece) -> bool:
    return bool(samples(raw, array("Q", [0]), array("Q", [len(raw)]))[0])
