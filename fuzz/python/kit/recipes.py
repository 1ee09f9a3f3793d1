"""Recipes: a few bytes that say which file to begin with, and which lies to put into it.

So a fuzzer that knows nothing but bytes changes the structure of a file; each file that it makes is
well-formed as far as its checksums, hashes and addresses go, and lies in what they cover.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import zstandard

from aeordb.format import nodes
from aeordb.format.errors import FormatError
from aeordb.format.records import FileRecord
from fuzz.python.kit import draft as d
from fuzz.python.kit.addresses import Addresses, children_of
from fuzz.python.kit.draft import Draft, Piece, Place
from fuzz.python.kit.reader import COUNTERS, NAMES, Reader

FILES = Path(__file__).resolve().parents[2] / "corpus" / "files"
STEPS = 12


@dataclass
class Step:
    """One lie in the making."""

    draft: Draft
    addresses: Addresses
    reader: Reader
    keyed: bool

    def entry(self, *types: int) -> Piece | None:
        """One of the entries, of one of these types."""
        among = [piece for piece in self.draft.entries if not types or piece.type in types]
        return self.reader.pick(among) if among else None

    def set(self, piece: Piece, value: bytes) -> None:
        """Gives an entry another value, and with it, unless the lie is just that, its address."""
        piece.value = value
        if self.keyed:
            self.draft.rekey(self.addresses, piece)

    def key(self) -> bytes:
        """The key of some entry, or one that nobody has."""
        entry = self.entry()
        return (
            self.reader.pick((entry.key, entry.key, entry.key, bytes(32), b"\7" * 32))
            if (entry)
            else bytes(32)
        )


def _in_range(time: int) -> int:
    """What a header's field has room for."""
    return max(-(1 << 63), min(time, (1 << 63) - 1))


def value_byte(s: Step) -> None:
    if (piece := s.entry()) and piece.value:
        value = bytearray(piece.value)
        value[s.reader.word() % len(value)] ^= s.reader.byte() or 1
        s.set(piece, bytes(value))


def value_number(s: Step) -> None:
    if (piece := s.entry()) and piece.value:
        width = 1 << s.reader.below(4)
        at = s.reader.word() % len(piece.value)
        number = s.reader.number(width).to_bytes(width, "little")
        s.set(piece, piece.value[:at] + number + piece.value[at + width :])


def value_cut(s: Step) -> None:
    if piece := s.entry():
        at = s.reader.word() % (len(piece.value) + 1)
        s.set(piece, s.reader.pick((piece.value[:at], piece.value[at:], b"", piece.value[:32])))


def value_spliced(s: Step) -> None:
    if (piece := s.entry()) and (other := s.entry()):
        at = s.reader.word() % (len(piece.value) + 1)
        start = s.reader.word() % (len(other.value) + 1)
        s.set(piece, piece.value[:at] + other.value[start:])


def reference(s: Step) -> None:
    """What leads to one entry leads to another: loops, other types, shared parts."""
    keys = {entry.key for entry in s.draft.entries}
    if piece := s.entry(d.FILE, d.DIRECTORY, d.SNAPSHOT, d.FORK):
        value = piece.value
        found = [at for at in range(len(value) - 31) if value[at : at + 32] in keys]
        if found:
            at = s.reader.pick(found)
            s.set(piece, value[:at] + s.key() + value[at + 32 :])


def file_field(s: Step) -> None:
    if piece := s.entry(d.FILE):
        try:
            record = FileRecord.decode(piece.value, piece.version)
        except FormatError:
            return
        keys = record.chunk_keys
        at = s.reader.below(len(keys) // 32 + 1) * 32
        other = s.entry(d.CHUNK)
        chunk = other.key if other else bytes(32)
        which = s.reader.below(9)
        try:
            value = replace(
                record,
                **{
                    0: lambda: {"path": _path(s, record.path)},
                    1: lambda: {"size": s.reader.number()},
                    2: lambda: {"content_type": s.reader.pick(NAMES)},
                    3: lambda: {"chunk_keys": keys[:at] + keys[at + 32 :]},
                    4: lambda: {"chunk_keys": keys[:at] + chunk + keys[at:]},
                    5: lambda: {"chunk_keys": keys * (s.reader.byte() + 1)},
                    6: lambda: {"metadata": s.reader.pick((b"{", b"[1]", b"\xff", b'{"a":1e999}'))},
                    7: lambda: {"content_hash": s.key()},
                    8: lambda: {"updated": s.reader.number() - (1 << 63)},
                }[which](),
            ).encode()
        except (FormatError, struct.error, OverflowError):
            return
        s.set(piece, value)


def _path(s: Step, path: str) -> str:
    name = s.reader.pick(NAMES)
    top = path.rpartition("/")[0]
    return s.reader.pick(
        (f"{top}/{name}", name, "/" + name, path + "/" + name, "/.aeordb-system/x")
    )


def child_field(s: Step) -> None:
    if not (piece := s.entry(d.DIRECTORY)) or not (children := children_of(piece)):
        return
    at = s.reader.below(len(children))
    child = children[at]
    match s.reader.below(9):
        case 0:
            children[at] = child._replace(name=s.reader.pick(NAMES))
        case 1:
            children[at] = child._replace(kind=s.reader.pick((2, 3, 8)))
        case 2:
            children[at] = child._replace(size=s.reader.number())
        case 3:
            children[at] = child._replace(updated=s.reader.number() - (1 << 63))
        case 4:
            children.insert(at, child)
        case 5:
            del children[at]
        case 6:
            children.reverse()
        case 7:
            children[at] = child._replace(hash=s.key())
        case _:
            children += [child._replace(name=f"n{i:03}") for i in range(s.reader.byte())]
    form = s.reader.byte()
    try:
        encoded = [nodes.encode_child(*child) for child in children]
    except (FormatError, struct.error, OverflowError):
        return
    leaf = piece.value[:1] == b"\0" if form % 4 else piece.value[:1] != b"\0"
    s.set(piece, nodes.encode_leaf(encoded) if leaf else nodes.encode_listing(encoded))


def chunk_bytes(s: Step) -> None:
    """Other bytes in a chunk: raw, as a frame, or as one that grows without end."""
    if piece := s.entry(d.CHUNK):
        raw = s.reader.pick((b"", b"x", bytes(70_000), bytes(s.reader.word()), piece.value * 3))
        match s.reader.below(5):
            case 0:
                piece.compression, value = 0, raw
            case 1:
                piece.compression, value = 1, zstandard.compress(raw)
            case 2:
                piece.compression, value = 1, zstandard.compress(raw) + b"more"
            case 3:
                frame = zstandard.ZstdCompressor(write_content_size=False).compress(raw)
                piece.compression, value = 1, frame
            case _:
                piece.compression, value = 1, _bomb()
        s.set(piece, value)


@cache
def _bomb() -> bytes:
    return zstandard.compress(bytes(1 << 24))


def header_field(s: Step) -> None:
    if piece := s.reader.pick(s.draft.pieces or [None]):
        match s.reader.below(10):
            case 0:
                piece.time = s.reader.number() - (1 << 63)
            case 1:
                piece.version = s.reader.byte()
            case 2:
                piece.flags = s.reader.byte()
            case 3:
                piece.compression = s.reader.byte() % 4
            case 4:
                piece.encryption = s.reader.byte()
            case 5:
                piece.algorithm = s.reader.word()
            case 6:
                piece.type = s.reader.byte() % 11
            case 7:
                piece.lies["value_length"] = s.reader.number(4)
            case 8:
                piece.lies["total"] = s.reader.number(4)
            case _:
                piece.time += s.reader.number(4)
        piece.time = _in_range(piece.time)


def entry_gone(s: Step) -> None:
    if piece := s.entry():
        s.draft.pieces.remove(piece)
        found = [place for place in s.draft.places if place.piece is piece]
        dangling = s.reader.byte() & 1
        for place in found:
            place.piece, place.offset, place.length = None, piece.offset, piece.length
            if not dangling:
                s.draft.places.remove(place)


def entry_double(s: Step) -> None:
    if piece := s.entry():
        other = replace(piece, time=_in_range(piece.time + s.reader.byte() - 128), lies={})
        s.draft.pieces.insert(s.reader.below(len(s.draft.pieces) + 1), other)
        if s.reader.byte() & 1:
            s.draft.places.append(Place(s.key(), d.KV_TYPES.get(piece.type, 0), other, 0, 0))


def entry_raw(s: Step) -> None:
    """Bytes between entries that are none, or free space."""
    length = s.reader.word() % 5000
    piece = (
        Piece(d.VOID_TYPE, value=bytes(length))
        if s.reader.byte() & 1
        else Piece(0, value=b"\xdb\x12\xe0\x0a" * (length // 4))
    )
    s.draft.pieces.insert(s.reader.below(len(s.draft.pieces) + 1), piece)


def place_lie(s: Step) -> None:
    if not s.draft.places:
        return
    place = s.reader.pick(s.draft.places)
    match s.reader.below(9):
        case 0:
            place.offset = s.reader.number()
        case 1:
            place.length = s.reader.number(4)
        case 2:
            place.kv = s.reader.byte()
        case 3:
            place.kv |= 0x20
        case 4:
            place.piece, place.length = s.entry(), 0
        case 5:
            s.draft.places.remove(place)
        case 6:
            s.draft.places.append(replace(place, page=None))
        case 7:
            place.page = s.reader.below(45)
        case _:
            place.key = s.key()


def void_lie(s: Step) -> None:
    """Free space where something is, or far out."""
    piece = s.entry()
    if s.reader.byte() & 1 or piece is None:
        place = Place(b"", 0, None, s.reader.number(), s.reader.number(4))
    else:
        place = Place(b"", 0, piece, 0, s.reader.pick((0, 1, 63, -1)))
    s.draft.voids.append(place)


def slot_field(s: Step) -> None:
    slots = [slot for slot in s.draft.slots if isinstance(slot, dict)]
    slot = s.reader.pick(slots)
    name = s.reader.pick(COUNTERS)
    width = {"kv_version": 1, "resizing": 1, "stage": 1, "target_stage": 1, "backup_type": 1}
    width |= {"algorithm": 2, "version": 1}
    number = s.reader.number(width.get(name, 8))
    if name in ("created", "updated"):
        number -= 1 << 63 if number >= 1 << 63 else 0
    slot[name] = number
    if slot is s.draft.slot and name == "hot_tail":
        s.draft.lies[name] = number


def root(s: Step) -> None:
    name = s.reader.pick(("head", "target", "base"))
    s.draft.slot[name] = s.key()
    if s.reader.byte() & 1:
        s.draft.slot["head"] = s.draft.slot["target"] = s.draft.slot[name]


def spare(s: Step) -> None:
    match s.reader.below(6):
        case 0:
            s.draft.slot["flags"] = s.reader.byte()
        case 1:
            s.draft.slot["batch"] = s.reader.number(4)
        case 2:
            s.draft.lies["tail_length"] = s.reader.number()
        case 3:
            s.draft.slot["spare_version"] = s.reader.byte()
        case 4:
            s.draft.slot["spare_magic"] = bytes(4)
        case _:
            s.draft.slot["rest"] = b"\1\2\3\4\5"


def tail(s: Step) -> None:
    name = s.reader.pick(("version", "writes", "voids"))
    s.draft.tail_lies[name] = s.reader.number(1 if name == "version" else 4)


def kind(s: Step) -> None:
    """An export that says it is a database, a patch that says it is an export, ..."""
    s.draft.slot["backup_type"] = s.reader.byte() % 4


LIES: tuple[Callable[[Step], None], ...] = (
    value_byte,
    value_number,
    value_cut,
    value_spliced,
    reference,
    reference,
    file_field,
    file_field,
    child_field,
    child_field,
    child_field,
    chunk_bytes,
    header_field,
    entry_gone,
    entry_double,
    entry_raw,
    place_lie,
    place_lie,
    void_lie,
    slot_field,
    root,
    spare,
    tail,
    kind,
)
UNKEYED, RAW, CUT = 0x80, 0x7E, 0x7F


@cache
def file_bytes(name: str) -> bytes:
    """A kept file."""
    return gzip.decompress((FILES / f"{name}.gz").read_bytes())


def make(name: str, reader: Reader) -> bytes:
    """The file `name` with the lies of a recipe."""
    draft = Draft.parse(file_bytes(name))
    addresses = draft.addresses()
    after: list[tuple[int, int, int]] = []
    for _ in range(STEPS):
        if not reader.left:
            break
        what = reader.byte()
        if what & 0x7F in (RAW, CUT):
            after.append((what & 0x7F, reader.word() << 8 | reader.byte(), reader.byte()))
            continue
        step = Step(draft, addresses, reader, not what & UNKEYED)
        LIES[what % 128 % len(LIES)](step)
    data = bytearray(draft.build())
    for what, at, byte in after:
        at %= len(data) + 1
        if what == CUT:
            data = data[:at] if byte & 1 else data + data[at : at + byte]
        elif at < len(data):
            data[at] ^= byte or 1
    return bytes(data)
