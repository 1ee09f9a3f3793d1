"""Guarded reads of a mapped file: a file that is cut while mapped raises MapFault, no SIGBUS."""

from typing import TYPE_CHECKING, Any

from ._native import ffi, lib
from .entries import Entry, entry_fault
from .faults import MapFault

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Map:
    """A read-only view of a mapped file (or any buffer), read under the guard.

    It keeps the buffer exported: close it and drop every Index over it before the mmap is closed.
    Reads that run in other threads while it is closed finish safely, as each holds the buffer.
    """

    def __init__(self, data: "ReadableBuffer") -> None:
        lib.aeor_guard_install()
        self._data: Any = ffi.from_buffer("uint8_t[]", data)
        self.length = len(self._data)

    @property
    def pointer(self) -> Any:
        """The buffer for the helper's calls; ValueError once closed."""
        if self._data is None:
            raise ValueError("the map is closed")
        return self._data

    def __len__(self) -> int:
        return self.length

    def copy(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on; MapFault if they are not all there."""
        # Bounded before anything is allocated for it.
        if not 0 <= offset <= self.length or not 0 <= length <= self.length - offset:
            raise MapFault(offset, length)
        out = bytearray(length)
        self.copy_into(out, 0, offset, length)
        return bytes(out)

    def copy_into(self, out: bytearray | memoryview, at: int, offset: int, length: int) -> None:
        """The same into `out`, from its byte `at` on; ValueError if it has no room for them."""
        data = self.pointer
        if not 0 <= at <= len(out) or not 0 <= length <= len(out) - at:
            raise ValueError(f"no room for {length} bytes at {at} of {len(out)}")
        if not 0 <= offset <= self.length:
            raise MapFault(offset, length)
        with ffi.from_buffer("uint8_t[]", out) as target:
            code = lib.aeor_map_copy(target + at, data, self.length, offset, length)
        if code != lib.AEOR_OK:
            raise MapFault(offset, length)

    def fetch(self, offset: int, length: int | None = None, key: bytes | None = None) -> Entry:
        """The verified entry at `offset`, of that total length and key if they are given.

        EntryFault if it is another or damaged, MapFault if it cannot be read.
        """
        data = self.pointer
        if key is not None and len(key) != 32:
            raise ValueError("a key is 32 bytes")
        entry: Any = ffi.new("struct aeor_entry *")
        code = lib.AEOR_ERR_ENTRY_BOUNDS
        if 0 <= offset <= self.length and 0 <= (length or 0) < 1 << 32:
            code = lib.aeor_entry_header(data, self.length, offset, length or 0, entry)
        if code != lib.AEOR_OK:
            raise entry_fault(code, offset, length or 0, key)
        return fetch_located(data, self.length, offset, entry.total_length, entry.value_length, key)

    def close(self) -> None:
        """Lets go of the buffer; reads after this raise ValueError."""
        self._data = None


def fetch_located(
    data: Any, map_length: int, offset: int, length: int, value_length: int, key: bytes | None
) -> Entry:
    """Reads an entry whose header was found to lie within the map with these lengths."""
    entry: Any = ffi.new("struct aeor_entry *")
    value = bytearray(value_length)
    code = lib.aeor_entry_fetch(
        data,
        map_length,
        offset,
        length,
        ffi.NULL if key is None else key,
        ffi.from_buffer("uint8_t[]", value),
        value_length,
        entry,
    )
    if code != lib.AEOR_OK:
        raise entry_fault(code, offset, length, key)
    return Entry(
        entry.type,
        entry.version,
        entry.flags,
        entry.compression,
        entry.time,
        offset,
        bytes(value),
    )
