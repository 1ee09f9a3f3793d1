"""Chunks of a file: cut, keyed, and compressed where it pays (FORMAT.md 3.1, engine.md 3)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import zstandard
from blake3 import blake3

from aeordb.format import constants as c
from aeordb.format.keys import CHUNK_PREFIX
from aeordb.native.hashing import blake3_many

COMPRESS_FROM: Final = 500
"""Shorter chunks stay as they are."""

ZSTD_LEVEL: Final = 1

# A chunk of random bytes costs zstd as much as a hash. After this many in one block that it could
# not shrink, a sample decides whether the next one is tried at all.
_FAILURES: Final = 2
_SAMPLE: Final = 4_096

# Not every build of zstandard has it.
_COMPRESS_AT_ONCE: Final = "multi_compress_to_buffer" in zstandard.backend_features

# Below this, many hashes in one call beat one call each.
_SMALL: Final = 32_768

_CHUNK_BASE: Final = blake3(CHUNK_PREFIX)


class Chunk(NamedTuple):
    """A chunk as it is stored; `length` is that of the raw bytes."""

    key: bytes
    compression: int
    value: bytes
    length: int


class _Local(threading.local):
    """One compressor per thread: they keep their tables from call to call."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL)


_local = _Local()


def saves_enough(raw_length: int, packed_length: int) -> bool:
    """Whether compression is kept: it must save at least an eighth."""
    return packed_length * 8 <= raw_length * 7


def chunk_keys(pieces: Sequence[bytes]) -> list[bytes]:
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


def pack_block(pieces: Iterable[bytes], compress: bool) -> list[Chunk]:
    """The chunks of consecutive pieces of one file.

    What is kept compressed depends on the pieces alone, not on other blocks or threads. A piece
    that equals the one before it is neither hashed nor compressed again.
    """
    chunks: list[Chunk] = []
    previous = b""
    failures = 0
    for raw in pieces:
        if raw == previous:
            chunks.append(chunks[-1])
            continue
        hasher = _CHUNK_BASE.copy()
        hasher.update(raw)
        packed = None
        if compress and (failures < _FAILURES or _looks_compressible(raw)):
            packed = compressed(raw)
            failures = 0 if packed is not None else failures + 1
        if packed is None:
            chunks.append(Chunk(hasher.digest(), c.COMPRESSION_NONE, raw, len(raw)))
        else:
            chunks.append(Chunk(hasher.digest(), c.COMPRESSION_ZSTD, packed, len(raw)))
        previous = raw
    return chunks


def compressed(raw: bytes) -> bytes | None:
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


def _looks_compressible(raw: bytes) -> bool:
    """Tries three short samples: from the start, the middle and the end."""
    middle = len(raw) // 2
    sample = raw[:_SAMPLE] + raw[middle : middle + _SAMPLE] + raw[-_SAMPLE:]
    return saves_enough(len(sample), len(_local.zstd.compress(sample)))
