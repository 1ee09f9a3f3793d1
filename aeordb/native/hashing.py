"""BLAKE3-256 and CRC-32 by the native helper (native/blake3.h, native/crc32.h).

Every call takes bytes-like objects, runs without the GIL, and chooses SIMD at run time.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

from aeordb.native._native import ffi, lib

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap

HASH_SIZE = 32
TOP_SIZE = 64
PIECE_SIZE = 262_144  # bytes that a top stands for
PREFIX_LIMIT = 64  # bytes: what fits the block that an input's first bytes share with it
_BATCH = 1024  # inputs per call: what is joined for one stays in the CPU's cache
_JOINED = 4096  # mean bytes up to which a copy costs less than a pointer from Python
_HASH = ffi.typeof("char[32]")
_unpack: Any = ffi.unpack  # into bytes, because the array is one of char
# Looked up once: one short input costs less than finding these.
_new: Any = ffi.new
_one_shot: Any = lib.aeor_blake3
SIMD_NAMES = ("portable", "sse4.1", "avx2", "avx512")


def blake3(data: Buffer) -> bytes:
    """The 32-byte BLAKE3 hash of ``data``."""
    out = _new(_HASH)
    view = data if type(data) is bytes else ffi.from_buffer(data)
    _one_shot(view, len(view), out)
    return _unpack(out, HASH_SIZE)  # type: ignore[no-any-return]


class Hasher:
    """A BLAKE3 hash over a stream of any length; not to be shared between threads."""

    __slots__ = ("_state",)

    def __init__(self, data: Buffer = b"") -> None:
        self._state = ffi.new("aeor_blake3_hasher *")
        lib.aeor_blake3_init(self._state)
        self.update(data)

    def update(self, data: Buffer) -> None:
        """Append ``data`` to the stream."""
        view = ffi.from_buffer(data)
        lib.aeor_blake3_update(self._state, view, len(view))

    def update_tops(self, tops: bytes) -> None:
        """Append whole pieces, given by the tops that `hash_pieces` made of them in their places.

        Raises ValueError unless the stream so far is of whole pieces.
        """
        if len(tops) % TOP_SIZE or lib.aeor_blake3_update_tops(
            self._state, tops, len(tops) // TOP_SIZE
        ):
            raise ValueError("tops follow whole pieces alone")

    def digest(self) -> bytes:
        """The 32-byte hash of all so far; the stream may go on."""
        out = ffi.new(_HASH)
        lib.aeor_blake3_digest(self._state, out)
        return hash_bytes(out)


def blake3_many(inputs: Sequence[bytes | memoryview], prefix: bytes = b"") -> list[bytes]:
    """The hash of ``prefix`` + input for each input, in SIMD lanes side by side.

    Raises ValueError for a prefix of more than 64 bytes.
    """
    hashes: list[bytes] = []
    for start in range(0, len(inputs), _BATCH):
        batch = inputs[start : start + _BATCH]
        lengths = array("Q", map(len, batch))
        out = bytearray(HASH_SIZE * len(batch))
        words = _words(lengths)
        tail = (words, len(batch), prefix, len(prefix), _bytes(out))
        if lib.aeor_blake3_total(words, len(batch)) <= _JOINED * len(batch):
            joined = b"".join(batch)
            _check(lib.aeor_blake3_joined(joined, len(joined), *tail))
        else:
            views = [ffi.from_buffer("uint8_t[]", data) for data in batch]
            _check(lib.aeor_blake3_pointers(ffi.new("uint8_t *[]", views), *tail))
        hashes.extend(_split(bytes(out), len(batch)))
    return hashes


@cache
def _whole_batch() -> Callable[[bytes], tuple[bytes, ...]]:
    """Cuts the hashes of a whole batch: with slices made once, in half the time of slicing."""
    ends = range(HASH_SIZE, HASH_SIZE * (_BATCH + 1), HASH_SIZE)
    split: Any = itemgetter(*(slice(end - HASH_SIZE, end) for end in ends))
    cut: Callable[[bytes], tuple[bytes, ...]] = split
    return cut


def _split(hashes: bytes, count: int) -> Sequence[bytes]:
    if count == _BATCH:
        return _whole_batch()(hashes)
    return [hashes[at : at + HASH_SIZE] for at in range(0, HASH_SIZE * count, HASH_SIZE)]


def blake3_slices(
    buffer: Buffer, offsets: array[int], lengths: array[int], prefix: bytes = b""
) -> bytes:
    """The hashes of ``prefix`` + slice, one after the other, for n slices of ``buffer``.

    ``offsets`` and ``lengths`` are arrays of type "Q" with n items, in bytes.  Raises ValueError
    for a slice that leaves the buffer, and for a prefix of more than 64 bytes.
    """
    if len(offsets) != len(lengths):
        raise ValueError(f"{len(offsets)} offsets, but {len(lengths)} lengths")
    view = ffi.from_buffer(buffer)
    out = bytearray(HASH_SIZE * len(offsets))
    _check(
        lib.aeor_blake3_slices(
            view,
            len(view),
            _words(offsets),
            _words(lengths),
            len(offsets),
            prefix,
            len(prefix),
            _bytes(out),
        )
    )
    return bytes(out)


def hash_pieces(
    buffer: Buffer, offsets: array[int], lengths: array[int], prefix: bytes, first: int
) -> tuple[bytes, bytes]:
    """(hashes of ``prefix`` + piece, tops) of n slices of ``buffer``: consecutive pieces of
    one stream.

    ``tops`` has 64 bytes for each piece, for `Hasher.update_tops`; those of a piece shorter than
    PIECE_SIZE mean nothing.  ``first`` is how many whole pieces are ahead of the first one.  Both
    take the memory's way once.  Raises ValueError like `blake3_slices`.
    """
    count = len(offsets)
    if count != len(lengths):
        raise ValueError(f"{count} offsets, but {len(lengths)} lengths")
    view = ffi.from_buffer(buffer)
    keys, tops = bytearray(HASH_SIZE * count), bytearray(TOP_SIZE * count)
    _check(
        lib.aeor_blake3_pieces(
            view,
            len(view),
            _words(offsets),
            _words(lengths),
            count,
            prefix,
            len(prefix),
            first,
            _bytes(keys),
            _bytes(tops),
        )
    )
    return bytes(keys), bytes(tops)


def crc32(data: Buffer, value: int = 0) -> int:
    """The CRC-32 of ``data``, continued from ``value``: the same as ``zlib.crc32``."""
    view = data if type(data) is bytes else ffi.from_buffer(data)
    crc: int = lib.aeor_crc32(view, len(view), value)
    return crc


def simd_name() -> str:
    """The instruction set that BLAKE3 uses: one of SIMD_NAMES."""
    return SIMD_NAMES[lib.aeor_blake3_simd()]


def set_simd(name: str) -> None:
    """Use another instruction set (for tests); ValueError if this CPU lacks it."""
    if name not in SIMD_NAMES or lib.aeor_blake3_set_simd(SIMD_NAMES.index(name)):
        raise ValueError(f"no SIMD level {name!r} here")


def hash_bytes(out: Any) -> bytes:
    """The hash that the helper wrote into an array of 32 chars."""
    value: bytes = _unpack(out, HASH_SIZE)
    return value


def _words(numbers: array[int]) -> Any:
    if numbers.typecode != "Q":
        raise ValueError(f"an array of type 'Q' is needed, not {numbers.typecode!r}")
    return ffi.from_buffer("uint64_t[]", numbers)


def _bytes(out: bytearray) -> Any:
    return ffi.from_buffer("uint8_t[]", out, require_writable=True)


def _check(code: int) -> None:
    if code == lib.AEOR_ERR_BOUNDS:
        raise ValueError("a slice leaves its buffer")
    if code:
        raise ValueError(f"a prefix has at most {PREFIX_LIMIT} bytes")
