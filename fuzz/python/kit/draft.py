"""A database file taken apart, to be changed, and put together again with every checksum right.

`Draft.parse` reads header slots, pages, log and hot tail; `Draft.build` writes them, each entry in
its new place, with integrity hashes, checksums and the hot tail's hash as they must be. Where an
entry's content has changed, `Draft.rekey` gives it the address of what it holds now, and tells all
that refer to it, up to the root: so a lie is found by what it says, not by a hash.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from fuzz.python.kit.addresses import Addresses

SLOT = struct.Struct("<4sBHQqqQQBQQB32sQBQQQBBB32s32s")
FIELDS = (
    *("magic", "version", "algorithm", "sequence", "created", "updated", "kv_offset", "kv_length"),
    *("kv_version", "nvt_offset", "nvt_length", "nvt_version", "head", "entry_count", "resizing"),
    *("buffer_kvs", "buffer_nvt", "hot_tail", "stage", "target_stage", "backup_type", "base"),
    "target",
)
SPARE = struct.Struct("<4sBBQ32sI5s")
SPARE_FIELDS = (
    *("spare_magic", "spare_version", "flags", "tail_length", "tail_hash", "batch", "rest"),
)
ENTRY = struct.Struct("<4sBBBHBBIIqI")
PAGE_ENTRY = struct.Struct("<32sBQI")
VOID = struct.Struct("<BQI")
MAGIC, ENTRY_MAGIC, TAIL_MAGIC = b"AEOR", b"\xdb\x12\xe0\x0a", b"\xae\x01\x7d\xb1\x0d"
SLOT_LENGTH, LOG, PAGE_LENGTH, PAGE_MAGIC = 256, 512, 1450, 0xAE0DB905
KV_TYPES = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 7, 8: 9}
CHUNK, FILE, DIRECTORY, DELETION, SNAPSHOT, VOID_TYPE, FORK, SYMLINK = range(1, 9)


@dataclass(eq=False)
class Piece:
    """An entry of the log, or (type 0) bytes that are none, in `value`."""

    type: int
    key: bytes = b""
    value: bytes = b""
    time: int = 0
    version: int = 0
    flags: int = 0
    algorithm: int = 1
    compression: int = 0
    encryption: int = 0
    offset: int = 0
    lies: dict[str, int] = field(default_factory=dict)
    """Header fields that are not as the entry is: key_length, value_length, total."""

    def encode(self) -> bytes:
        """The entry as it lies in the log, its integrity hash right."""
        if self.type == 0:
            return self.value
        lies, key, value = self.lies, self.key, self.value
        total = 63 + len(key) + len(value)
        head = ENTRY.pack(
            ENTRY_MAGIC,
            self.version,
            self.type,
            self.flags,
            self.algorithm,
            self.compression,
            self.encryption,
            lies.get("key_length", len(key)),
            lies.get("value_length", len(value)),
            self.time,
            lies.get("total", total),
        )
        return head + blake3(bytes((self.type,)) + key + value).digest() + key + value

    @property
    def length(self) -> int:
        return len(self.value) if self.type == 0 else 63 + len(self.key) + len(self.value)


@dataclass(eq=False)
class Place:
    """An index record or a void record: where something lies. `page` None: in the hot tail.

    What it leads to moves with the log; without a `piece`, `offset` and `length` are as they are.
    With one, they are added: lies.
    """

    key: bytes
    kv: int
    piece: Piece | None
    offset: int
    length: int
    page: int | None = None

    def where(self) -> tuple[int, int]:
        at, length = (self.piece.offset, self.piece.length) if self.piece else (0, 0)
        return (at + self.offset) % (1 << 64), (length + self.length) % (1 << 32)


@dataclass
class Draft:
    """The parts of a file; `lies` are fields of the live slot that are not as the file is."""

    slots: list[dict[str, Any] | bytes]
    live: int
    block: int
    pieces: list[Piece]
    places: list[Place]
    voids: list[Place]
    padding: int
    behind: bytes
    tail_lies: dict[str, int] = field(default_factory=dict)
    lies: dict[str, int] = field(default_factory=dict)

    @property
    def slot(self) -> dict[str, Any]:
        """The live slot's fields."""
        slot = self.slots[self.live]
        assert isinstance(slot, dict)
        return slot

    @property
    def entries(self) -> list[Piece]:
        """The log's entries that hold something."""
        return [piece for piece in self.pieces if piece.type not in (0, VOID_TYPE)]

    @classmethod
    def parse(cls, data: bytes) -> Draft:
        """Takes a good file apart."""
        slots = [_slot(data[at : at + SLOT_LENGTH]) for at in (0, SLOT_LENGTH)]
        good = [i for i, slot in enumerate(slots) if isinstance(slot, dict)]
        live = max(good, key=lambda i: slots[i]["sequence"])  # type: ignore[index]
        slot = slots[live]
        assert isinstance(slot, dict)
        pieces = _log(data, LOG + slot["kv_length"], slot["hot_tail"])
        by_offset = {piece.offset: piece for piece in pieces}
        places = []
        for page in range(slot["kv_length"] // PAGE_LENGTH):
            start = LOG + page * PAGE_LENGTH
            count = int.from_bytes(data[start + 8 : start + 10], "little")
            for i in range(count):
                found = PAGE_ENTRY.unpack_from(data, start + 10 + 45 * i)
                places.append(_place(by_offset, *found, page=page))
        at = slot["hot_tail"]
        writes, voids = struct.unpack_from("<II", data, at + 6)
        at += 18
        for _ in range(writes):
            places.append(_place(by_offset, *PAGE_ENTRY.unpack_from(data, at + 1)))
            at += 46
        listed = []
        for _ in range(voids):
            _, offset, length = VOID.unpack_from(data, at)
            listed.append(_place(by_offset, b"", 0, offset, length))
            at += 13
        end = slot["hot_tail"] + slot["tail_length"] if slot["spare_magic"] != bytes(4) else at
        return cls(slots, live, slot["kv_length"], pieces, places, listed, end - at, data[end:])

    def build(self) -> bytes:
        """The file."""
        at = LOG + self.block
        for piece in self.pieces:
            piece.offset = at
            at += piece.length
        log = b"".join(piece.encode() for piece in self.pieces)
        tail = self._tail()
        head = b""
        for number, slot in enumerate(self.slots):
            if isinstance(slot, dict):
                slot = self._slot(slot, at, tail, number == self.live)
            head += slot
        return head + self._block() + log + tail + self.behind

    def _tail(self) -> bytes:
        records = b""
        writes = [place for place in self.places if place.page is None]
        for place in writes:
            records += b"\1" + PAGE_ENTRY.pack(place.key, place.kv & 255, *place.where())
        for place in self.voids:
            records += VOID.pack(1, *place.where())
        counts = self.tail_lies
        head = TAIL_MAGIC + struct.pack(
            "<BII",
            counts.get("version", 1),
            counts.get("writes", len(writes)),
            counts.get("voids", len(self.voids)),
        )
        return head + struct.pack("<I", zlib.crc32(head)) + records + bytes(self.padding)

    def _block(self) -> bytes:
        block = bytearray(self.block)
        pages: dict[int, list[Place]] = {}
        for place in self.places:
            if place.page is not None:
                pages.setdefault(place.page, []).append(place)
        for number, places in pages.items():
            entries = b"".join(
                PAGE_ENTRY.pack(place.key, place.kv & 255, *place.where()) for place in places[:32]
            )
            head = struct.pack("<II", PAGE_MAGIC, 0) + struct.pack("<H", min(len(places), 32))
            page = bytearray((head + entries).ljust(PAGE_LENGTH, b"\0"))
            page[4:8] = struct.pack("<I", zlib.crc32(page))
            block[number * PAGE_LENGTH : (number + 1) * PAGE_LENGTH] = page
        return bytes(block[: self.block])

    def _slot(self, slot: dict[str, Any], end: int, tail: bytes, live: bool) -> bytes:
        fields = dict(slot)
        if live:
            fields["hot_tail"] = end
            if fields["spare_magic"] != bytes(4):
                fields["tail_length"] = len(tail)
                fields["tail_hash"] = blake3(tail).digest()
            fields.update(self.lies)
            if "tail_length" in self.lies:
                start = fields["hot_tail"] - end
                region = tail[max(start, 0) : max(start, 0) + fields["tail_length"]]
                fields["tail_hash"] = blake3(region).digest()
        raw = SLOT.pack(*(fields[name] for name in FIELDS))
        raw += SPARE.pack(*(fields[name] for name in SPARE_FIELDS))
        return raw + struct.pack("<I", zlib.crc32(raw))

    def addresses(self) -> Addresses:
        """What the entries' keys are the addresses of, for `rekey` after a change."""
        return Addresses(self.entries)

    def rekey(self, addresses: Addresses, piece: Piece) -> None:
        """Gives a changed entry its new address, and all that lead to it theirs."""
        for old, new in addresses.changed(piece):
            for place in self.places:
                if place.key == old:
                    place.key = new
                    if place.page is not None:
                        place.page = page_of(new, self.block // PAGE_LENGTH)
            for slot in self.slots:
                if isinstance(slot, dict):
                    for name in ("head", "base", "target"):
                        if slot[name] == old:
                            slot[name] = new


def page_of(key: bytes, pages: int) -> int:
    """The page that a key lies in."""
    share = float(int.from_bytes(key[:8], "big")) / float(2**64 - 1)
    return min(pages - 1, int(share * float(pages)))


def _slot(raw: bytes) -> dict[str, Any] | bytes:
    if raw[:4] != MAGIC or zlib.crc32(raw[:252]) != int.from_bytes(raw[252:], "little"):
        return raw
    fields = dict(zip(FIELDS, SLOT.unpack_from(raw), strict=True))
    return fields | dict(zip(SPARE_FIELDS, SPARE.unpack_from(raw, SLOT.size), strict=True))


def _log(data: bytes, at: int, end: int) -> list[Piece]:
    pieces = []
    while at < end:
        if data[at : at + 4] != ENTRY_MAGIC:
            following = data.find(ENTRY_MAGIC, at, end)
            following = end if following < 0 else following
            pieces.append(Piece(0, value=data[at:following], offset=at))
            at = following
            continue
        head = ENTRY.unpack_from(data, at)
        _, version, kind, flags, algorithm, compression, encryption, key, value, time, total = head
        start = at + 63
        pieces.append(
            Piece(
                kind,
                data[start : start + key],
                data[start + key : start + key + value],
                time,
                version,
                flags,
                algorithm,
                compression,
                encryption,
                at,
            )
        )
        at += total
    return pieces


def _place(
    pieces: dict[int, Piece],
    key: bytes,
    kv: int,
    offset: int,
    length: int,
    page: int | None = None,
) -> Place:
    piece = pieces.get(offset)
    if piece is None:
        return Place(key, kv, None, offset, length, page)
    return Place(key, kv, piece, 0, length - piece.length, page)
