"""Scanning the log of a mapped file, and rebuilding the index from it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ._native import ffi, lib
from .faults import MapFault
from .map import Map
from .table import Table

GAP = 0
"""The type of a gap: bytes that are no entry."""

_VOID = 6
_TYPES = 9  # entry types end before this


class LogEntry(NamedTuple):
    """An entry's header as it stands in the log, its value not looked at; or a gap (type GAP).

    `length` is the total length in bytes, of a gap its length; `key` is empty unless 32 bytes.
    """

    offset: int
    type: int
    flags: int
    time: int
    length: int
    key: bytes
    version: int
    compression: int
    value_length: int


class Rebuilt(NamedTuple):
    """An index made from the log."""

    table: Table  # of each key the newest entry; those that a deletion names carry the flag 0x20
    end: int  # where the last good entry ends
    latest: int  # the highest entry time met, in ms; 0 if none
    entries: int
    gaps: int


def scan_log(map: Map, start: int, end: int, batch: int = 4096) -> Iterator[list[LogEntry]]:  # noqa: A002
    """The entries from `start` (where one begins) to `end`, in offset order, in batches.

    Where no entry begins, the next one is searched, however far it is, and the gap reported.
    Raises MapFault if the file is cut.
    """
    scan: Any = ffi.new("struct aeor_log_scan *")
    data = map.pointer
    scan.map, scan.map_length = data, map.length
    scan.offset, scan.end = start, end
    found: Any = ffi.new("struct aeor_log_entry[]", batch)
    count: Any = ffi.new("uint64_t *")
    while True:
        if lib.aeor_log_scan(scan, found, batch, count) != lib.AEOR_OK:
            raise MapFault(scan.offset, end - scan.offset)
        if not count[0]:
            return
        yield [
            LogEntry(
                entry.offset,
                entry.type,
                entry.flags,
                entry.time,
                entry.length,
                ffi.buffer(entry.key)[:] if entry.key_length == 32 else b"",
                entry.version,
                entry.compression,
                entry.value_length,
            )
            for entry in found[0 : count[0]]
        ]


def has_odd_entries(map: Map, start: int, end: int, batch: int = 4096) -> bool:  # noqa: A002
    """Whether the log has an entry of an unknown type, or a void entry with a key.

    No index has such an entry; only the type in its header may be wrong. Raises MapFault.
    """
    scan: Any = ffi.new("struct aeor_log_scan *")
    scan.map, scan.map_length = map.pointer, map.length
    scan.offset, scan.end = start, end
    found: Any = ffi.new("struct aeor_log_entry[]", batch)
    count: Any = ffi.new("uint64_t *")
    size = ffi.sizeof("struct aeor_log_entry")
    kind_at = ffi.offsetof("struct aeor_log_entry", "type")
    key_at = ffi.offsetof("struct aeor_log_entry", "key_length")
    while True:
        if lib.aeor_log_scan(scan, found, batch, count) != lib.AEOR_OK:
            raise MapFault(scan.offset, end - scan.offset)
        if not count[0]:
            return False
        rows = ffi.buffer(found, count[0] * size)[:]
        kinds = rows[kind_at::size]
        if kinds.translate(None, bytes(range(_TYPES))):
            return True
        if _VOID in kinds and any(
            kind == _VOID and length for kind, length in zip(kinds, rows[key_at::size], strict=True)
        ):
            return True


def rebuild_index(
    map: Map,  # noqa: A002
    start: int,
    end: int,
    progress: Callable[[int], object] | None = None,
) -> Rebuilt:
    """The index that the log from `start` to `end` makes (FORMAT.md, Hot tail).

    Of each key the entry with the latest (time, offset) counts, a directory with content before
    an empty one, an intact record before a damaged one; then deletions mark what is older than
    they are.  `progress` is called now and then with the offset reached.  Raises MapFault.
    """
    table = Table()
    rebuild: Any = ffi.gc(ffi.new("struct aeor_rebuild *"), lib.aeor_rebuild_free)
    data = map.pointer
    scan = rebuild.scan
    scan.map, scan.map_length = data, map.length
    scan.offset, scan.end, scan.good_end = start, end, start
    rebuild.table = table.pointer
    code = lib.AEOR_OK
    while code == lib.AEOR_OK:
        code = lib.aeor_rebuild_step(rebuild, 65_536)
        if progress is not None:
            progress(scan.offset)
    if code == lib.AEOR_ABSENT:
        code = lib.aeor_rebuild_finish(rebuild)
    if code == lib.AEOR_ERR_MEMORY:
        raise MemoryError("no memory for the index")
    if code != lib.AEOR_OK:
        raise MapFault(scan.offset, end - scan.offset)
    return Rebuilt(table, scan.good_end, rebuild.latest, rebuild.entries, rebuild.gaps)
