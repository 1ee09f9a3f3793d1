"""Log entries: the header before each value, and void entries (FORMAT.md 3, 5.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from aeordb.format import constants as c
from aeordb.format.errors import AlgorithmError, ChecksumError, FormatError, MagicError
from aeordb.native.hashing import Hasher

Bytes = bytes | bytearray | memoryview

ENTRY = struct.Struct("<4sBBBHBBIIqI32s")
ENTRY_FIELDS = (
    "magic",
    "entry version",
    "entry type",
    "flags",
    "hash algorithm",
    "compression",
    "encryption",
    "key length",
    "value length",
    "time",
    "total length",
    "integrity hash",
)
TIME_OFFSET = 19
_TIME = struct.Struct("<q")
assert ENTRY.size == c.ENTRY_HEADER_LENGTH


@dataclass(frozen=True, slots=True)
class EntryHeader:
    """The 63 bytes before an entry's key (FORMAT.md 3). `time` is in milliseconds.

    Lengths are in bytes and agree: total = 63 + key + value.
    """

    type: int
    version: int
    flags: int
    compression: int
    key_length: int
    value_length: int
    time: int
    total_length: int
    integrity: bytes

    @property
    def is_system(self) -> bool:
        """The system flag; often missing on AeorDB's system entries (FORMAT.md 7)."""
        return bool(self.flags & c.ENTRY_FLAG_SYSTEM)


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole entry whose integrity hash holds; `value` is as stored (perhaps compressed)."""

    header: EntryHeader
    key: bytes
    value: bytes


def integrity_hash(entry_type: int, key: bytes, value: Bytes) -> bytes:
    """BLAKE3 over type byte, key and value as stored."""
    hasher = Hasher()
    hasher.update(bytes((entry_type,)) + key)
    hasher.update(value)
    return hasher.digest()


def decode_entry_header(buffer: Bytes, offset: int = 0) -> EntryHeader:
    """The entry header at `offset`; FormatError unless every field is believable.

    Says nothing of what follows: that key and value lie in the file is the caller's to check.
    """
    if offset < 0 or len(buffer) - offset < c.ENTRY_HEADER_LENGTH:
        raise FormatError("entry header is cut", offset)
    (
        magic,
        version,
        entry_type,
        flags,
        algorithm,
        compression,
        encryption,
        key_length,
        value_length,
        time,
        total_length,
        integrity,
    ) = ENTRY.unpack_from(buffer, offset)
    if magic != c.ENTRY_MAGIC:
        raise MagicError(f"entry magic {magic.hex()}, expected {c.ENTRY_MAGIC.hex()}", offset)
    if entry_type not in c.ENTRY_TYPES:
        raise FormatError(f"entry type {entry_type}", offset + 5)
    if algorithm != c.HASH_BLAKE3:
        raise AlgorithmError(f"hash algorithm {algorithm}", offset + 7)
    if compression not in (c.COMPRESSION_NONE, c.COMPRESSION_ZSTD):
        raise AlgorithmError(f"compression {compression}", offset + 9)
    if encryption != c.ENCRYPTION_NONE:
        raise AlgorithmError(f"encryption {encryption}", offset + 10)
    if key_length > c.ENTRY_KEY_MAX:
        raise FormatError(f"key length {key_length}", offset + 11)
    if value_length > c.ENTRY_VALUE_MAX:
        raise FormatError(f"value length {value_length}", offset + 15)
    if total_length != c.ENTRY_HEADER_LENGTH + key_length + value_length:
        raise FormatError(
            f"total length {total_length}, but key {key_length} and value {value_length}",
            offset + 27,
        )
    return EntryHeader(
        entry_type,
        version,
        flags,
        compression,
        key_length,
        value_length,
        time,
        total_length,
        integrity,
    )


def decode_entry(buffer: Bytes, offset: int = 0) -> Entry:
    """The whole entry at `offset`, its integrity hash checked (ChecksumError)."""
    header = decode_entry_header(buffer, offset)
    if header.total_length > len(buffer) - offset:
        raise FormatError("entry is cut", offset)
    start = offset + c.ENTRY_HEADER_LENGTH
    middle = start + header.key_length
    key = bytes(buffer[start:middle])
    value = bytes(buffer[middle : offset + header.total_length])
    if integrity_hash(header.type, key, value) != header.integrity:
        raise ChecksumError(
            f"integrity hash of {c.ENTRY_NAMES[header.type]} does not match", offset
        )
    return Entry(header, key, value)


def encode_entry(
    entry_type: int,
    key: bytes,
    value: Bytes,
    time: int,
    *,
    version: int = c.VALUE_VERSION,
    flags: int = 0,
    compression: int = c.COMPRESSION_NONE,
) -> bytes:
    """One framed entry: header, key, value. The bulk path is native.framing; both agree."""
    if entry_type not in c.ENTRY_TYPES:
        raise FormatError(f"entry type {entry_type}")
    if len(key) > c.ENTRY_KEY_MAX or len(value) > c.ENTRY_VALUE_MAX:
        raise FormatError(f"entry too long: key {len(key)}, value {len(value)} bytes")
    total = c.ENTRY_HEADER_LENGTH + len(key) + len(value)
    try:
        head = ENTRY.pack(
            c.ENTRY_MAGIC,
            version,
            entry_type,
            flags,
            c.HASH_BLAKE3,
            compression,
            c.ENCRYPTION_NONE,
            len(key),
            len(value),
            time,
            total,
            integrity_hash(entry_type, key, value),
        )
    except struct.error as error:
        raise FormatError(f"entry header: {error}") from None
    return b"".join((head, key, value))


def set_times(frames: bytearray | memoryview, lengths: Iterable[int], first: int) -> None:
    """Gives framed entries that stand one after the other the times `first`, `first` + 1, ..

    No hash covers the time. `lengths` are their total lengths.
    """
    pack, at = _TIME.pack_into, TIME_OFFSET
    for number, length in enumerate(lengths):
        pack(frames, at, first + number)
        at += length


def encode_void(length: int, time: int = 0) -> bytes:
    """A void entry that covers exactly `length` bytes: empty key, a value of zeros."""
    if not c.VOID_MIN_LENGTH <= length <= c.VOID_MAX_LENGTH:
        raise FormatError(
            f"void of {length} bytes, allowed {c.VOID_MIN_LENGTH} to {c.VOID_MAX_LENGTH}"
        )
    return encode_entry(c.ENTRY_VOID, b"", bytes(length - c.ENTRY_HEADER_LENGTH), time)
