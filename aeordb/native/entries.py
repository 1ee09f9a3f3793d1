"""What a log entry holds once read and verified, and verification of many at once."""

from array import array
from typing import TYPE_CHECKING, NamedTuple

from ._native import ffi, lib
from .faults import EntryFault, MapFault, NativeFault

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Entry(NamedTuple):
    """A verified log entry (FORMAT.md, Entries); time in ms, value as stored (perhaps zstd)."""

    type: int
    version: int
    flags: int
    compression: int
    time: int
    offset: int
    value: bytes


def entry_fault(code: int, offset: int, length: int, key: bytes | None) -> NativeFault:
    """The exception for the helper's code about the entry at `offset`."""
    if code == lib.AEOR_ERR_FAULT:
        return MapFault(offset, length)
    if code == lib.AEOR_ERR_ARGUMENT:  # grew between two reads: it is not what was found
        code = lib.AEOR_ERR_ENTRY_LENGTHS
    return EntryFault(offset, code, key)


def verify_entries(
    buffer: "ReadableBuffer", offsets: "array[int]", lengths: "array[int]"
) -> list[tuple[int, int]]:
    """(index, code) of each entry whose header or integrity hash is bad; codes as in EntryFault.

    `offsets` and `lengths` are array('Q'), in bytes; the buffer may be a mapped file, which is
    read under the guard (MapFault).
    """
    if offsets.typecode != "Q" or lengths.typecode != "Q" or len(offsets) != len(lengths):
        raise ValueError("offsets and lengths are array('Q') of one length")
    lib.aeor_guard_install()
    data = ffi.from_buffer("uint8_t[]", buffer)
    codes = array("i", bytes(4 * len(offsets)))
    code = lib.aeor_entries_verify(
        data,
        len(data),
        ffi.from_buffer("uint64_t[]", offsets),
        ffi.from_buffer("uint64_t[]", lengths),
        len(offsets),
        ffi.from_buffer("int32_t[]", codes),
    )
    if code != lib.AEOR_OK:
        raise MapFault(0, len(data))
    return [(index, code) for index, code in enumerate(codes) if code != lib.AEOR_OK]
