"""Samples of bytes, by the native helper (native/sample.h)."""

from __future__ import annotations

from array import array

from aeordb.native._native import ffi, lib
from aeordb.native.hashing import Buffer


def samples(buffer: Buffer, offsets: array[int], lengths: array[int]) -> bytes:
    """For each of n slices of ``buffer`` 1 if it may be compressible, 0 if it looks like noise.

    What shrinks because some bytes are more frequent than others is found, wherever an eighth of
    the slice or more is of that kind; what shrinks by its repetitions alone is not.  ``offsets``
    and ``lengths`` are arrays of type "Q".  Raises ValueError for a slice that leaves the buffer.
    """
    count = len(offsets)
    if not offsets.typecode == lengths.typecode == "Q" or count != len(lengths):
        raise ValueError("two arrays of type 'Q' and of one length are needed")
    view = ffi.from_buffer(buffer)
    out = bytearray(count)
    code = lib.aeor_samples(
        view,
        len(view),
        ffi.from_buffer("uint64_t[]", offsets),
        ffi.from_buffer("uint64_t[]", lengths),
        count,
        ffi.from_buffer("uint8_t[]", out, require_writable=True),
    )
    if code:
        raise ValueError("a slice leaves its buffer")
    return bytes(out)
