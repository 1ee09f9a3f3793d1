"""Chunks out of a backup: each checked in the very buffer that is written (engine: import)."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn

import zstandard

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.entry import EntryHeader, decode_entry_header
from aeordb.format.errors import FormatError
from aeordb.format.keys import CHUNK_PREFIX
from aeordb.native.entries import verify_entries
from aeordb.native.faults import EntryFault, NativeFault
from aeordb.native.hashing import Hasher, blake3_slices
from aeordb.storage.view import View

CHUNK_MAX: Final = 64 << 20
"""A server that cuts files into longer chunks than this is not known; memory is bounded by it."""

_FRAME: Final = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH
# Larger ones, and those that state no size, are hashed piece by piece.
_AT_ONCE: Final = 1 << 20
# zstd makes at most 128 KiB of four bytes: so much of a frame fills no more than 16 MiB.
_PIECE: Final = 512
_WINDOW_MAX: Final = 32 << 20


Frames = bytearray | memoryview


class Item(NamedTuple):
    """A chunk to be copied: where it lies, how long it may be, the file that it is for.

    `content`: its raw bytes' BLAKE3, where it is the whole of a file.
    """

    key: bytes
    offset: int
    length: int
    limit: int
    path: str
    content: bytes | None


@dataclass(slots=True)
class Batch:
    """Chunks ready to be written: framed, checked, without system flags; perhaps in `room`."""

    frames: Frames
    keys: list[bytes]
    lengths: list[int]
    raw_lengths: list[int]
    newest: int
    room: bytearray | None = None


class _Local(threading.local):
    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_local = _Local()


def load(view: View, items: Sequence[Item], room: bytearray | None = None) -> Batch:
    """Reads and checks chunks: integrity hash, address, size, content. Runs on any thread.

    To `room` if they fit there: memory that was in use already has its pages. Raises DamagedError
    with the file's path.
    """
    for item in items:
        if item.length > CHUNK_MAX + _FRAME:
            _refuse(item, f"a chunk's entry of {item.length} bytes")
    lengths = [item.length for item in items]
    starts: list[int] = []
    at = 0
    for length in lengths:
        starts.append(at)
        at += length
    fits = room is not None and at <= len(room)
    frames: Frames = memoryview(room or b"")[:at] if fits else bytearray(at)
    _copy(view, items, starts, frames)
    offsets = array("Q", starts)
    try:
        bad = verify_entries(frames, offsets, array("Q", lengths))
    except NativeFault:
        raise AssertionError("memory that cannot be read") from None
    if bad:
        number, code = bad[0]
        _refuse(items[number], str(EntryFault(items[number].offset, code, items[number].key)))
    headers = [_header(frames, start, item) for start, item in zip(starts, items, strict=True)]
    raw_lengths = _addresses(frames, starts, headers, items)
    for start in starts:
        # Nothing that an unchecked byte says comes along: version and flags are ours.
        frames[start + 4] = c.VALUE_VERSION
        frames[start + 6] = 0
    newest = max((header.time for header in headers), default=0)
    return Batch(frames, [item.key for item in items], lengths, raw_lengths, newest, room)


def _copy(view: View, items: Sequence[Item], starts: Sequence[int], frames: Frames) -> None:
    """Fills `frames`; entries that lie side by side come in one call."""
    first = 0
    for number in range(1, len(items) + 1):
        before = items[number - 1]
        end = before.offset + before.length
        if number < len(items) and items[number].offset == end:
            continue
        offset = items[first].offset
        view.copy_into(frames, starts[first], offset, end - offset)
        first = number


def _header(frames: Frames, start: int, item: Item) -> EntryHeader:
    try:
        header = decode_entry_header(frames, start)
    except FormatError as fault:
        _refuse(item, fault.reason)
    key = bytes(frames[start + c.ENTRY_HEADER_LENGTH : start + _FRAME])
    if header.type != c.ENTRY_CHUNK or header.key_length != c.HASH_LENGTH or key != item.key:
        _refuse(item, "another entry stands where the index says that a chunk does")
    return header


def _addresses(
    frames: Frames, starts: Sequence[int], headers: Sequence[EntryHeader], items: Sequence[Item]
) -> list[int]:
    """Checks each chunk's address, size and content; their raw lengths."""
    plain = [i for i, header in enumerate(headers) if header.compression == c.COMPRESSION_NONE]
    offsets = array("Q", [starts[i] + _FRAME for i in plain])
    lengths = array("Q", [headers[i].value_length for i in plain])
    hashes = blake3_slices(frames, offsets, lengths, CHUNK_PREFIX)
    raw_lengths = [0] * len(items)
    whole: list[int] = []
    for place, i in enumerate(plain):
        raw_lengths[i] = lengths[place]
        if hashes[place * 32 : place * 32 + 32] != items[i].key:
            _refuse(items[i], "a chunk's bytes have another address")
        if lengths[place] > items[i].limit:
            _refuse(items[i], f"a chunk of {lengths[place]} bytes in a file of {items[i].limit}")
        if items[i].content is not None:
            whole.append(place)
    contents = blake3_slices(
        frames,
        array("Q", [offsets[place] for place in whole]),
        array("Q", [lengths[place] for place in whole]),
    )
    for number, place in enumerate(whole):
        item = items[plain[place]]
        if contents[number * 32 : number * 32 + 32] != item.content:
            _refuse(item, "the file's bytes do not have the content hash of its record")
    for i, header in enumerate(headers):
        if header.compression != c.COMPRESSION_NONE:
            start = starts[i] + _FRAME
            frame = memoryview(frames)[start : start + header.value_length]
            raw_lengths[i] = _check_frame(frame, items[i])
    return raw_lengths


def _check_frame(frame: memoryview, item: Item) -> int:
    """Checks a compressed chunk; its raw length. Memory: a few MiB, whatever the frame says."""
    hashers = [Hasher(CHUNK_PREFIX)] + ([Hasher()] if item.content is not None else [])
    length = 0
    try:
        for raw in _pieces(frame, item.limit):
            length += len(raw)
            if length > item.limit:
                raise FormatError(f"a zstd frame that holds more than the {item.limit} that fit")
            for hasher in hashers:
                hasher.update(raw)
    except (zstandard.ZstdError, FormatError) as error:
        _refuse(item, f"a chunk: {error}")
    if hashers[0].digest() != item.key:
        _refuse(item, "a chunk's bytes have another address")
    if item.content is not None and hashers[1].digest() != item.content:
        _refuse(item, "the file's bytes do not have the content hash of its record")
    return length


def _pieces(frame: memoryview, limit: int) -> Iterable[bytes]:
    """What one zstd frame holds: whole if it is small, else piece by piece."""
    stated = zstandard.frame_content_size(frame)
    if stated > limit:
        raise FormatError(f"a zstd frame of {stated} bytes, at most {limit} fit")
    if 0 <= stated <= _AT_ONCE:
        return (_local.zstd.decompress(frame, allow_extra_data=False),)
    return _stream(frame)


def _stream(frame: memoryview) -> Iterator[bytes]:
    stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX).decompressobj()
    at = 0
    while not stream.eof:
        if at >= len(frame):
            raise FormatError("the zstd frame is cut")
        yield stream.decompress(frame[at : at + _PIECE])
        at += _PIECE
    if stream.unused_data or at < len(frame):
        raise FormatError("bytes behind the zstd frame")


def _refuse(item: Item, reason: str) -> NoReturn:
    raise DamagedError(
        key=item.key,
        entry_type=c.ENTRY_CHUNK,
        offset=item.offset,
        reason=reason,
        path=item.path[:1_000],
    )
