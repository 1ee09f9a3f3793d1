"""Framed entries against entries built by hand from FORMAT.md's table."""

import random
import struct
from array import array

import pytest
from blake3 import blake3

from aeordb.native import framing

NOISE = random.Random(17).randbytes(2 << 20)


def entry(
    kind: int, version: int, flags: int, compression: int, key: bytes, value: bytes, time: int
) -> bytes:
    total = 63 + len(key) + len(value)
    head = struct.pack("<IBBBHBB", 0x0AE012DB, version, kind, flags, 1, compression, 0)
    head += struct.pack("<IIqI", len(key), len(value), time, total)
    return head + blake3(bytes([kind]) + key + value).digest() + key + value


def check(values: list[bytes], time: int) -> None:
    count = len(values)
    types, versions, flags, packed = (NOISE[n * count : (n + 1) * count] for n in range(4))
    keys = NOISE[-32 * count :] if count else b""
    frames = framing.frame_entries(types, versions, flags, packed, keys, values, time)
    want = [
        entry(types[i], versions[i], flags[i], packed[i], keys[32 * i :][:32], value, time + i)
        for i, value in enumerate(values)
    ]
    assert frames == b"".join(want)


@pytest.mark.parametrize(
    "lengths",
    [
        [],
        [0],
        [262144],
        [700_000, 0, 1],
        [50] * 700,
        list(range(1500)),
        [*range(980, 1000), 262144, *range(0, 70000, 3001), 600_000, *range(40)],
    ],
)
def test_entries(lengths: list[int]) -> None:
    check([NOISE[len(NOISE) - length :] for length in lengths], 1_700_000_000_000)


def test_values_that_lie_in_their_place_already() -> None:
    values = [NOISE[:5000], b"", NOISE[-70_000:], b"x"]
    args = (b"\1\2\3\4", b"\0\1\0\1", bytes(4), b"\0\1\0\1", NOISE[:128])
    room = bytearray().join(b"\xff" * framing.ROOM + value for value in values)
    lengths = array("Q", map(len, values))
    framing.frame_in_place(room, *args, lengths, 7)
    assert room == framing.frame_entries(*args, values, 7)
    with pytest.raises(ValueError, match="buffer"):
        framing.frame_in_place(room[:-1], *args, lengths, 7)
    with pytest.raises(ValueError, match="values need"):
        framing.frame_in_place(room, *args, lengths[:-1], 7)
    with pytest.raises(ValueError, match="bytes of keys"):
        framing.frame_in_place(room, *args[:4], NOISE[:127], lengths, 7)


def test_times_may_be_negative() -> None:
    check([b"a", b"b", b"c"], -2)


def test_any_buffer() -> None:
    value = NOISE[:3000]
    args = (b"\1", b"\0", b"\0", b"\0", bytes(32))
    want = framing.frame_entries(*args, [value], 5)
    for other in (bytearray(value), memoryview(value)):
        assert framing.frame_entries(*args, [other], 5) == want


def test_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="1 types"):
        framing.frame_entries(b"\1\1", b"\0", b"\0", b"\0", bytes(32), [b"v"], 0)
    with pytest.raises(ValueError, match="32 bytes of keys"):
        framing.frame_entries(b"\1", b"\0", b"\0", b"\0", bytes(31), [b"v"], 0)
    words = memoryview(bytes(16)).cast("Q")
    with pytest.raises(ValueError, match="no buffer of bytes"):
        framing.frame_entries(b"\1", b"\0", b"\0", b"\0", bytes(32), [words], 0)


@pytest.mark.parametrize("total", [63, 64, 95, 1086, 1087, 1088, 131_134, 131_135, 1_000_000])
def test_void_header(total: int) -> None:
    void = framing.void_header(total) + bytes(total - 63)
    assert void == entry(6, 0, 0, 0, b"", bytes(total - 63), 0)


@pytest.mark.parametrize("total", [-1, 0, 62, (1 << 30) + 64])
def test_no_such_void(total: int) -> None:
    with pytest.raises(ValueError, match="no void entry"):
        framing.void_header(total)
