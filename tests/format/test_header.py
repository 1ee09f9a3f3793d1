"""Header slots: what a writer writes, a reader reads; what was harmed is refused by its kind."""

import struct
import weakref
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format.errors import (
    AlgorithmError,
    ChecksumError,
    FormatError,
    MagicError,
    MarkerVersionError,
    VersionError,
)
from aeordb.format.header import (
    Header,
    Spare,
    UncheckedSlot,
    check_kv_block,
    live_slot,
    split_slots,
)
from tests.format import values

NEW = Header(
    sequence=1,
    created_at=1000,
    updated_at=1002,
    kv_offset=512,
    kv_length=65536,
    hot_tail_offset=66048,
    stage=0,
)
EMPTY_SLOT = bytes(256)


def with_crc(raw: bytes) -> bytes:
    return raw[:252] + struct.pack("<I", zlib.crc32(raw[:252]))


def patched(raw: bytes, offset: int, part: bytes) -> bytes:
    return with_crc(raw[:offset] + part + raw[offset + len(part) :])


@given(values.headers)
def test_a_header_comes_back(header: Header) -> None:
    raw = header.encode()
    assert len(raw) == 256
    assert UncheckedSlot(0, raw).check() == header


@given(values.headers, st.integers(0, 2047))
def test_any_flipped_bit_is_seen(header: Header, bit: int) -> None:
    raw = bytearray(header.encode())
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        UncheckedSlot(1, bytes(raw)).check()


def test_the_faults_have_their_own_types() -> None:
    raw = NEW.encode()
    with pytest.raises(MagicError) as magic:
        UncheckedSlot(1, b"SQLi" + raw[4:]).check()
    assert magic.value.offset == 256
    with pytest.raises(VersionError, match="version 2, only version 3"):
        UncheckedSlot(0, patched(raw, 4, b"\2")).check()
    with pytest.raises(AlgorithmError, match="algorithm 3"):
        UncheckedSlot(0, patched(raw, 5, b"\3\0")).check()
    with pytest.raises(ChecksumError):
        UncheckedSlot(0, raw[:100] + b"\xff" + raw[101:]).check()
    with pytest.raises(FormatError, match="255 bytes"):
        UncheckedSlot(0, raw[:-1]).check()


def test_values_that_do_not_fit_are_refused() -> None:
    for wrong in (
        NEW._replace(sequence=-1),
        NEW._replace(created_at=1 << 63),
        NEW._replace(stage=256),
        NEW._replace(head=b"short"),
        NEW._replace(spare=Spare(0, 63, b"short")),
        NEW._replace(spare=Spare(256, 63, c.ZERO_HASH)),
    ):
        with pytest.raises(FormatError):
            wrong.encode()


def test_the_live_slot_has_the_higher_sequence() -> None:
    older, newer = NEW.encode(), NEW._replace(sequence=2).encode()
    live = live_slot(older + newer)
    assert (live.index, live.header.sequence) == (1, 2)
    assert live.other == NEW
    live = live_slot(newer + older)
    assert (live.index, live.header.sequence) == (0, 2)


def test_slot_a_is_live_when_both_are_equal() -> None:
    other = NEW._replace(head=b"\1" * 32)
    assert live_slot(NEW.encode() + other.encode()).index == 0


def test_a_bad_slot_leaves_the_other_one() -> None:
    live = live_slot(EMPTY_SLOT + NEW.encode())
    assert (live.index, live.header, live.other) == (1, NEW, None)
    assert live_slot(NEW.encode()).index == 0
    assert split_slots(EMPTY_SLOT + NEW.encode())[0].is_zero


def test_two_bad_slots_raise_what_tells_most() -> None:
    raw = NEW.encode()
    version = patched(raw, 4, b"\4")
    torn = raw[:200] + bytes(56)
    with pytest.raises(VersionError):
        live_slot(torn + version)
    with pytest.raises(ChecksumError):
        live_slot(EMPTY_SLOT + torn)
    with pytest.raises(MagicError):
        live_slot(EMPTY_SLOT + EMPTY_SLOT)
    with pytest.raises(FormatError):
        live_slot(b"")


def test_a_newer_marker_is_never_answered_with_the_other_slot() -> None:
    """A file that a newer aeordb committed to must not be read one commit back."""
    marked = NEW._replace(sequence=2, spare=Spare(0, 63, c.ZERO_HASH)).encode()
    newer = patched(marked, c.SPARE_OFFSET + 4, b"\2")
    for slots in (NEW.encode() + newer, newer + NEW.encode(), newer + EMPTY_SLOT):
        with pytest.raises(MarkerVersionError):
            live_slot(slots)


def test_spare_bytes_that_are_not_ours_are_no_marker() -> None:
    assert Spare.decode(bytes(55)) is None
    assert Spare.decode(b"\xff" * 55) is None
    with pytest.raises(FormatError):
        Spare.decode(bytes(54))


def test_the_log_starts_behind_a_leading_kv_block() -> None:
    assert NEW.log_start == 66048
    assert NEW.pages == 45
    assert NEW._replace(kv_offset=90000).log_start == 512
    assert NEW._replace(kv_offset=0).log_start == 512
    # Found by fuzzing: verify went through 2^50 pages of a block that there is not.
    assert NEW._replace(kv_offset=0, kv_length=c.U64_MAX).pages == 0


def test_a_kv_block_must_lie_in_the_file() -> None:
    check_kv_block(NEW, 66048)
    check_kv_block(NEW._replace(kv_offset=0), 0)
    for header, length in (
        (NEW, 66047),
        (NEW._replace(kv_offset=511), 1 << 20),
        (NEW._replace(kv_length=1449), 1 << 20),
        (NEW._replace(kv_offset=c.U64_MAX, kv_length=c.U64_MAX), 1 << 20),
    ):
        with pytest.raises(FormatError):
            check_kv_block(header, length)


def test_a_slot_that_cannot_be_read_keeps_nothing_alive() -> None:
    """The faults of slots were kept with their tracebacks, in a cycle: views of a new database (its
    second slot is zero) held their reader's locks until the collector came by, against gc."""

    class Thing:
        pass

    def read() -> weakref.ref[Thing]:
        thing = Thing()
        live_slot(NEW.encode() + EMPTY_SLOT)
        return weakref.ref(thing)

    assert read()() is None
