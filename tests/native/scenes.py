"""Logs made up of honest and of wrong entries, an index over them, and what verification must say:
the oracle of test_verify.py."""

import random
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aeordb.format.records import DeletionRecord, SnapshotRecord, SymlinkRecord, encode_file_record
from aeordb.native import verify as v
from aeordb.native.index import ALL, Index
from aeordb.native.map import Map
from aeordb.native.table import Table
from aeordb.native.verify import Sums, Verification
from aeordb.native.walk import Marks
from tests.native import bits
from tests.native.trees import CHUNK, DIRECTORY, FILE, SYMLINK

DELETION, SNAPSHOT, VOID, FORK, UNKNOWN = 4, 5, 6, 7, 9
HASH_FAULT, NODE_CUT, NODE_KIND = -26, -40, -41
LATEST = 1000
PAGES = 3

Found = Counter[tuple[int, int, bytes]]
"""(code, offset, key) of rows."""


@dataclass
class Made:
    """An entry of a made-up log; `match` is what its key is the address of."""

    kind: int
    key: bytes
    value: bytes
    match: str
    time: int = 5
    version: int = 0
    flags: int = 0
    compression: int = 0
    damaged: bool = False
    offset: int = 0
    path: bytes = b""
    same: object = None
    image: bytes = field(init=False, default=b"")

    def encode(self) -> bytes:
        image = bytearray(bits.entry(self.kind, self.key, self.value, self.time, self.version))
        image[6], image[9] = self.flags, self.compression
        if self.damaged:
            image[-1 if self.value else 40] ^= 1
        self.image = bytes(image)
        return self.image

    @property
    def stored(self) -> bytes:
        return self.image[31:63]


def chunk(chance: random.Random) -> Made:
    data = chance.randbytes(chance.randrange(40))
    match = chance.choice(["content", "content", "system", "none", "compressed"])
    prefix = {"content": b"chunk:", "system": b"system::"}.get(match, b"other:")
    key = bits.blake3(prefix + data).digest()
    return Made(CHUNK, key, data, match, compression=int(match == "compressed"))


def file(chance: random.Random) -> Made:
    path = chance.choice(["/a", "/b/c", "/.aeordb-system/x", "/.aeordb-systems", "/" + "l" * 600])
    keys = b"".join(bits.key_of(str(chance.randrange(9))) for _ in range(chance.randrange(4)))
    keys *= chance.choice([1, 1, 6])
    kind = chance.choice(["", "text/plain"])
    value = encode_file_record(path, kind, 5, chance.randrange(9), 1, bytes(32), b"", keys)
    match = chance.choice(["path", "path", "identity", "identity", "foreign", "none"])
    texts = {
        "path": b"file:" + path.encode(),
        "identity": b"fileid:%b\0%b\0%b" % (path.encode(), kind.encode(), keys),
        "foreign": b"filec:" + value,
    }
    key = bits.blake3(texts.get(match, b"no address")).digest()
    if match == "path" and (path + "/").startswith("/.aeordb-system/"):
        match = "system-path"
    made = Made(FILE, key, value, match, version=1)
    made.path, made.same = bits.key_of(f"file:{path}"), (path, kind, keys)
    return made


def symlink(chance: random.Random) -> Made:
    path, target = chance.choice(["/l", "/m"]), chance.choice(["/a", "t" * 700])
    value = SymlinkRecord(path, target, chance.randrange(9), 1).encode()
    match = chance.choice(["path", "identity", "content", "none"])
    texts = {
        "path": f"symlink:{path}".encode(),
        "identity": f"symlinkid:{path}\0{target}".encode(),
        "content": b"symlinkc:" + value,
    }
    made = Made(SYMLINK, bits.blake3(texts.get(match, value)).digest(), value, match)
    made.path, made.same = bits.key_of(f"symlink:{path}"), (path, target)
    return made


def directory(chance: random.Random) -> Made:
    value = b"" if chance.random() < 0.2 else bytes([chance.randrange(4)]) + chance.randbytes(50)
    match = chance.choice(["content", "loose"])
    prefix = b"btree:" if value and value[0] < 2 else b"dirc:"
    if match == "loose":
        prefix, value = b"dir:", chance.choice([value, bytes(32)])
    return Made(DIRECTORY, bits.blake3(prefix + value).digest(), value, match)


def named(chance: random.Random) -> Made:
    name = chance.choice(["one", "two", "three"])
    value = SnapshotRecord(name, bits.key_of("root"), 5, b"").encode()
    match = chance.choice(["content", "none"])
    key = bits.key_of(f"snap:{name}" if match == "content" else f"::aeordb:fork:{name}")
    return Made(SNAPSHOT, key, value, match)


def deletion(chance: random.Random) -> Made:
    path, time = chance.choice(["/a", "snap:one", "/" + "d" * 520]), chance.choice([0, 7, 10**12])
    texts = [f"del:{path}:{time}", f"file:{path}", f"dir:{path}", f"symlink:{path}", path]
    number = chance.randrange(6)
    key = bits.key_of(texts[number] if number < 5 else "else")
    value = DeletionRecord(path, time, "why").encode()
    return Made(DELETION, key, value, "content" if number < 5 else "none")


def odd(chance: random.Random) -> Made:
    value, which = chance.randbytes(3), chance.randrange(5)
    key = bits.key_of(f"odd {chance.random()}")
    return [
        Made(VOID, b"", bytes(9), "void"),
        Made(CHUNK, key[:7], value, "short"),
        Made(FILE, key, b"{json", "own"),
        Made(SYMLINK, key, value, str(NODE_CUT)),
        Made(UNKNOWN, key, value, str(NODE_KIND)),
    ][which]


MAKERS: list[Callable[[random.Random], Made]] = [
    *(chunk, chunk, file, file, file, symlink, directory, directory, named, deletion, odd)
]


class Scene:
    """A log, an index over some of it, and what is told of both."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.entries = [chance.choice(MAKERS)(chance) for _ in range(60)]
        paged = chance.random() < 0.5
        log = b""
        self.gaps: list[tuple[int, int]] = []
        offset = base = PAGES * bits.PAGE if paged else 0
        whole = False
        for made in self.entries:
            # A damaged entry before a gap would be a part of it.
            if whole and chance.random() < 0.1:
                gap = chance.randbytes(chance.randrange(1, 90)).replace(b"\xdb", b"!")
                self.gaps.append((offset, offset + len(gap)))
                log, offset = log + gap, offset + len(gap)
            made.offset = offset
            made.time = chance.choice([1, 5, 5, LATEST, LATEST + 1, -1])
            made.flags = chance.choice([0, 0, 0, 1, 2])
            made.damaged = chance.random() < 0.1
            log += made.encode()
            offset += len(made.image)
            whole = not made.damaged
        self.start, self.end = base, offset
        self.rows: dict[bytes, bits.Location] = {}
        for made in chance.sample(self.entries, 45):
            if len(made.key) == 32:
                where = bits.KV_TYPE.get(made.kind, 6), made.offset, len(made.image)
                self.rows[made.key] = chance.choice(
                    [
                        *[where] * 9,
                        (8, *where[1:]),
                        (where[0], where[1], where[2] + 1),
                        (where[0], where[1] + 1, where[2]),
                        (where[0] | bits.DELETED, *where[1:]),
                    ]
                )
        for number in range(3):
            self.rows[bits.key_of(f"lost {seed} {number}")] = 1, base + number, 99
        self.index = self._index(log, chance, paged)
        self.voids = struct.pack("<QQ", base + 300, base + 420)
        self.strays = chance.random() < 0.5
        self.system = chance.random() < 0.3
        live = [key for key in self.rows if self.live(key)]
        self.head_keys = set(chance.sample(live, len(live) // 2))
        self.reached_keys = self.head_keys | set(chance.sample(live, len(live) // 3))
        self.roots = [made.key for made in self.entries if made.match == "loose"][:1]
        self.has_head = chance.random() < 0.8

    def _index(self, log: bytes, chance: random.Random, paged: bool) -> Index:
        if not paged:
            self.map = Map(log)
            return Index(self.map, 0, 0, Table.from_records(bits.records(self.rows)), b"", ALL)
        pages: list[list[tuple[bytes, bits.Location]]] = [[] for _ in range(PAGES)]
        table = Table()
        for key, where in self.rows.items():
            page = pages[bits.page_of(key, PAGES)]
            if len(page) < 30 and chance.random() < 0.7:
                page.append((key, where))
            else:
                table.put(key, *where)
                if chance.random() < 0.5:  # What the table overlays says nothing.
                    page.append((key, (0, 1, 2)))
        self.map = Map(b"".join(map(bits.page, pages)) + log)
        return Index(self.map, 0, PAGES, table)

    def live(self, key: bytes) -> bool:
        return key in self.rows and not self.rows[key][0] & bits.DELETED

    def at(self, offset: int) -> Made | None:
        return next((made for made in self.entries if made.offset == offset), None)

    def verification(self) -> Verification:
        head, reached = Marks(self.index), Marks(self.index)
        head.add_keys(self.index, b"".join(self.head_keys))
        reached.add_keys(self.index, b"".join(self.reached_keys))
        found = Verification(
            self.index,
            head=head if self.has_head else None,
            reached=reached,
            voids=self.voids,
            roots=b"".join(self.roots),
            latest=LATEST,
            files=True,
            system=self.system,
        )
        if self.strays:
            found.report_strays()
        return found

    # ---- the same in plain words ----

    def log_rows(self) -> tuple[Found, Sums]:
        found: Found = Counter()
        zero = bytes(32)
        for start, _ in self.gaps:
            found[v.GAP, start, zero] += 1
        unindexed = [made for made in self.entries if self.is_unindexed(made)]
        for made in self.entries:
            key = made.key if len(made.key) == 32 else zero
            for code in self.codes(made):
                found[code, made.offset, key] += 1
        voids = [made for made in self.entries if made.kind == VOID]
        every = sum(len(made.image) for made in self.entries)
        return found, Sums(
            len(self.entries),
            every + sum(end - start for start, end in self.gaps),
            every,
            len(unindexed),
            sum(len(made.image) for made in unindexed),
            len(voids),
            sum(len(made.image) for made in voids),
            sum(made.match == "foreign" and not made.damaged for made in self.entries),
            sum(found.values()),
        )

    def is_unindexed(self, made: Made) -> bool:
        return made.kind != VOID and len(made.key) == 32 and made.key not in self.rows

    def codes(self, made: Made) -> list[int]:
        codes = []
        fields = made.flags > 1 or made.version > (made.kind == FILE)
        if made.damaged:
            codes.append(HASH_FAULT)
        elif fields or made.compression > (made.kind == CHUNK):
            codes.append(v.FIELDS)
        if not 0 <= made.time <= LATEST:
            codes.append(v.TIME)
        if made.kind == VOID:
            return codes
        if len(made.key) != 32:
            return codes if made.damaged else [*codes, v.ADDRESS]
        codes += self.index_codes(made)
        if made.damaged:
            return codes
        located = self.is_located(made)
        if made.match.startswith("-"):
            codes.append(int(made.match))
        elif made.match == "none":
            codes.append(v.ADDRESS)
        elif made.match == "compressed":
            codes.append(v.COMPRESSED)
        elif made.match == "identity" and located:
            if self.has_head and made.key in self.head_keys and not self.path_holds(made):
                codes.append(v.PATH)
            if made.kind == FILE and made.key in self.reached_keys:
                codes.append(v.FILE)
        return codes

    def is_located(self, made: Made) -> bool:
        return self.live(made.key) and self.rows[made.key][1] == made.offset

    def index_codes(self, made: Made) -> list[int]:
        if self.is_located(made):
            kv, _, length = self.rows[made.key]
            good = kv == bits.KV_TYPE.get(made.kind) and length == len(made.image)
            return [] if good else [v.KIND]
        if self.live(made.key):
            return [v.OUTDATED] if self.is_newer(made) else []
        wanted = made.match == "own" or made.kind in (SNAPSHOT, FORK) or made.key in self.roots
        if self.is_unindexed(made) and wanted and not made.damaged:
            return [v.UNINDEXED]
        return []

    def is_newer(self, made: Made) -> bool:
        _, offset, length = self.rows[made.key]
        other = self.at(offset)
        if other is None or len(other.image) != length or made.kind == CHUNK or made.damaged:
            return False
        if (made.time, made.offset) < (other.time, other.offset):
            return False
        if made.kind == DIRECTORY and not made.value:
            return False
        return made.stored != other.stored

    def path_holds(self, made: Made) -> bool:
        if not self.live(made.path):
            return False
        _, offset, length = self.rows[made.path]
        other = self.at(offset)
        if other is None or len(other.image) != length or other.kind != made.kind:
            return False
        return other.same == made.same

    def index_rows(self) -> tuple[Found, int]:
        found: Found = Counter()
        low, high = struct.unpack("<QQ", self.voids)
        paths = {
            made.path
            for made in self.entries
            if made.match == "identity"
            and not made.damaged
            and self.is_located(made)
            and self.has_head
            and made.key in self.head_keys
            and self.path_holds(made)
        }
        live = 0
        for key, (kv, offset, length) in self.rows.items():
            if kv & bits.DELETED:
                continue
            live += 1
            made = next((m for m in self.entries if m.key == key and m.offset == offset), None)
            if offset < high and offset + length > low:
                found[v.OVERLAP, offset, key] += 1
            elif made is None:
                found[v.LOST, offset, key] += 1
            if made is None or made.damaged:
                continue
            loose = made.match in ("loose", "path") or (made.match == "system-path" and self.system)
            if not loose:
                continue
            if key in self.reached_keys:
                if kv == bits.KV_TYPE[DIRECTORY]:
                    found[v.ADDRESS, offset, key] += 1
            elif self.strays and key not in paths and key not in self.roots:
                found[v.STRAY, offset, key] += 1
        return found, live
