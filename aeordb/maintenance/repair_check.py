"""Every entry that a log's index names, verified by the helper: which are what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zstandard

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import chunk_key, system_chunk_key
from aeordb.maintenance.repair_entries import BAD, CONTENT, DELETED, FRAME, PLACE
from aeordb.maintenance.repair_source import Damaged
from aeordb.native import verify as v
from aeordb.native.faults import NativeFault
from aeordb.native.map import Map
from aeordb.native.table import RECORD
from aeordb.native.verify import Row, Verification, Window, log_windows
from aeordb.native.walk import Marks
from aeordb.parallel.threads import in_order
from aeordb.tree.reading import decompress

_WINDOW: Final = 8 << 20
_KV_AT: Final = 1 + c.HASH_LENGTH
# What the helper says beside that an entry does not hold.
_OTHER: Final = frozenset((v.GAP, v.KIND, v.OUTDATED, v.UNINDEXED, v.PATH, v.STRAY, v.FILE))
_BY_KV: Final = bytes(
    DELETED if kv & c.KV_DELETED or kv & c.KV_TYPE_MASK == c.KV_DELETION else CONTENT
    for kv in range(256)
)
_BITS: Final = tuple(bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256))
# A bit more for path keys; of what is deleted it says nothing.
_WITH_BIT: Final = bytes(min(number, DELETED) for number in range(256))
assert (CONTENT + 1, PLACE + 1) == (PLACE, DELETED)


def check_rows(
    source: Damaged, latest: int, jobs: int, advance: Callable[[int], None]
) -> bytearray:
    """A class (BAD, CONTENT, PLACE, DELETED) for each record of the source's table, in its order.

    `latest`: an entry with a later time (milliseconds) has a bad header. Raises MapFault.
    """
    table = source.table
    index = source.index
    nothing = Marks(index)
    verification = Verification(index, head=nothing, reached=nothing, latest=latest, system=True)

    def check(window: Window) -> tuple[list[Row], int]:
        rows, _ = verification.window(window)
        return [row for row in rows if _is_bad(source.map, row)], window.end - window.start

    bad: list[Row] = []
    windows = log_windows(source.map, source.start, source.end, _WINDOW)
    for rows, length in in_order(jobs, windows, check):
        bad += rows
        advance(length)
    count = len(table)
    classes = bytes(table.record_view())[_KV_AT::RECORD].translate(_BY_KV)
    loose = b"".join(_BITS[byte] for byte in verification.loose.bits())[:count]
    both = int.from_bytes(classes, "little") + int.from_bytes(loose, "little")
    found = bytearray(both.to_bytes(count, "little").translate(_WITH_BIT))
    for row in bad:
        number = table.number(row.key)
        record = None if number is None else table.get(row.key)
        if number is not None and record is not None and record[1] == row.offset:
            found[number] = BAD
    return found


def _is_bad(source: Map, row: Row) -> bool:
    if row.code == v.COMPRESSED:
        return not _is_chunk(source, row)
    return row.code not in _OTHER and len(row.key) == c.HASH_LENGTH


def _is_chunk(source: Map, row: Row) -> bool:
    """Whether a compressed chunk's bytes have the address that is its key."""
    try:
        raw = decompress(source.copy(row.offset + FRAME, row.length - FRAME), c.ENTRY_VALUE_MAX)
    except (NativeFault, zstandard.ZstdError, FormatError):
        return False
    return row.key in (chunk_key(raw), system_chunk_key(raw))
