"""A damaged file's entries, sorted: what is carried, what names versions, what can be mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aeordb.backup.mark import mark
from aeordb.errors import AeorDBError, DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key
from aeordb.maintenance.repair_check import check_rows
from aeordb.maintenance.repair_entries import (
    BAD,
    CONTENT,
    DELETED,
    FRAME,
    PLACE,
    Made,
    addresses,
    classify,
    mend,
)
from aeordb.maintenance.repair_source import Damaged
from aeordb.native.entries import Entry
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index, Record, split_records
from aeordb.native.log import GAP, has_odd_entries
from aeordb.native.table import RECORD, Table
from aeordb.native.walk import Marks
from aeordb.progress import Progress
from aeordb.storage.filemap import FileMap
from aeordb.storage.state import load_state
from aeordb.storage.view import make_index
from aeordb.tree.paths import ROOT

_AT_ONCE = 4096
# Chunks and nodes are shorter, as a rule; what is longer is lost space rather than an entry.
_MEND_MAX = 16 << 20
_NAMES = (c.KV_SNAPSHOT, c.KV_FORK)
_ROOT_PLACE = directory_path_key(ROOT)


@dataclass(slots=True)
class Rows:
    """What a log holds.

    `kept`: index records of intact entries, to be carried as they stand. `names`: snapshots and
    forks. `mended`: entries that were made whole. `lost`: (KV type and flags, offset, length) of
    what stays unreadable, by key. `roots`: (time, key) of each root that `dir:/` named, the newest
    first; only where the header does not tell. `gap_bytes`: so many bytes are no entry. `places`:
    how many path keys there were. `index`: the file's own, if it was asked for and holds.
    `damaged`: something in the log does not hold.
    """

    classes: bytearray
    kept: Table = field(default_factory=Table)
    names: dict[bytes, Made] = field(default_factory=dict)
    mended: dict[bytes, Made] = field(default_factory=dict)
    lost: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    roots: list[tuple[int, bytes]] = field(default_factory=list)
    refilled: set[bytes] = field(default_factory=set)
    replaced: int = 0
    gap_bytes: int = 0
    places: int = 0
    index: Index | None = None
    doubtful_from: int = 1 << 63
    damaged: bool = False

    def add_name(self, key: bytes, entry: Entry) -> None:
        """Notes a snapshot or fork."""
        layout = entry.version, entry.flags & c.ENTRY_FLAG_SYSTEM, c.COMPRESSION_NONE
        self.names[key] = Made(entry.type, *layout, key, entry.value, entry.time, entry.offset)

    def is_doubtful(self, key: bytes, offset: int) -> bool:
        """Whether an entry may be no entry of this file's: behind a gap, what looks like entries
        may be the bytes of a database that is kept as a file. The file's own index tells."""
        return (
            offset > self.doubtful_from
            and self.index is not None
            and (self.index.find(key) is None)
        )


def read_rows(source: Damaged, latest: int, jobs: int, progress: Progress) -> Rows:
    """Verifies every entry that the log's index names; looks again for what does not hold.

    `latest`: no entry is later (milliseconds). Raises MapFault where the file cannot be read.
    """
    progress.start(source.end - source.start, "Verifying")
    rows = Rows(check_rows(source, latest, jobs, progress.advance))
    records = source.table.record_view()
    kept = bytearray()
    for start in range(0, len(records), RECORD * _AT_ONCE):
        part = bytes(records[start : start + RECORD * _AT_ONCE])
        for at, row in enumerate(split_records(part)):
            where = rows.classes[start // RECORD + at]
            if where == CONTENT and row.kv in _NAMES:
                rows.add_name(row.key, source.map.fetch(row.offset))
            elif where == CONTENT:
                kept += part[at * RECORD : (at + 1) * RECORD]
            elif where == PLACE:
                rows.places += 1
            elif where == BAD:
                rows.lost[row.key] = row.kv, row.offset, row.length
        rows.kept.put_many(bytes(kept))
        kept.clear()
    odd = has_odd_entries(source.map, source.start, source.end)
    if rows.lost or source.gaps or odd or not source.sure:
        _look_again(source, rows, latest, jobs)
    return rows


def old_index(source: Damaged, jobs: int) -> Index | None:
    """The file's own index, if it still has all that HEAD reaches; None else."""
    if source.header is None or not source.sure or source.header.spare is None:
        return None
    try:
        index = _own_index(source)
        for _ in index.scan():
            pass
        mark(index, source.header.head, Marks(index), jobs=jobs)
    except (AeorDBError, NativeFault):
        return None
    return index


def _own_index(source: Damaged) -> Index:
    state = load_state(source.fd, source.path, FileMap(source.fd).covering)
    if state.rebuilt:
        raise DamagedError(reason="a lost index")
    return make_index(FileMap(source.fd), state)


def _indexed(source: Damaged) -> Iterator[Record]:
    """What is left of the file's own index: the records of good pages, and of a good hot tail."""
    header = source.header
    if header is None or header.kv_offset != c.HEADERS_LENGTH:
        return
    try:
        index = _own_index(source)
        for records in index.scan_tables():
            yield from records
    except (AeorDBError, NativeFault):
        index = Index(source.map, header.kv_offset, header.pages)
    for page in range(index.pages):
        try:
            yield from index.page_records(page)
        except NativeFault:
            continue


def _ask_index(source: Damaged, rows: Rows, latest: int) -> None:
    """Entries that the index knows, and the log does not show: their headers were hit."""
    for record in _indexed(source):
        if record.key in source.table or record.kv & c.KV_DELETED or record.offset < source.start:
            continue
        if record.offset + record.length > source.end:
            continue
        if not _mend(source, rows, record.offset, record.length, latest):
            rows.lost.setdefault(record.key, (record.kv, record.offset, record.length))


def _look_again(source: Damaged, rows: Rows, latest: int, jobs: int) -> None:
    """Older copies of what is damaged, entries in gaps, and roots, by one more pass."""
    rows.damaged = bool(rows.lost)
    copies: dict[bytes, tuple[int, int]] = {}
    gaps: list[tuple[int, int]] = []
    odd: list[tuple[int, int]] = []
    roots: list[tuple[int, int]] = []
    for found in source.scan():
        if found.type == GAP:
            if found.offset not in source.tails:
                gaps.append((found.offset, found.length))
            continue
        if found.type not in c.ENTRY_TYPES or (found.type == c.ENTRY_VOID and found.key):
            odd.append((found.offset, found.length))
            continue
        is_root = found.type == c.ENTRY_DIRECTORY and found.key == _ROOT_PLACE
        if is_root and not source.sure and found.time <= latest:
            roots.append((found.time, found.offset))
        bad = rows.lost.get(found.key)
        if bad is None or found.offset == bad[1] or not 0 <= found.time <= latest:
            continue
        if _is_content(source, found.offset):
            copies[found.key] = max(copies.get(found.key, (0, 0)), (found.time, found.offset))
    rows.damaged = rows.damaged or bool(gaps or odd) or source.header is None
    if gaps:
        rows.doubtful_from = gaps[0][0]
        rows.index = old_index(source, jobs)
        rows.names = {
            key: made for key, made in rows.names.items() if not rows.is_doubtful(key, made.offset)
        }
    for key, (_, offset) in copies.items():
        kv, _, length = rows.lost.pop(key)
        _keep(rows, source.map.fetch(offset), key, kv, offset, length)
        rows.replaced += 1
    for key, (_, offset, length) in list(rows.lost.items()):
        if _mend(source, rows, offset, length, latest):
            rows.lost.pop(key, None)
    ends = (source.start, source.end) if source.header is None else ()
    for offset, length in gaps + odd:
        if not _mend(source, rows, offset, length, latest) and (
            offset not in ends and offset + length not in ends
        ):
            rows.gap_bytes += length
    if gaps or odd:
        _ask_index(source, rows, latest)
    for time, offset in sorted(roots, reverse=True):
        root = _root(source, offset)
        if root is not None:
            rows.roots.append((time, root))


def _root(source: Damaged, offset: int) -> bytes | None:
    """The root that the entry at `offset` under its path key names, or is itself, as AeorDB's."""
    try:
        value = source.map.fetch(offset).value
        if len(value) == c.HASH_LENGTH:
            return value
        return addresses(c.ENTRY_DIRECTORY, 0, 0, value)[0]
    except (FormatError, NativeFault):
        return None


def _keep(rows: Rows, entry: Entry, key: bytes, kv: int, offset: int, length: int) -> None:
    if kv & c.KV_TYPE_MASK in _NAMES:
        rows.add_name(key, entry)
    else:
        rows.kept.put(key, kv, offset, FRAME + len(entry.value))


def _is_content(source: Damaged, offset: int) -> bool:
    try:
        entry = source.map.fetch(offset)
        key = source.map.copy(offset + c.ENTRY_HEADER_LENGTH, c.HASH_LENGTH)
    except NativeFault:
        return False
    found = classify(entry.type, entry.version, entry.compression, key, entry.value)
    return found == CONTENT


def _mend(source: Damaged, rows: Rows, offset: int, length: int, latest: int) -> bool:
    """Takes an entry whose header, key or integrity hash was hit; True if it came back."""
    if not FRAME <= length <= _MEND_MAX:
        return False
    try:
        made = mend(source.map.copy(offset, length), latest)
    except NativeFault:
        return False
    if made is None:
        return False
    where = classify(made.type, made.version, made.compression, made.key, made.value)
    if where == DELETED:
        return True
    if where == PLACE:
        if made.type == c.ENTRY_DIRECTORY:
            return True
        # A record is worth as much under the key that listings name.
        key = addresses(made.type, made.version, made.compression, made.value)[0]
        made = made._replace(key=key, time=0)
        if key in rows.kept:
            return True
    if made.type in (c.ENTRY_SNAPSHOT, c.ENTRY_FORK):
        rows.names.setdefault(made.key, made)
    elif made.key not in rows.kept:
        rows.mended.setdefault(made.key, made)
    return True
