"""The hot tail: the journal at the file's end (FORMAT.md 5), and our padded region for it (5.1)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aeordb.format import constants as c
from aeordb.format.errors import ChecksumError, FormatError, MagicError, VersionError
from aeordb.format.page import IndexRecord

Bytes = bytes | bytearray | memoryview

HOT_TAIL = struct.Struct("<5sBIII")
HOT_TAIL_FIELDS = ("magic", "format version", "write count", "void count", "CRC-32")
HOT_TAIL_RECORD = struct.Struct("<B32sBQI")
HOT_TAIL_RECORD_FIELDS = ("mark", "key", "type and flags", "offset", "total length")
HOT_TAIL_VOID = struct.Struct("<BQI")
HOT_TAIL_VOID_FIELDS = ("mark", "offset", "size")
_CRC_OFFSET = c.HOT_TAIL_HEADER_LENGTH - 4
assert HOT_TAIL.size == c.HOT_TAIL_HEADER_LENGTH
assert HOT_TAIL_RECORD.size == c.HOT_TAIL_RECORD_LENGTH
assert HOT_TAIL_VOID.size == c.HOT_TAIL_VOID_LENGTH

Void = tuple[int, int]
"""A free range of the log: offset and length in bytes."""


@dataclass(frozen=True, slots=True)
class HotTail:
    """A decoded hot tail: write records as stored (46 bytes each), voids as (offset, length)."""

    records: bytes
    void_records: bytes

    @property
    def record_count(self) -> int:
        """How many write records there are."""
        return len(self.records) // c.HOT_TAIL_RECORD_LENGTH

    @property
    def length(self) -> int:
        """The hot tail's length in the file, without padding."""
        return hot_tail_length(self.record_count, self.void_count)

    @property
    def void_count(self) -> int:
        """How many void records there are."""
        return len(self.void_records) // c.HOT_TAIL_VOID_LENGTH

    @property
    def voids(self) -> tuple[Void, ...]:
        """The free ranges, as (offset, length)."""
        return decode_voids(self.void_records)

    def index_records(self) -> Iterator[IndexRecord]:
        """The write records, in order."""
        return decode_tail_records(self.records)


def hot_tail_length(record_count: int, void_count: int) -> int:
    """18 + 46 w + 13 v bytes."""
    return (
        c.HOT_TAIL_HEADER_LENGTH
        + record_count * c.HOT_TAIL_RECORD_LENGTH
        + void_count * c.HOT_TAIL_VOID_LENGTH
    )


def region_length(record_count: int, void_count: int) -> int:
    """Least length of our region for such a hot tail: a void entry must fit over it later."""
    return max(c.VOID_MIN_LENGTH, hot_tail_length(record_count, void_count))


def encode_tail_record(key: bytes, kv: int, offset: int, length: int) -> bytes:
    """One write record's 46 bytes."""
    if len(key) != c.HASH_LENGTH:
        raise FormatError(f"index key of {len(key)} bytes, expected {c.HASH_LENGTH}")
    try:
        return HOT_TAIL_RECORD.pack(c.HOT_TAIL_RECORD_MARK, key, kv, offset, length)
    except struct.error as error:
        raise FormatError(f"index record: {error}") from None


def encode_tail_records(records: Iterable[IndexRecord]) -> bytes:
    """Many write records, joined."""
    return b"".join(encode_tail_record(*record) for record in records)


def decode_tail_records(records: Bytes) -> Iterator[IndexRecord]:
    """The index records in joined write records (checked by decode_hot_tail)."""
    return (IndexRecord(*row[1:]) for row in HOT_TAIL_RECORD.iter_unpack(records))


def encode_void_record(offset: int, length: int) -> bytes:
    """One void record's 13 bytes."""
    try:
        return HOT_TAIL_VOID.pack(c.HOT_TAIL_RECORD_MARK, offset, length)
    except struct.error as error:
        raise FormatError(f"void record: {error}") from None


def decode_voids(records: Bytes) -> tuple[Void, ...]:
    """The free ranges in joined void records."""
    return tuple((start, size) for _, start, size in HOT_TAIL_VOID.iter_unpack(records))


def encode_hot_tail(records: Bytes, voids: Sequence[Void], region: int = 0) -> bytes:
    """A hot tail of joined write records and voids; zeros behind it up to `region` bytes."""
    count, rest = divmod(len(records), c.HOT_TAIL_RECORD_LENGTH)
    if rest:
        raise FormatError(f"write records of {len(records)} bytes")
    rows = b"".join(encode_void_record(*void) for void in voids)
    void_count = len(voids)
    if count > c.U32_MAX or void_count > c.U32_MAX:
        raise FormatError("too many hot tail records")
    head = HOT_TAIL.pack(c.HOT_TAIL_MAGIC, c.HOT_TAIL_VERSION, count, void_count, 0)[:_CRC_OFFSET]
    padding = max(0, region - hot_tail_length(count, void_count))
    crc = zlib.crc32(head).to_bytes(4, "little")
    return b"".join((head, crc, records, rows, bytes(padding)))


def decode_hot_tail(buffer: Bytes, offset: int = 0) -> HotTail:
    """The hot tail at `offset`; what follows it is not looked at.

    Checks magic, version, header CRC, that all records lie in the buffer (before any is read), and
    their marks. Whether offsets lie in the log is the caller's to check.
    """
    if offset < 0 or len(buffer) - offset < c.HOT_TAIL_HEADER_LENGTH:
        raise FormatError("hot tail is cut", offset)
    magic, version, record_count, void_count, crc = HOT_TAIL.unpack_from(buffer, offset)
    if magic != c.HOT_TAIL_MAGIC:
        raise MagicError(f"hot tail magic {magic.hex()}, expected {c.HOT_TAIL_MAGIC.hex()}", offset)
    found = zlib.crc32(buffer[offset : offset + _CRC_OFFSET])
    if found != crc:
        raise ChecksumError(f"hot tail CRC {crc:08x}, computed {found:08x}", offset + _CRC_OFFSET)
    if version != c.HOT_TAIL_VERSION:
        raise VersionError(f"hot tail version {version}, only {c.HOT_TAIL_VERSION} is supported")
    if hot_tail_length(record_count, void_count) > len(buffer) - offset:
        raise FormatError(
            f"hot tail of {record_count} writes and {void_count} voids is cut: "
            f"{len(buffer) - offset} bytes are left",
            offset,
        )
    start = offset + c.HOT_TAIL_HEADER_LENGTH
    middle = start + record_count * c.HOT_TAIL_RECORD_LENGTH
    end = middle + void_count * c.HOT_TAIL_VOID_LENGTH
    records = bytes(buffer[start:middle])
    rows = bytes(buffer[middle:end])
    _check_marks(records, c.HOT_TAIL_RECORD_LENGTH, start)
    _check_marks(rows, c.HOT_TAIL_VOID_LENGTH, middle)
    return HotTail(records, rows)


def _check_marks(rows: bytes, length: int, offset: int) -> None:
    marks = rows[::length]
    good = marks.count(c.HOT_TAIL_RECORD_MARK)
    if good != len(marks):
        bad = next(i for i, mark in enumerate(marks) if mark != c.HOT_TAIL_RECORD_MARK)
        raise FormatError(f"hot tail record marked {marks[bad]}, expected 1", offset + bad * length)


def pack_tail_records(
    keys: Sequence[bytes], kinds: Sequence[int], offsets: Sequence[int], lengths: Sequence[int]
) -> bytes:
    """Write records of columns: keys of 32 bytes, type and flags, offsets, total lengths."""
    marks = (c.HOT_TAIL_RECORD_MARK,) * len(keys)
    return b"".join(map(HOT_TAIL_RECORD.pack, marks, keys, kinds, offsets, lengths))


def mark_deleted(records: Bytes) -> bytes:
    """The same write records with the deleted flag set."""
    marked = bytearray(records)
    at = slice(1 + c.HASH_LENGTH, None, c.HOT_TAIL_RECORD_LENGTH)
    marked[at] = bytes(kind | c.KV_DELETED for kind in marked[at])
    return bytes(marked)
