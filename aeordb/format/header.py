"""Header slots (FORMAT.md 2) and our marker in their spare bytes (2.1).

Bytes read from a file are an `UncheckedSlot`; only `check` makes a `Header` of it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.errors import (
    AlgorithmError,
    ChecksumError,
    FormatError,
    MagicError,
    MarkerVersionError,
    VersionError,
)

HEADER = struct.Struct("<4sBHQqqQQBQQB32sQBQQQBBB32s32s55sI")
HEADER_FIELDS = (
    "magic",
    "header version",
    "hash algorithm",
    "sequence",
    "created at",
    "updated at",
    "KV block offset",
    "KV block length",
    "KV block version",
    "NVT offset",
    "NVT length",
    "NVT version",
    "HEAD",
    "entry count",
    "resize in progress",
    "buffer KVS offset",
    "buffer NVT offset",
    "hot tail offset",
    "KV block stage",
    "resize target stage",
    "backup type",
    "base hash",
    "target hash",
    "spare",
    "CRC-32",
)
SPARE = struct.Struct("<4sBBQ32sI5s")
SPARE_FIELDS = ("magic", "version", "flags", "region length", "region hash", "batch count", "zero")
_CRC = struct.Struct("<I")
_CRC_OFFSET = c.SLOT_LENGTH - _CRC.size
assert HEADER.size == c.SLOT_LENGTH
assert SPARE.size == c.SPARE_LENGTH


class Spare(NamedTuple):
    """Our marker: what a writer of ours promises of the file under this slot (FORMAT.md 2.1).

    `flags` are SPARE_* bits; `region_length` and `region_hash` (BLAKE3) are of the hot tail's
    region, its padding included; `batch_count` is how many leading hot tail records a flagged
    checkpoint covers.
    """

    flags: int
    region_length: int
    region_hash: bytes
    batch_count: int = 0

    def encode(self) -> bytes:
        """The 55 spare bytes."""
        if len(self.region_hash) != c.HASH_LENGTH:
            raise FormatError(f"region hash of {len(self.region_hash)} bytes")
        try:
            return SPARE.pack(
                c.SPARE_MAGIC,
                c.SPARE_VERSION,
                self.flags,
                self.region_length,
                self.region_hash,
                self.batch_count,
                b"",
            )
        except struct.error as error:
            raise FormatError(f"spare bytes: {error}") from None

    @staticmethod
    def decode(raw: bytes) -> Spare | None:
        """None if these bytes are not ours; MarkerVersionError if a newer aeordb wrote them."""
        if len(raw) != c.SPARE_LENGTH:
            raise FormatError(f"{len(raw)} spare bytes, expected {c.SPARE_LENGTH}")
        magic, version, flags, length, region_hash, batch, _ = SPARE.unpack(raw)
        if magic != c.SPARE_MAGIC:
            return None
        if version != c.SPARE_VERSION:
            raise MarkerVersionError(
                f"the file was written by a newer aeordb: marker version {version}, "
                f"this one knows {c.SPARE_VERSION}",
                c.SPARE_OFFSET + 4,
            )
        return Spare(flags, length, region_hash, batch)


class Header(NamedTuple):
    """A header slot's checked values (FORMAT.md 2). Times in milliseconds, offsets in bytes."""

    sequence: int
    created_at: int
    updated_at: int
    kv_offset: int
    kv_length: int
    hot_tail_offset: int
    stage: int
    head: bytes = c.ZERO_HASH
    entry_count: int = 0
    resize_in_progress: int = 0
    resize_target: int = 0
    backup_type: int = c.BACKUP_NONE
    base: bytes = c.ZERO_HASH
    target: bytes = c.ZERO_HASH
    spare: Spare | None = None
    kv_version: int = c.KV_BLOCK_VERSION
    nvt_offset: int = 0
    nvt_length: int = 0
    nvt_version: int = c.NVT_VERSION
    buffer_kvs_offset: int = 0
    buffer_nvt_offset: int = 0

    @property
    def pages(self) -> int:
        """How many index pages the KV block holds: none if there is no block, whatever its length
        says."""
        return self.kv_length // c.PAGE_LENGTH if self.kv_offset else 0

    @property
    def log_start(self) -> int:
        """Offset of the first log entry: behind the KV block, or 512 where that is elsewhere."""
        if self.kv_offset == c.HEADERS_LENGTH:
            return self.kv_offset + self.kv_length
        return c.HEADERS_LENGTH

    def encode(self) -> bytes:
        """The slot's 256 bytes with their CRC."""
        for name, value in (("HEAD", self.head), ("base", self.base), ("target", self.target)):
            if len(value) != c.HASH_LENGTH:
                raise FormatError(f"{name} of {len(value)} bytes, expected {c.HASH_LENGTH}")
        try:
            raw = HEADER.pack(
                c.HEADER_MAGIC,
                c.HEADER_VERSION,
                c.HASH_BLAKE3,
                self.sequence,
                self.created_at,
                self.updated_at,
                self.kv_offset,
                self.kv_length,
                self.kv_version,
                self.nvt_offset,
                self.nvt_length,
                self.nvt_version,
                self.head,
                self.entry_count,
                self.resize_in_progress,
                self.buffer_kvs_offset,
                self.buffer_nvt_offset,
                self.hot_tail_offset,
                self.stage,
                self.resize_target,
                self.backup_type,
                self.base,
                self.target,
                b"" if self.spare is None else self.spare.encode(),
                0,
            )
        except struct.error as error:
            raise FormatError(f"header: {error}") from None
        return raw[:_CRC_OFFSET] + _CRC.pack(zlib.crc32(raw[:_CRC_OFFSET]))


@dataclass(frozen=True, slots=True)
class UncheckedSlot:
    """The 256 bytes of slot 0 (A) or 1 (B) as they were read: nothing in them is known to hold."""

    index: int
    raw: bytes

    @property
    def offset(self) -> int:
        """Where the slot lies in the file."""
        return self.index * c.SLOT_LENGTH

    @property
    def is_zero(self) -> bool:
        """True for the slot that a new file has not written yet."""
        return not any(self.raw)

    def check(self) -> Header:
        """The header, once length, magic, version, CRC and hash algorithm hold, in this order."""
        raw, offset = self.raw, self.offset
        if len(raw) != c.SLOT_LENGTH:
            raise FormatError(f"header slot of {len(raw)} bytes, expected {c.SLOT_LENGTH}", offset)
        f = HEADER.unpack(raw)
        if f[0] != c.HEADER_MAGIC:
            raise MagicError(f"header magic {f[0].hex()}, expected {c.HEADER_MAGIC.hex()}", offset)
        if f[1] != c.HEADER_VERSION:
            raise VersionError(
                f"header version {f[1]}, only version {c.HEADER_VERSION} is supported", offset + 4
            )
        found = zlib.crc32(raw[:_CRC_OFFSET])
        if found != f[24]:
            raise ChecksumError(
                f"header CRC {f[24]:08x}, computed {found:08x}", offset + _CRC_OFFSET
            )
        if f[2] != c.HASH_BLAKE3:
            raise AlgorithmError(
                f"hash algorithm {f[2]}, only {c.HASH_BLAKE3} (BLAKE3-256) is supported", offset + 5
            )
        return Header(
            sequence=f[3],
            created_at=f[4],
            updated_at=f[5],
            kv_offset=f[6],
            kv_length=f[7],
            kv_version=f[8],
            nvt_offset=f[9],
            nvt_length=f[10],
            nvt_version=f[11],
            head=f[12],
            entry_count=f[13],
            resize_in_progress=f[14],
            buffer_kvs_offset=f[15],
            buffer_nvt_offset=f[16],
            hot_tail_offset=f[17],
            stage=f[18],
            resize_target=f[19],
            backup_type=f[20],
            base=f[21],
            target=f[22],
            spare=Spare.decode(f[23]),
        )


@dataclass(frozen=True, slots=True)
class LiveSlot:
    """The slot that counts (0 or 1), and the other slot's header if that one is good too."""

    index: int
    header: Header
    other: Header | None


def split_slots(raw: bytes) -> tuple[UncheckedSlot, UncheckedSlot]:
    """Both slots of a file's first 512 bytes; fewer bytes make short, thus bad, slots."""
    return (
        UncheckedSlot(0, bytes(raw[: c.SLOT_LENGTH])),
        UncheckedSlot(1, bytes(raw[c.SLOT_LENGTH : c.HEADERS_LENGTH])),
    )


def live_slot(raw: bytes) -> LiveSlot:
    """Choose the live slot of a file's first 512 bytes: good, with the higher sequence, else A.

    Both bad raises what says most of the file: a version or algorithm before a bad CRC, that
    before a missing magic. A good slot with a newer aeordb's marker always raises: stepping back
    to the other slot would undo a commit.
    """
    good: list[tuple[int, Header]] = []
    faults: list[FormatError] = []
    for slot in split_slots(raw):
        try:
            good.append((slot.index, slot.check()))
        except MarkerVersionError:
            raise
        except FormatError as fault:
            # A traceback would keep the callers' frames alive, and their reader's locks.
            faults.append(fault.with_traceback(None))
    if not good:
        raise min(faults, key=_weight)
    if len(good) == 2 and good[1][1].sequence > good[0][1].sequence:
        good.reverse()
    index, header = good[0]
    return LiveSlot(index, header, good[1][1] if len(good) == 2 else None)


def _weight(fault: FormatError) -> int:
    order = (VersionError, AlgorithmError, ChecksumError, MagicError)
    return next((i for i, kind in enumerate(order) if isinstance(fault, kind)), len(order))


def check_kv_block(header: Header, file_length: int) -> None:
    """FormatError unless the KV block that `header` states lies in the file (0: there is none)."""
    if header.kv_offset == 0:
        return
    if header.kv_offset < c.HEADERS_LENGTH:
        raise FormatError(f"KV block offset {header.kv_offset} lies in the header slots", 31)
    if header.kv_length < c.PAGE_LENGTH:
        raise FormatError(f"KV block length {header.kv_length} is less than a page", 39)
    if header.kv_offset > file_length or header.kv_length > file_length - header.kv_offset:
        raise FormatError(
            f"KV block {header.kv_offset} + {header.kv_length} passes the file's end {file_length}",
            31,
        )
