"""The native CRC-32, by folding and by tables, against zlib's."""

import random
import zlib

import pytest

from aeordb.native import hashing
from aeordb.native._native import lib

NOISE = random.Random(13).randbytes(100_000)


def by_tables(data: bytes, value: int = 0) -> int:
    crc: int = lib.aeor_crc32_tables(data, len(data), value)
    return crc


@pytest.mark.parametrize("crc32", [hashing.crc32, by_tables])
def test_every_short_length_at_every_alignment(crc32) -> None:  # type: ignore[no-untyped-def]
    for length in [*range(400), 1446, 1450, 4096, 99_000]:
        data = NOISE[length % 17 : length % 17 + length]
        assert crc32(data) == zlib.crc32(data), length
        assert crc32(data, 0xDEADBEEF) == zlib.crc32(data, 0xDEADBEEF), length


def test_continues_from_a_value() -> None:
    assert hashing.crc32(NOISE[777:], hashing.crc32(NOISE[:777])) == zlib.crc32(NOISE)


def test_any_buffer() -> None:
    assert hashing.crc32(memoryview(NOISE)[5:]) == zlib.crc32(NOISE[5:])
    assert hashing.crc32(bytearray(b"123456789")) == 0xCBF43926
