"""Entries, records and pages by hand, from FORMAT.md's tables: what the helper is compared with."""

import struct
import zlib
from collections.abc import Iterable

from blake3 import blake3

PAGE = 1450
DELETED = 0x20
KV_TYPE = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 7: 7, 8: 9}

Location = tuple[int, int, int]
"""(KV type and flags, offset, total length)"""


def key_of(text: str) -> bytes:
    return blake3(text.encode()).digest()


def entry(kind: int, key: bytes, value: bytes, time: int = 1, version: int = 0) -> bytes:
    total = 63 + len(key) + len(value)
    head = struct.pack("<IBBBHBB", 0x0AE012DB, version, kind, 0, 1, 0, 0)
    head += struct.pack("<IIqI", len(key), len(value), time, total)
    return head + blake3(bytes([kind]) + key + value).digest() + key + value


def deletion(path: str, time: int) -> bytes:
    text = path.encode()
    value = struct.pack("<H", len(text)) + text + struct.pack("<qH", time, 0)
    return entry(4, key_of(f"del:{path}:{time}"), value, time)


def record(key: bytes, kv: int, offset: int, length: int) -> bytes:
    return struct.pack("<B32sBQI", 1, key, kv, offset, length)


def records(rows: dict[bytes, Location]) -> bytes:
    return b"".join(record(key, *where) for key, where in rows.items())


def split(data: bytes) -> list[tuple[bytes, Location]]:
    rows = [struct.unpack_from("<B32sBQI", data, at) for at in range(0, len(data), 46)]
    return [(key, (kv, offset, length)) for _, key, kv, offset, length in rows]


def page_of(key: bytes, pages: int) -> int:
    share = float(int.from_bytes(key[:8], "big")) / float(2**64 - 1)
    return min(pages - 1, int(share * float(pages)))


def page(rows: Iterable[tuple[bytes, Location]]) -> bytes:
    body = [struct.pack("<32sBQI", key, *where) for key, where in rows]
    image = struct.pack("<IIH", 0xAE0DB905, 0, len(body)) + b"".join(body)
    image = image.ljust(PAGE, b"\0")
    return image[:4] + struct.pack("<I", zlib.crc32(image)) + image[8:]


def rows_of(image: bytes) -> list[tuple[bytes, Location]]:
    count = struct.unpack_from("<H", image, 8)[0]
    rows = [struct.unpack_from("<32sBQI", image, 10 + 45 * i) for i in range(count)]
    return [(key, (kv, offset, length)) for key, kv, offset, length in rows]
