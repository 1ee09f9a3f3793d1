"""Values framed as log entries by the native helper (native/frame.h; FORMAT.md, Entries)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from aeordb.native._native import ffi, lib
from aeordb.native.hashing import Buffer

HEADER_SIZE = 63  # ahead of the key: the fixed part and the integrity hash
VALUE_LIMIT = 1 << 30  # bytes
ROOM = int(lib.AEOR_FRAME_OVERHEAD)  # bytes of an entry ahead of its value


def frame_entries(
    types: bytes,
    versions: bytes,
    flags: bytes,
    compressions: bytes,
    keys: bytes,
    values: Sequence[Buffer],
    first_time: int,
) -> bytearray:
    """The n log entries of n values, framed one after the other, with integrity hashes.

    ``types``, ``versions``, ``flags`` and ``compressions`` have a byte per entry, ``keys`` has 32;
    entry i's time is ``first_time`` + i, in milliseconds.  Each value is copied once.  Raises
    ValueError for shapes that differ and for a value of more than 2^30 bytes.
    """
    count = len(values)
    if not len(types) == len(versions) == len(flags) == len(compressions) == count:
        raise ValueError(f"{count} values need {count} types, versions, flags and compressions")
    if len(keys) != 32 * count:
        raise ValueError(f"{count} values need {32 * count} bytes of keys, not {len(keys)}")
    # Joining leaves the room that the helper fills: one copy of each value, and no pointers.
    parts: list[Buffer] = [bytes(ROOM)] * (2 * count)
    parts[1::2] = values
    frames = bytearray().join(parts)
    lengths = array("Q", map(len, values))
    frame_in_place(frames, types, versions, flags, compressions, keys, lengths, first_time)
    return frames


def frame_in_place(
    frames: bytearray,
    types: bytes,
    versions: bytes,
    flags: bytes,
    compressions: bytes,
    keys: bytes,
    lengths: array[int],
    first_time: int,
) -> None:
    """The same for values that lie in ``frames`` already, each behind ``ROOM`` bytes, no gaps.

    ``lengths`` is an array of type "Q" with the values' lengths in bytes. Raises ValueError.
    """
    count = len(lengths)
    if not len(types) == len(versions) == len(flags) == len(compressions) == count:
        raise ValueError(f"{count} values need {count} types, versions, flags and compressions")
    if len(keys) != 32 * count or lengths.typecode != "Q":
        raise ValueError(f"{count} values need {32 * count} bytes of keys and an array('Q')")
    code = lib.aeor_frame_entries(
        ffi.from_buffer("uint8_t[]", frames, require_writable=True),
        len(frames),
        types,
        versions,
        flags,
        compressions,
        keys,
        ffi.from_buffer("uint64_t[]", lengths),
        count,
        first_time,
    )
    if code:
        raise ValueError(f"a value is no buffer of bytes, or has more than {VALUE_LIMIT} of them")


def void_header(total_length: int) -> bytes:
    """The 63 bytes with which a void entry of ``total_length`` bytes begins.

    The rest of the void must read as zeros: the integrity hash covers them.  Its time is 0.
    Raises ValueError unless 63 <= ``total_length`` <= 2^30 + 63.
    """
    if not HEADER_SIZE <= total_length <= HEADER_SIZE + VALUE_LIMIT:
        raise ValueError(f"no void entry has {total_length} bytes")
    out = ffi.new("uint8_t[]", HEADER_SIZE)
    lib.aeor_void_header(total_length, out)
    return bytes(ffi.buffer(out))
