"""Which version HEAD was, where no header tells: the newest root that is complete."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.records import ForkRecord, SnapshotRecord
from aeordb.maintenance.repair_entries import Made
from aeordb.maintenance.repair_rows import Rows
from aeordb.maintenance.repair_source import Damaged
from aeordb.maintenance.repair_stock import Stock
from aeordb.maintenance.repair_versions import Versions
from aeordb.native.faults import NativeFault
from aeordb.storage.protocols import Reader
from aeordb.tree.directory import EMPTY
from aeordb.tree.reading import read_record
from aeordb.tree.walk import walk

_SEARCHED = 3
_LATEST = 1000
"""So many directories are tried, where nothing else is left."""


def find_head(
    source: Damaged, rows: Rows, stock: Stock, versions: Versions
) -> tuple[bytes | None, bytes | None]:
    """(the root that HEAD is to be, None if there is none; a newer one that is not complete).

    The header's, as long as nothing can have been committed after it; else the newest complete
    one that `dir:/` named, a snapshot or fork has, or that looks like a root; else the newest.
    That a folder was empty once is no reason to lose what came after.
    """
    header = source.header
    if header is not None:
        for time, root in rows.roots:
            if time > header.updated_at and versions.is_whole(root):
                return root, None
        return (header.head if header.head != c.ZERO_HASH else None), None
    newest: bytes | None = None
    was_empty = False
    seen: set[bytes] = set()
    for root in _candidates(source, rows, stock):
        if root in seen or root == EMPTY:
            was_empty |= root == EMPTY
            continue
        seen.add(root)
        newest = newest or root
        # What else is known of lost entries is asked for the newest ones alone: that takes time.
        if versions.is_whole(root, search=len(seen) <= _SEARCHED):
            return root, newest if newest != root and rows.roots else None
    return newest or (EMPTY if was_empty else None), None


def _candidates(source: Damaged, rows: Rows, stock: Stock) -> Iterator[bytes]:
    for _, root in rows.roots:
        yield root
    yield from [root for _, root in sorted(map(_named, rows.names.values()), reverse=True)]
    newest = nlargest(
        _LATEST,
        (
            (entry.time, entry.key)
            for entry in source.scan()
            if entry.type == c.ENTRY_DIRECTORY and len(entry.key) and entry.key in rows.kept
        ),
    )
    for _, key in newest:
        if _looks_like_root(stock, key):
            yield key


def _named(entry: Made) -> tuple[int, bytes]:
    kind: type[SnapshotRecord] | type[ForkRecord] = SnapshotRecord
    if entry.type == c.ENTRY_FORK:
        kind = ForkRecord
    try:
        named = kind.decode(entry.value)
    except FormatError:
        return 0, c.ZERO_HASH
    return named.created, named.root


def _looks_like_root(reader: Reader, key: bytes) -> bool:
    """Whether the first file below a directory stands where its record says, counted from it."""
    try:
        for path, child in walk(reader, key, hidden=True):
            if child.kind == c.KIND_FILE:
                return read_record(reader, child, path).path == path
    except (DamagedError, NativeFault):
        pass
    return False
