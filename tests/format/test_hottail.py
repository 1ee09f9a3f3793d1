"""The hot tail: records, voids, padding, and what is refused."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format.errors import ChecksumError, FormatError, MagicError, VersionError
from aeordb.format.hottail import (
    Void,
    decode_hot_tail,
    encode_hot_tail,
    encode_tail_record,
    encode_tail_records,
    hot_tail_length,
    region_length,
)
from aeordb.format.page import IndexRecord
from tests.format import values

RECORD = IndexRecord(b"\1" * 32, c.KV_FILE, 70000, 99)
RAW = encode_hot_tail(encode_tail_records([RECORD, RECORD]), [(66048, 100), (80000, 63)])


def with_crc(raw: bytes) -> bytes:
    return raw[:14] + zlib.crc32(raw[:14]).to_bytes(4, "little") + raw[18:]


@given(
    st.lists(values.index_records, max_size=5),
    st.lists(values.voids, max_size=5),
    st.integers(0, 700),
    st.binary(max_size=5),
)
def test_a_hot_tail_comes_back(
    records: list[IndexRecord], voids: list[Void], region: int, before: bytes
) -> None:
    raw = encode_hot_tail(encode_tail_records(records), voids, region)
    tail = decode_hot_tail(before + raw, len(before))
    assert list(tail.index_records()) == records
    assert tail.voids == tuple(voids)
    assert tail.record_count == len(records)
    assert tail.length == hot_tail_length(len(records), len(voids))
    assert len(raw) == max(region, tail.length)
    assert not any(raw[tail.length :])


def test_a_region_has_room_for_a_void_entry() -> None:
    assert region_length(0, 0) == 63
    assert region_length(1, 0) == 64
    assert region_length(0, 4) == 70


def test_every_cut_is_refused() -> None:
    for length in range(len(RAW)):
        with pytest.raises(FormatError):
            decode_hot_tail(RAW[:length])
    with pytest.raises(FormatError):
        decode_hot_tail(RAW, -1)


@given(st.integers(0, 18 * 8 - 1))
def test_any_flipped_bit_of_the_header_is_seen(bit: int) -> None:
    raw = bytearray(RAW)
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        decode_hot_tail(bytes(raw))


def test_the_faults_have_their_own_types() -> None:
    with pytest.raises(MagicError):
        decode_hot_tail(b"\xdb" + RAW[1:])
    with pytest.raises(VersionError):
        decode_hot_tail(with_crc(RAW[:5] + b"\2" + RAW[6:]))
    with pytest.raises(ChecksumError):
        decode_hot_tail(RAW[:6] + b"\1" + RAW[7:])


def test_stated_counts_are_not_believed() -> None:
    """2^32 - 1 writes and voids in a tail of 18 bytes: no memory may be taken for them."""
    raw = with_crc(RAW[:6] + b"\xff" * 8 + bytes(4))
    with pytest.raises(FormatError, match="4294967295 writes and 4294967295 voids is cut"):
        decode_hot_tail(raw)


def test_a_record_without_its_mark_is_refused() -> None:
    second = 18 + 46
    for at in (18, second, 18 + 92, 18 + 92 + 13):
        with pytest.raises(FormatError, match="marked 2") as caught:
            decode_hot_tail(RAW[:at] + b"\2" + RAW[at + 1 :])
        assert caught.value.offset == at


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FormatError):
        encode_tail_record(b"short", 0, 0, 0)
    with pytest.raises(FormatError):
        encode_tail_record(bytes(32), 256, 0, 0)
    with pytest.raises(FormatError):
        encode_hot_tail(b"x", [])
    with pytest.raises(FormatError):
        encode_hot_tail(b"", [(0, 1 << 32)])


def test_an_empty_tail_is_its_header() -> None:
    raw = encode_hot_tail(b"", [])
    assert len(raw) == 18
    tail = decode_hot_tail(raw)
    assert (tail.records, tail.voids, tail.length) == (b"", (), 18)
