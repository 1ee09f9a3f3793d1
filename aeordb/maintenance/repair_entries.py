"""Which entries are what they say: integrity hash, and the address that the content gives
(FORMAT.md, entries). What an entry's header lost is told by its hashes, so that it can be mended.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import zstandard

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import (
    FILE_CONTENT_PREFIX,
    FILE_PATH_PREFIX,
    SYMLINK_PATH_PREFIX,
    chunk_key,
    fork_key,
    node_key,
    snapshot_key,
    symlink_content_key,
    symlink_identity_key,
    system_chunk_key,
)
from aeordb.format.nodes import decode_node
from aeordb.format.records import ForkRecord, SnapshotRecord, SymlinkRecord
from aeordb.native.faults import NativeFault, NodeFault
from aeordb.native.hashing import blake3
from aeordb.native.nodes import file_fields
from aeordb.tree.reading import decompress

BAD: Final = 0
CONTENT: Final = 1
"""Keyed by its content or name: what versions are made of."""
PLACE: Final = 2
"""Under the key of a path, which can be made anew."""
DELETED: Final = 3
"""A deletion, or what a deletion hides."""

FRAME: Final = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH
_TIME_AT: Final = 19
_HASH_AT: Final = 31
_TYPES: Final = tuple(kind for kind in c.ENTRY_TYPES if kind != c.ENTRY_VOID)


class Made(NamedTuple):
    """An entry that is written anew; `time` in milliseconds, `offset` where it stood, if it did."""

    type: int
    version: int
    flags: int
    compression: int
    key: bytes
    value: bytes
    time: int
    offset: int = 0


def time_of(image: bytes) -> int:
    """The time in an entry's header, in milliseconds."""
    return int.from_bytes(image[_TIME_AT : _TIME_AT + 8], "little", signed=True)


def classify(kind: int, version: int, compression: int, key: bytes, value: bytes) -> int:
    """What an entry whose integrity hash holds is; BAD if its key is not the one that its value
    gives, or its value is none."""
    if kind == c.ENTRY_DELETION:
        return DELETED
    if kind != c.ENTRY_FILE and version != c.VALUE_VERSION:
        return BAD
    if kind == c.ENTRY_DIRECTORY:
        return _classify_directory(key, value) if not compression else BAD
    if is_own(kind, version, key, value):
        return CONTENT
    try:
        keys = addresses(kind, version, compression, value)
    except (FormatError, NodeFault, UnicodeDecodeError, zstandard.ZstdError):
        return BAD
    if key not in keys:
        return BAD
    is_place = kind in (c.ENTRY_FILE, c.ENTRY_SYMLINK) and key != keys[0]
    return PLACE if is_place else CONTENT


def is_own(kind: int, version: int, key: bytes, value: bytes) -> bool:
    """Whether it is one of AeorDB's own records (FORMAT.md 7): kept, whatever they say."""
    if kind != c.ENTRY_FILE or version != c.FILE_RECORD_VERSION_OLD:
        return False
    try:
        file_fields(value, version)
        return False
    except NodeFault:
        pass
    try:
        # Of a file's record perhaps only the version byte was hit.
        return key not in addresses(kind, c.FILE_RECORD_VERSION, 0, value)
    except (FormatError, NodeFault, UnicodeDecodeError):
        return True


def _classify_directory(key: bytes, value: bytes) -> int:
    if len(value) == c.HASH_LENGTH:
        return PLACE
    try:
        decode_node(value)
    except FormatError:
        return BAD
    return CONTENT if node_key(value) == key else PLACE


def addresses(kind: int, version: int, compression: int, value: bytes) -> list[bytes]:
    """The keys that a value may stand under, the one that listings name first.

    Raises FormatError, NodeFault, UnicodeDecodeError or zstandard.ZstdError for what is no value.
    """
    if compression and kind != c.ENTRY_CHUNK:
        raise FormatError("only chunks are compressed")
    if kind == c.ENTRY_CHUNK:
        raw = decompress(value, c.ENTRY_VALUE_MAX) if compression else value
        return [chunk_key(raw), system_chunk_key(raw)]
    if kind == c.ENTRY_FILE:
        path, content_type, *_, chunk_keys = file_fields(value, version)
        path.decode()
        return [
            blake3(b"fileid:%b\0%b\0%b" % (path, content_type, chunk_keys)),
            blake3(FILE_PATH_PREFIX + path),
            blake3(FILE_CONTENT_PREFIX + value),
        ]
    if kind == c.ENTRY_SYMLINK:
        link = SymlinkRecord.decode(value)
        return [
            symlink_identity_key(link.path, link.target),
            blake3(SYMLINK_PATH_PREFIX + link.path.encode()),
            symlink_content_key(value),
        ]
    if kind == c.ENTRY_DIRECTORY:
        if len(value) == c.HASH_LENGTH:
            return []
        decode_node(value)
        return [node_key(value)]
    if kind == c.ENTRY_SNAPSHOT:
        return [snapshot_key(SnapshotRecord.decode(value).name)]
    if kind == c.ENTRY_FORK:
        return [fork_key(ForkRecord.decode(value).name)]
    return []


def mend(image: bytes, latest: int) -> Made | None:
    """The entry that these bytes were before its header, its key or its integrity hash was hit;
    None where neither of its two hashes speaks for what is left.

    `latest`: no time in a header is believed that is later (milliseconds).
    """
    if len(image) < FRAME:
        return None
    stored, key, value = (
        image[_HASH_AT : _HASH_AT + 32],
        image[_HASH_AT + 32 : FRAME],
        image[FRAME:],
    )
    time = time_of(image)
    time = time if 0 < time <= latest else 0
    flags = image[6] & c.ENTRY_FLAG_SYSTEM
    first = image[5]
    for kind in sorted(_TYPES, key=lambda kind: kind != first):
        kept = blake3(bytes((kind,)) + key + value) == stored
        for version, compression in _layouts(kind, image[4], image[9]):
            if kept:
                if classify(kind, version, compression, key, value) != BAD:
                    return Made(kind, version, flags, compression, key, value, time)
                continue
            try:
                keys = addresses(kind, version, compression, value)
            except (FormatError, NativeFault, UnicodeDecodeError, zstandard.ZstdError):
                continue
            if key in _whole_addresses(kind, keys):
                return Made(kind, version, flags, compression, key, value, time)
            for other in keys:
                if blake3(bytes((kind,)) + other + value) == stored:
                    return Made(kind, version, flags, compression, other, value, time)
    return None


def _whole_addresses(kind: int, keys: list[bytes]) -> list[bytes]:
    """Those of the keys that every byte of the value is in: not that of a record's identity or
    path, nor that of a name."""
    if kind in (c.ENTRY_CHUNK, c.ENTRY_DIRECTORY):
        return keys
    return keys[2:] if kind in (c.ENTRY_FILE, c.ENTRY_SYMLINK) else []


def _layouts(kind: int, version: int, compression: int) -> list[tuple[int, int]]:
    """What an entry of this type may be: (version, compression), the likely one first."""
    if kind == c.ENTRY_CHUNK:
        return [(c.VALUE_VERSION, compression & 1), (c.VALUE_VERSION, 1 - (compression & 1))]
    if kind == c.ENTRY_FILE:
        first = version if version in (0, 1) else c.FILE_RECORD_VERSION
        return [(first, c.COMPRESSION_NONE), (1 - first, c.COMPRESSION_NONE)]
    return [(c.VALUE_VERSION, c.COMPRESSION_NONE)]
