"""The bytes of format version 3, read a second time.

This reader shares no code with the package: it is what the package is compared with. It follows
the words of FORMAT.md, prefers plain code to fast code, and refuses what it does not know with
`MalformedError`. Hashes are `bytes`, offsets and lengths are bytes of the file, times milliseconds.
"""

import struct
import zlib
from dataclasses import dataclass, field

from blake3 import blake3

MAGIC = b"AEOR"
ENTRY_MAGIC = bytes.fromhex("DB12E00A")
TAIL_MAGIC = bytes.fromhex("AE017DB10D")
PAGE_MAGIC = 0xAE0DB905

SLOT_LENGTH = 256
LOG_START = 512
HEADER_LENGTH = 63
PAGE_LENGTH = 10 + 32 * 45
ZERO = bytes(32)

CHUNK, FILE, DIRECTORY, DELETION, SNAPSHOT, VOID, FORK, SYMLINK = 1, 2, 3, 4, 5, 6, 7, 8
KV_TYPE = {CHUNK: 0, FILE: 1, DIRECTORY: 2, DELETION: 3, SNAPSHOT: 4, VOID: 5, FORK: 7, SYMLINK: 9}
TYPE_NAME = {
    CHUNK: "chunk",
    FILE: "file record",
    DIRECTORY: "directory",
    DELETION: "deletion",
    SNAPSHOT: "snapshot",
    VOID: "void",
    FORK: "fork",
    SYMLINK: "symlink",
}
DELETED = 0x20
PENDING = 0x10

SPARE_MAGIC = b"aepy"
FLAG_CHECKPOINT, FLAG_GROWTH, FLAG_CLEAN, FLAG_DROPS, FLAG_DEAD_PAGES = 1, 2, 4, 8, 16


class MalformedError(ValueError):
    """Bytes that the format does not allow."""


def h(*parts: bytes) -> bytes:
    """BLAKE3 of the parts, one after the other."""
    return blake3(b"".join(parts)).digest()


def stage_length(stage: int) -> int:
    """Length of the KV block of a stage (FORMAT.md, section 4)."""
    lengths = [64 << 10, 512 << 10, 4 << 20, 32 << 20, 128 << 20, 512 << 20, 1 << 30]
    return lengths[stage] if stage < len(lengths) else lengths[-1] << (stage - len(lengths) + 1)


def page_of(key: bytes, pages: int) -> int:
    """The page that a key lies in, in doubles and in this order."""
    x = int.from_bytes(key[:8], "big")
    return min(pages - 1, int((float(x) / float(2**64 - 1)) * float(pages)))


class Cursor:
    """Takes fields off the front of a value; every length is checked before it is used."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.offset

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise MalformedError(f"{count} bytes wanted at {self.offset}, {self.left} left")
        self.offset += count
        return self.data[self.offset - count : self.offset]

    def number(self, code: str) -> int:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def blob(self, code: str) -> bytes:
        return self.take(self.number(code))

    def text(self, code: str) -> str:
        raw = self.blob(code)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError(f"{raw!r} is not UTF-8") from error

    def end(self) -> None:
        if self.left:
            raise MalformedError(f"{self.left} bytes too many at {self.offset}")


@dataclass(frozen=True)
class Spare:
    """Our marker in the spare bytes: what the hot tail must be, and what a batch is doing."""

    version: int
    flags: int
    tail_length: int
    tail_hash: bytes
    batch: int
    rest: bytes


@dataclass(frozen=True)
class Slot:
    version: int
    algorithm: int
    sequence: int
    created: int
    updated: int
    kv_offset: int
    kv_length: int
    kv_version: int
    nvt: tuple[int, int, int]
    head: bytes
    entry_count: int
    resizing: int
    buffers: tuple[int, int]
    hot_tail: int
    stage: int
    target_stage: int
    backup_type: int
    base: bytes
    target: bytes
    spare: bytes

    @property
    def pages(self) -> int:
        return self.kv_length // PAGE_LENGTH if self.kv_offset else 0

    @property
    def log_start(self) -> int:
        return self.kv_offset + self.kv_length if self.kv_offset == LOG_START else LOG_START

    @property
    def ours(self) -> Spare | None:
        """Our marker, or None in a slot that AeorDB wrote."""
        if self.spare[:4] != SPARE_MAGIC:
            return None
        version, flags, length, digest, batch = struct.unpack_from("<BBQ32sI", self.spare, 4)
        return Spare(version, flags, length, digest, batch, self.spare[50:])


_SLOT = struct.Struct("<4sBHQqqQQBQQB32sQBQQQBBB32s32s55sI")
assert _SLOT.size == SLOT_LENGTH


def read_slot(raw: bytes) -> Slot:
    """One of the two header slots."""
    if len(raw) != SLOT_LENGTH:
        raise MalformedError("the file is shorter than its header")
    fields = _SLOT.unpack(raw)
    if fields[0] != MAGIC:
        raise MalformedError("no AEOR magic")
    if fields[-1] != zlib.crc32(raw[:252]):
        raise MalformedError("slot CRC")
    if fields[1] != 3:
        raise MalformedError(f"header version {fields[1]}, not 3")
    (version, algorithm, sequence, created, updated, kv_offset, kv_length, kv_version) = fields[1:9]
    (nvt_offset, nvt_length, nvt_version, head, count, resizing) = fields[9:15]
    (buffer_kvs, buffer_nvt, hot_tail, stage, target_stage, backup, base, target) = fields[15:23]
    return Slot(
        version,
        algorithm,
        sequence,
        created,
        updated,
        kv_offset,
        kv_length,
        kv_version,
        (nvt_offset, nvt_length, nvt_version),
        head,
        count,
        resizing,
        (buffer_kvs, buffer_nvt),
        hot_tail,
        stage,
        target_stage,
        backup,
        base,
        target,
        fields[23],
    )


@dataclass(frozen=True)
class Entry:
    """One framed unit of the log, its value as stored."""

    offset: int
    version: int
    type: int
    flags: int
    algorithm: int
    compression: int
    encryption: int
    time: int
    total: int
    integrity: bytes
    key: bytes
    value: bytes = field(repr=False)

    @property
    def end(self) -> int:
        return self.offset + self.total

    @property
    def intact(self) -> bool:
        return h(bytes([self.type]), self.key, self.value) == self.integrity


_ENTRY = struct.Struct("<4sBBBHBBIIqI32s")
assert _ENTRY.size == HEADER_LENGTH


def read_entry(data: bytes, offset: int, end: int | None = None) -> Entry:
    """The entry whose header stands at `offset`; it must lie before `end`."""
    end = len(data) if end is None else min(end, len(data))
    if offset < LOG_START or offset + HEADER_LENGTH > end:
        raise MalformedError(f"no room for an entry at {offset}")
    (magic, version, kind, flags, algorithm, compression, encryption, key_length, value_length) = (
        _ENTRY.unpack_from(data, offset)[:9]
    )
    time, total, integrity = _ENTRY.unpack_from(data, offset)[9:]
    if magic != ENTRY_MAGIC:
        raise MalformedError(f"no entry magic at {offset}")
    if kind not in KV_TYPE or algorithm != 1 or encryption != 0 or compression not in (0, 1):
        raise MalformedError(
            f"entry at {offset}: unknown type, algorithm, compression or encryption"
        )
    if (
        max(key_length, value_length) > 1 << 30
        or total != HEADER_LENGTH + key_length + value_length
    ):
        raise MalformedError(f"entry at {offset}: lengths do not add up")
    if offset + total > end:
        raise MalformedError(f"entry at {offset}: {total} bytes reach behind {end}")
    start = offset + HEADER_LENGTH
    key = bytes(data[start : start + key_length])
    value = bytes(data[start + key_length : offset + total])
    return Entry(
        offset,
        version,
        kind,
        flags,
        algorithm,
        compression,
        encryption,
        time,
        total,
        integrity,
        key,
        value,
    )


@dataclass(frozen=True)
class Location:
    """An index entry: where a key's entry lies; `kv` is its type and flag byte."""

    key: bytes
    kv: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


_LOCATION = struct.Struct("<32sBQI")
_WRITE = struct.Struct("<B32sBQI")
_VOID = struct.Struct("<BQI")


def read_page(page: bytes) -> list[Location]:
    """The entries of one index page, in their order."""
    magic, crc, count = struct.unpack_from("<IIH", page)
    if magic == 0 and count == 0:
        return []
    if magic != PAGE_MAGIC:
        raise MalformedError("no page magic")
    if count > 32:
        raise MalformedError(f"{count} entries in a page")
    if crc != zlib.crc32(page[:4] + bytes(4) + page[8:]):
        raise MalformedError("page CRC")
    return [Location(*_LOCATION.unpack_from(page, 10 + 45 * i)) for i in range(count)]


@dataclass(frozen=True)
class HotTail:
    offset: int
    length: int
    writes: list[Location]
    voids: list[tuple[int, int]]


def read_hot_tail(data: bytes, offset: int) -> HotTail:
    """The hot tail at `offset`; void records come back as (start, end)."""
    head = bytes(data[offset : offset + 18])
    if len(head) < 18 or head[:5] != TAIL_MAGIC:
        raise MalformedError(f"no hot tail at {offset}")
    version, writes, voids, crc = struct.unpack_from("<BIII", head, 5)
    if version != 1:
        raise MalformedError(f"hot tail version {version}")
    if crc != zlib.crc32(head[:14]):
        raise MalformedError("hot tail CRC")
    length = 18 + _WRITE.size * writes + _VOID.size * voids
    body = bytes(data[offset + 18 : offset + length])
    if len(body) != length - 18:
        raise MalformedError("the hot tail is cut")
    records, free = [], []
    for i in range(writes):
        tag, *rest = _WRITE.unpack_from(body, i * _WRITE.size)
        if tag != 1:
            raise MalformedError(f"write record {i} begins with {tag}")
        records.append(Location(*rest))
    for i in range(voids):
        tag, start, size = _VOID.unpack_from(body, writes * _WRITE.size + i * _VOID.size)
        if tag != 1:
            raise MalformedError(f"void record {i} begins with {tag}")
        free.append((start, start + size))
    return HotTail(offset, length, records, free)
