"""A hash table of index records in hot-tail form: a view's tail, a transaction's overlay."""

import os
from functools import partial
from typing import Any

from ._native import ffi, lib

RECORD = 46
"""Bytes of a record: u8 1, key, u8 KV type and flags, u64 offset, u32 total length."""

# One secret per process: keys come from files, and nobody shall be able to make them collide.
_SEED = int.from_bytes(os.urandom(8), "little"), int.from_bytes(os.urandom(8), "little")


def check_records(records: Any) -> Any:
    """The records as the helper takes them; ValueError unless they are whole.

    To be taken with `with`: a memoryview that something still holds on to in the frames of an
    error crashes Python 3.11, once the collector finds them in a cycle.
    """
    if len(records) % RECORD:
        raise ValueError(f"records are {RECORD} bytes each")
    return ffi.from_buffer("uint8_t[]", records)


def check_key(key: bytes) -> bytes:
    """The key; ValueError unless it is 32 bytes (the helper reads that many)."""
    if len(key) != 32:
        raise ValueError("a key is 32 bytes")
    return key


def _nothing(*_: object) -> None:
    pass


class Table:
    """Key to (KV type and flags, offset, total length), in the order of the first put.

    Deleted records (flag 0x20) are records too.  The helper works without the GIL: nothing may
    be put while another thread reads.
    """

    __slots__ = ("__weakref__", "pointer")

    def __init__(self) -> None:
        table: Any = ffi.new("struct aeor_table *")
        lib.aeor_table_init(table, *_SEED)
        self.pointer: Any = ffi.gc(table, lib.aeor_table_free)

    @classmethod
    def from_records(cls, records: bytes | bytearray | memoryview) -> "Table":
        """A table of records that stand one after the other; of a key's records the last counts."""
        table = cls()
        table.put_many(records)
        return table

    def copy(self) -> "Table":
        """Another table with the same records."""
        table = Table()
        self._check(lib.aeor_table_copy(table.pointer, self.pointer))
        return table

    def __len__(self) -> int:
        return int(self.pointer.count)

    def __contains__(self, key: bytes) -> bool:
        return bool(lib.aeor_table_find(self.pointer, check_key(key)) >= 0)

    def number(self, key: bytes) -> int | None:
        """The number of the key's record among all, also of a deleted one."""
        found = int(lib.aeor_table_find(self.pointer, check_key(key)))
        return None if found < 0 else found

    def put(self, key: bytes, kv: int, offset: int, length: int) -> None:
        """Adds or replaces the record of `key`; lengths in bytes."""
        self._check(lib.aeor_table_put(self.pointer, check_key(key), kv, offset, length))

    def put_many(self, records: bytes | bytearray | memoryview) -> None:
        """Adds or replaces records that stand one after the other."""
        with check_records(records) as data:
            if len(data) and not self.pointer.count:
                self._check(lib.aeor_table_reserve(self.pointer, len(data) // RECORD))
            self._check(lib.aeor_table_put_many(self.pointer, data, len(data) // RECORD))

    def put_table(self, other: "Table") -> None:
        """Adds or replaces all records of another table."""
        records = other.pointer
        self._check(lib.aeor_table_put_many(self.pointer, records.records, records.count))

    def get(self, key: bytes) -> tuple[int, int, int] | None:
        """(KV type and flags, offset, total length), also of a deleted record."""
        location: Any = ffi.new("uint64_t[3]")
        if lib.aeor_table_get(self.pointer, check_key(key), location) != lib.AEOR_OK:
            return None
        return int(location[0]), int(location[1]), int(location[2])

    def records(self) -> bytes:
        """All records, in the order of their first put."""
        return bytes(self.record_view())

    def record_view(self) -> memoryview:
        """The same without a copy; it must not be read after the next put."""
        if not self.pointer.count:
            return memoryview(b"")
        # This destructor does nothing but keep the table's memory as long as the view lives.
        records: Any = ffi.gc(self.pointer.records, partial(_nothing, self.pointer))
        return memoryview(ffi.buffer(records, self.pointer.count * RECORD)).toreadonly()

    @staticmethod
    def _check(code: int) -> None:
        if code != lib.AEOR_OK:
            raise MemoryError("no memory for index records")
