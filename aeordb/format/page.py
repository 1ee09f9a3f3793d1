"""Index pages and stages of the KV block (FORMAT.md 4). C has the bulk paths, this the rule."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.errors import ChecksumError, FormatError, MagicError

PAGE = struct.Struct("<IIH")
PAGE_FIELDS = ("magic", "CRC-32", "count")
PAGE_ENTRY = struct.Struct("<32sBQI")
PAGE_ENTRY_FIELDS = ("key", "type and flags", "offset", "total length")
assert PAGE.size == c.PAGE_HEADER_LENGTH
assert PAGE_ENTRY.size == c.PAGE_ENTRY_LENGTH
_NO_CRC = bytes(4)


class IndexRecord(NamedTuple):
    """Where a key's entry lies: file offset and total length in bytes; `kv` is type and flags."""

    key: bytes
    kv: int
    offset: int
    length: int

    @property
    def kv_type(self) -> int:
        """One of KV_*."""
        return self.kv & c.KV_TYPE_MASK

    @property
    def deleted(self) -> bool:
        """True for a tombstone: the key is gone."""
        return bool(self.kv & c.KV_DELETED)


def block_length(stage: int) -> int:
    """Length of the KV block at `stage`; doubling from stage 6 on."""
    if not 0 <= stage <= c.STAGE_MAX:
        raise FormatError(f"KV block stage {stage}")
    last = len(c.STAGE_LENGTHS) - 1
    return c.STAGE_LENGTHS[stage] if stage <= last else c.STAGE_LENGTHS[last] << (stage - last)


def pages(stage: int) -> int:
    """How many pages the KV block has at `stage`."""
    return block_length(stage) // c.PAGE_LENGTH


def page_of(key: bytes, page_count: int) -> int:
    """The one page that may hold `key`, in IEEE doubles in the format's order of operations."""
    x = int.from_bytes(key[:8], "big")
    return min(page_count - 1, int(float(x) / float(c.U64_MAX) * float(page_count)))


def encode_page(records: Sequence[IndexRecord]) -> bytes:
    """A page of at most 32 records in their order; without any, the empty page (all zero)."""
    if len(records) > c.PAGE_ENTRIES:
        raise FormatError(f"page of {len(records)} records, at most {c.PAGE_ENTRIES}")
    if any(len(record.key) != c.HASH_LENGTH for record in records):
        raise FormatError(f"index key that is not {c.HASH_LENGTH} bytes long")
    if not records:
        return bytes(c.PAGE_LENGTH)
    try:
        body = b"".join(PAGE_ENTRY.pack(*record) for record in records)
    except struct.error as error:
        raise FormatError(f"index record: {error}") from None
    page = bytearray(PAGE.pack(c.PAGE_MAGIC, 0, len(records)) + body)
    page += bytes(c.PAGE_LENGTH - len(page))
    struct.pack_into("<I", page, 4, zlib.crc32(page))
    return bytes(page)


def decode_page(page: bytes) -> list[IndexRecord]:
    """The records of one page; MagicError, ChecksumError or FormatError if it is bad."""
    if len(page) != c.PAGE_LENGTH:
        raise FormatError(f"page of {len(page)} bytes, expected {c.PAGE_LENGTH}")
    magic, crc, count = PAGE.unpack_from(page)
    if magic == 0 and count == 0:
        return []
    if magic != c.PAGE_MAGIC:
        raise MagicError(f"page magic {magic:08x}, expected {c.PAGE_MAGIC:08x}", 0)
    found = zlib.crc32(page[8:], zlib.crc32(_NO_CRC, zlib.crc32(page[:4])))
    if found != crc:
        raise ChecksumError(f"page CRC {crc:08x}, computed {found:08x}", 4)
    if count > c.PAGE_ENTRIES:
        raise FormatError(f"page of {count} records, at most {c.PAGE_ENTRIES}", 8)
    end = c.PAGE_HEADER_LENGTH + count * c.PAGE_ENTRY_LENGTH
    rows = PAGE_ENTRY.iter_unpack(memoryview(page)[c.PAGE_HEADER_LENGTH : end])
    return [IndexRecord(*row) for row in rows]
