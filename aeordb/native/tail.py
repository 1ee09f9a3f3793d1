"""Hot tails written by the native helper (native/tail.h; FORMAT.md, Hot tail)."""

from __future__ import annotations

from typing import Any

from aeordb.native._native import ffi, lib
from aeordb.native.hashing import hash_bytes
from aeordb.native.memory import new_unset
from aeordb.native.table import RECORD, Table
from aeordb.native.voids import Voids

_HEADER = int(lib.AEOR_TAIL_HEADER)
_VOID_RECORD = int(lib.AEOR_VOID_RECORD)


def write_tail(
    table: Table, voids: Voids, more: bytes, length: int
) -> tuple[memoryview, bytes, bytes]:
    """A hot tail of all records and free ranges, then zeros up to `length` bytes.

    `more` are void records that stand behind those of `voids`. Returns all of it, the void records
    in it, and its BLAKE3 hash. Raises ValueError if it does not fit.
    """
    more_count, rest = divmod(len(more), _VOID_RECORD)
    if rest:
        raise ValueError(f"void records of {len(more)} bytes")
    out: Any = new_unset("uint8_t[]", length)
    tail_hash: Any = new_unset("char[32]")
    records, listed = table.pointer, voids.pointer
    if lib.aeor_tail_write(records, listed, more, more_count, out, length, tail_hash):
        raise ValueError(f"the hot tail does not fit {length} bytes")
    tail = ffi.buffer(out)
    start = _HEADER + RECORD * records.count
    end = start + _VOID_RECORD * (listed.count + more_count)
    return memoryview(tail), tail[start:end], hash_bytes(tail_hash)
