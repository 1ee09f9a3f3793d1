"""Trees of entries by hand, honest or not: keys are what the test says, hashes always hold."""

import random
import struct

from aeordb.format.nodes import encode_child, encode_internal, encode_leaf, encode_listing
from aeordb.format.records import SymlinkRecord, encode_file_record
from aeordb.native.index import ALL, Index
from aeordb.native.map import Map
from aeordb.native.table import Table
from tests.native import bits

CHUNK, FILE, DIRECTORY, SYMLINK = 1, 2, 3, 8


def child(kind: int, name: str, key: bytes) -> bytes:
    if not name:  # Which the package would not write.
        return struct.pack("<B32sQqqHHQQ", kind, key, 0, 1, 1, 0, 0, 0, 0)
    return encode_child(kind, key, 0, 1, 1, name, "")


class Forest:
    """Entries that are added under any key, and an index over them."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.kinds: dict[bytes, int] = {}

    def put(self, kind: int, value: bytes, key: bytes | None = None, version: int = 0) -> bytes:
        key = key or bits.key_of(f"{kind}:{value!r}")
        self.entries[key] = bits.entry(kind, key, value, 1 + len(self.entries), version)
        self.kinds[key] = bits.KV_TYPE[kind]
        return key

    def chunk(self, data: bytes) -> bytes:
        return self.put(CHUNK, data)

    def file(self, path: str, *chunks: bytes) -> bytes:
        value = encode_file_record(path, "", 0, 1, 1, bytes(32), b"", b"".join(chunks))
        return self.put(FILE, value, version=1)

    def symlink(self, path: str) -> bytes:
        return self.put(SYMLINK, SymlinkRecord(path, "/target", 1, 1).encode())

    def folder(self, *children: bytes, key: bytes | None = None) -> bytes:
        return self.put(DIRECTORY, encode_listing(children), key)

    def leaf(self, *children: bytes) -> bytes:
        return self.put(DIRECTORY, encode_leaf(children))

    def internal(self, names: list[str], keys: list[bytes], key: bytes | None = None) -> bytes:
        return self.put(DIRECTORY, encode_internal(names, keys), key)

    def index(self, pages: int = 0, seed: int = 1) -> Index:
        """Over the entries in a shuffled order: pages of a block, or one table."""
        keys = sorted(self.entries)
        random.Random(seed).shuffle(keys)
        offset = pages * bits.PAGE
        rows = {}
        for key in keys:
            rows[key] = self.kinds[key], offset, len(self.entries[key])
            offset += len(self.entries[key])
        log = b"".join(self.entries[key] for key in keys)
        if not pages:
            return Index(Map(log), 0, 0, Table.from_records(bits.records(rows)), b"", ALL)
        by_page: list[list[tuple[bytes, bits.Location]]] = [[] for _ in range(pages)]
        table = Table()
        for key, where in rows.items():
            page = by_page[bits.page_of(key, pages)]
            if len(page) < 32:
                page.append((key, where))
            else:
                table.put(key, *where)
        return Index(Map(b"".join(map(bits.page, by_page)) + log), 0, pages, table)
