"""Log entries: framing, the checks of a header, and void entries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format.entry import (
    decode_entry,
    decode_entry_header,
    encode_entry,
    encode_void,
    integrity_hash,
)
from aeordb.format.errors import AlgorithmError, ChecksumError, FormatError, MagicError
from aeordb.native.hashing import blake3
from tests.format import values

KEY = bytes(range(32))
RAW = encode_entry(c.ENTRY_FILE, KEY, b"value", 1234, version=1, flags=1)


@given(
    st.sampled_from(list(c.ENTRY_TYPES)),
    st.binary(max_size=40),
    values.blobs,
    values.i64,
    values.u8,
    values.u8,
    st.integers(0, 1),
    st.binary(max_size=9),
)
def test_an_entry_comes_back(
    kind: int,
    key: bytes,
    value: bytes,
    time: int,
    version: int,
    flags: int,
    compression: int,
    before: bytes,
) -> None:
    raw = encode_entry(
        kind, key, value, time, version=version, flags=flags, compression=compression
    )
    entry = decode_entry(before + raw + b"behind", len(before))
    assert (entry.key, entry.value) == (key, value)
    header = entry.header
    assert (header.type, header.version, header.flags) == (kind, version, flags)
    assert (header.compression, header.time) == (compression, time)
    assert header.total_length == len(raw) == 63 + len(key) + len(value)
    assert header.is_system == bool(flags & 1)


def test_the_integrity_hash_covers_type_key_and_value() -> None:
    assert integrity_hash(2, KEY, b"value") == blake3(b"\2" + KEY + b"value")
    assert decode_entry_header(RAW).integrity == integrity_hash(2, KEY, b"value")


@pytest.mark.parametrize("offset", [5, 31, 63, 95, len(RAW) - 1])
def test_a_flipped_byte_under_the_hash_is_seen(offset: int) -> None:
    raw = bytearray(RAW)
    raw[offset] ^= 1
    with pytest.raises(ChecksumError):
        decode_entry(bytes(raw))


@pytest.mark.parametrize(
    ("offset", "part", "error"),
    [
        (0, b"\0", MagicError),
        (5, b"\0", FormatError),
        (5, b"\x09", FormatError),
        (7, b"\2\0", AlgorithmError),
        (9, b"\2", AlgorithmError),
        (10, b"\1", AlgorithmError),
        (11, b"\1\0\0\x40", FormatError),
        (11, b"\x21", FormatError),
        (15, b"\1\0\0\x40", FormatError),
        (27, b"\0", FormatError),
    ],
)
def test_a_header_that_is_not_believable_is_refused(
    offset: int, part: bytes, error: type[FormatError]
) -> None:
    raw = RAW[:offset] + part + RAW[offset + len(part) :]
    with pytest.raises(error) as caught:
        decode_entry_header(b"....." + raw, 5)
    assert caught.value.offset in (5 + offset, 5 + 27)


def test_a_cut_entry_is_refused() -> None:
    for length in (0, 62, 63, len(RAW) - 1):
        with pytest.raises(FormatError, match="cut"):
            decode_entry(RAW[:length])
    with pytest.raises(FormatError, match="cut"):
        decode_entry_header(RAW, -1)


def test_values_that_do_not_fit_are_refused() -> None:
    for kind, time, version in ((0, 0, 0), (9, 0, 0), (1, 1 << 63, 0), (1, 0, 256)):
        with pytest.raises(FormatError):
            encode_entry(kind, KEY, b"", time, version=version)


@pytest.mark.parametrize("length", [63, 64, 5000])
def test_a_void_entry_covers_its_length_with_zeros(length: int) -> None:
    raw = encode_void(length, 77)
    entry = decode_entry(raw)
    assert len(raw) == length
    assert (entry.header.type, entry.header.time, entry.key) == (c.ENTRY_VOID, 77, b"")
    assert entry.value == bytes(length - 63)


@pytest.mark.parametrize("length", [-1, 0, 62, (1 << 30) + 1])
def test_a_void_entry_has_limits(length: int) -> None:
    with pytest.raises(FormatError):
        encode_void(length)
