"""Index pages, and which page a key belongs to."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format.errors import ChecksumError, FormatError, MagicError
from aeordb.format.page import (
    IndexRecord,
    block_length,
    decode_page,
    encode_page,
    page_of,
    pages,
)
from tests.format import values

RECORD = IndexRecord(b"\1" * 32, c.KV_FILE | c.KV_DELETED, 1 << 40, 99)


@given(st.lists(values.index_records, max_size=32))
def test_a_page_comes_back(records: list[IndexRecord]) -> None:
    page = encode_page(records)
    assert len(page) == 1450
    assert decode_page(page) == records


@given(st.lists(values.index_records, min_size=1, max_size=4), st.integers(0, 1450 * 8 - 1))
def test_any_flipped_bit_is_seen(records: list[IndexRecord], bit: int) -> None:
    page = bytearray(encode_page(records))
    page[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        decode_page(bytes(page))


def test_a_page_without_magic_and_count_is_empty() -> None:
    assert decode_page(bytes(1450)) == []
    assert decode_page(bytes(4) + b"\1" * 4 + bytes(2) + b"\1" * 1440) == []
    assert encode_page([]) == bytes(1450)


def test_the_faults_have_their_own_types() -> None:
    page = encode_page([RECORD])
    with pytest.raises(MagicError):
        decode_page(bytes(4) + page[4:])
    with pytest.raises(ChecksumError):
        decode_page(page[:-1] + b"\1")
    with pytest.raises(FormatError, match="1449 bytes"):
        decode_page(page[:-1])
    with pytest.raises(FormatError):
        encode_page([RECORD] * 33)
    with pytest.raises(FormatError):
        encode_page([RECORD._replace(offset=-1)])
    with pytest.raises(FormatError):
        encode_page([RECORD._replace(key=b"short")])


def test_a_count_above_32_is_refused_with_a_good_crc() -> None:
    page = bytearray(encode_page([RECORD] * 32))
    page[4:10] = b"\0\0\0\0\x21\0"
    struct.pack_into("<I", page, 4, zlib.crc32(page))
    with pytest.raises(FormatError, match="33 records"):
        decode_page(bytes(page))


def test_kv_type_and_flags_are_told_apart() -> None:
    assert RECORD.kv_type == c.KV_FILE
    assert RECORD.deleted
    assert not RECORD._replace(kv=c.KV_FILE | c.KV_PENDING).deleted


def test_blocks_double_beyond_the_last_stage() -> None:
    assert block_length(7) == 2 << 30
    assert block_length(c.STAGE_MAX) == 1 << 62
    assert pages(0) == 45
    for stage in (-1, c.STAGE_MAX + 1):
        with pytest.raises(FormatError):
            block_length(stage)


def test_the_page_of_a_key_is_computed_in_doubles() -> None:
    """Integers give another page than doubles for some keys near an edge."""
    assert page_of(bytes(32), 45) == 0
    assert page_of(b"\xff" * 32, 45) == 44
    count = 45
    differs = 0
    for page in range(1, count):
        edge = (page << 64) // count
        for x in range(edge - 2, edge + 3):
            key = x.to_bytes(8, "big") + bytes(24)
            differs += page_of(key, count) != x * count >> 64
    assert differs


@given(values.hashes, st.sampled_from([0, 1, 2, 3, 4, 5, 6, 20]))
def test_the_page_of_a_key_is_a_page(key: bytes, stage: int) -> None:
    assert 0 <= page_of(key, pages(stage)) < pages(stage)
