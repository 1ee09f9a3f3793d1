"""A committed state of the file: the live header and its hot tail (engine.md section 2)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from aeordb.errors import DamagedError, NotADatabaseError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError, MagicError, VersionError
from aeordb.format.header import Header, LiveSlot, check_kv_block, live_slot
from aeordb.format.hottail import HotTail, decode_hot_tail, decode_voids
from aeordb.native.hashing import blake3
from aeordb.native.log import rebuild_index
from aeordb.native.map import Map
from aeordb.native.table import Table

Extent = tuple[int, int]
"""(offset, length) of a range of the file, in bytes."""

_TRIES = 200
_DAY_MS = 86_400_000


class State(NamedTuple):
    """What one header slot commits to.

    `table` holds the index records that win over the pages; `region` is the hot tail with its
    padding. `rebuilt`: the index came from a scan (AeorDB's crash): `table` is all of it, no
    page is read, and `region` is an empty extent at the end of the last good entry.
    The table belongs to the state: nobody changes it.
    """

    slot: int
    header: Header
    other: Header | None
    table: Table
    void_records: bytes
    region: Extent
    last_time: int
    rebuilt: bool = False

    @property
    def voids(self) -> tuple[Extent, ...]:
        """The free ranges of the log, as (offset, length)."""
        return decode_voids(self.void_records)

    @property
    def ours(self) -> bool:
        """True if our writer made this state, so that its promises hold."""
        return self.header.spare is not None

    @property
    def flags(self) -> int:
        """The SPARE_* bits; 0 in AeorDB's files."""
        return self.header.spare.flags if self.header.spare else 0

    @property
    def batch(self) -> memoryview:
        """The leading records: all entries of the pages that a flagged checkpoint writes."""
        if self.header.spare is None or not self.flags & c.SPARE_CHECKPOINT:
            return memoryview(b"")
        length = self.header.spare.batch_count * c.HOT_TAIL_RECORD_LENGTH
        return self.table.record_view()[:length]

    @property
    def rest(self) -> memoryview:
        """The records behind the batch."""
        return self.table.record_view()[len(self.batch) :]

    @property
    def log_end(self) -> int:
        """Where the log ends and the hot tail's region starts."""
        return self.region[0]

    @property
    def region_end(self) -> int:
        """First byte behind the hot tail's region."""
        return self.region[0] + self.region[1]


def load_state(fd: int, path: str, get_map: Callable[[int], Map]) -> State:
    """The newest committed state; reads 512 bytes and the hot tail, or scans after AeorDB's crash.

    `get_map` gives a map that covers the file (used for the scan only). Raises NotADatabaseError,
    DamagedError.
    """
    sequence = -1
    for attempt in range(_TRIES):
        live = _read_live(fd, path)
        try:
            return _load(fd, path, live, get_map)
        except _TailError as fault:
            # A writer may have been faster; it is damage only if the header stands still.
            if live.header.sequence == sequence or attempt == _TRIES - 1:
                raise _tail_damage(path, live, str(fault)) from None
            sequence = live.header.sequence
    raise AssertionError("unreachable")


def rebuild_live(fd: int, path: str, get_map: Callable[[int], Map]) -> State:
    """The newest state with its index made anew by a scan."""
    size = os.fstat(fd).st_size
    return rebuild_state(_read_live(fd, path), get_map(size), size)


def read_header(fd: int, path: str) -> Header:
    """The live header of a database, export or patch. Raises NotADatabaseError, DamagedError."""
    return read_slots(fd, path).header


def load_backup(fd: int, path: str, live: LiveSlot, get_map: Callable[[int], Map]) -> State:
    """The state under this header of a file that nobody writes to: an export or a patch."""
    try:
        return _load(fd, path, live, get_map)
    except _TailError as fault:
        raise _tail_damage(path, live, str(fault)) from None


def check_header(path: str) -> None:
    """Raises what opening the file would raise for its header; changes and locks nothing."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _read_live(fd, path)
    finally:
        os.close(fd)


class _TailError(Exception):
    pass


def _read_live(fd: int, path: str) -> LiveSlot:
    live = read_slots(fd, path)
    if live.header.backup_type == c.BACKUP_PATCH:
        raise NotADatabaseError(
            path=path, reason="it is a patch, which `aeordb import` applies to a database"
        )
    return live


def read_slots(fd: int, path: str) -> LiveSlot:
    """The slots of a database, export or patch, once two reads agree. Raises as `read_header`."""
    raw = os.pread(fd, c.HEADERS_LENGTH, 0)
    for _ in range(_TRIES):
        again = os.pread(fd, c.HEADERS_LENGTH, 0)
        if again == raw:
            break
        raw = again
    try:
        live = live_slot(raw)
        check_kv_block(live.header, os.fstat(fd).st_size)
    except FormatError as fault:
        raise _not_a_database(path, raw, fault) from None
    return live


def _not_a_database(path: str, raw: bytes, fault: FormatError) -> Exception:
    if not raw:
        return NotADatabaseError(path=path, reason="the file is empty")
    if len(raw) < c.HEADERS_LENGTH:
        return NotADatabaseError(path=path, reason=f"{len(raw)} bytes are less than a header")
    if isinstance(fault, VersionError):
        return NotADatabaseError(path=path, reason=str(fault))
    slots = (raw[: len(c.HEADER_MAGIC)], raw[c.SLOT_LENGTH :][: len(c.HEADER_MAGIC)])
    if isinstance(fault, MagicError) and c.HEADER_MAGIC not in slots:
        return NotADatabaseError(path=path, reason="it does not begin with an AeorDB header")
    if type(fault).__name__ == "AlgorithmError":
        return NotADatabaseError(path=path, reason=str(fault))
    return DamagedError(path=path, offset=0, reason=f"no good header slot: {fault.reason}")


def _load(fd: int, path: str, live: LiveSlot, get_map: Callable[[int], Map]) -> State:
    header = live.header
    if header.kv_offset == 0 or header.spare is None:
        return _load_theirs(fd, live, get_map)
    offset, length = header.hot_tail_offset, header.spare.region_length
    if length > os.fstat(fd).st_size - offset:
        raise _TailError("the hot tail passes the end of the file")
    raw = os.pread(fd, length, offset)
    if len(raw) != length or blake3(raw) != header.spare.region_hash:
        raise _TailError("the hot tail does not match its hash")
    try:
        tail = decode_hot_tail(raw)
    except FormatError as fault:
        raise _TailError(f"the hot tail cannot be read: {fault}") from None
    state = _state(live, tail, (offset, length))
    if len(state.table) != tail.record_count:
        raise _TailError("the hot tail names a key twice")
    return state


def _load_theirs(fd: int, live: LiveSlot, get_map: Callable[[int], Map]) -> State:
    """A file as AeorDB left it: its hot tail if that is good, else a scan of the log."""
    offset = live.header.hot_tail_offset
    size = os.fstat(fd).st_size
    magic = os.pread(fd, len(c.HOT_TAIL_MAGIC), offset) if offset < size else b""
    if live.header.kv_offset != 0 and magic == c.HOT_TAIL_MAGIC:
        try:
            tail = decode_hot_tail(os.pread(fd, size - offset, offset))
            # A void entry of ours must fit over it one day.
            return _state(live, tail, (offset, max(tail.length, c.VOID_MIN_LENGTH)))
        except FormatError:
            pass
    return rebuild_state(live, get_map(size), size)


def rebuild_state(live: LiveSlot, source: Map, size: int) -> State:
    """The state under this header with the index made anew from the log (FORMAT.md 5)."""
    header = live.header
    # What lies behind our tail was never committed; AeorDB's crash leaves good entries there.
    end = size
    if header.spare is not None:
        end = min(header.hot_tail_offset, size)
    elif header.kv_offset > c.HEADERS_LENGTH:
        end = header.kv_offset
    result = rebuild_index(source, header.log_start, end)
    latest = _believable(result.latest, result.entries, header.updated_at)
    return State(
        slot=live.index,
        header=header,
        other=live.other,
        table=result.table,
        void_records=b"",
        region=(result.end, 0),
        last_time=max(header.updated_at, latest),
        rebuilt=True,
    )


def _believable(latest: int, entries: int, updated: int) -> int:
    """The highest entry time of a scan, 0 if no writer gave it: no hash covers entry times, and a
    flipped bit must not carry all later ones into the far future. This machine's clock may be
    behind that of the file's last writer, whose header has the time `updated`."""
    now = max(time.time_ns() // 1_000_000, updated)
    return latest if latest <= now + _DAY_MS + entries else 0


def _state(live: LiveSlot, tail: HotTail, region: Extent) -> State:
    return State(
        slot=live.index,
        header=live.header,
        other=live.other,
        table=Table.from_records(tail.records),
        void_records=tail.void_records,
        region=region,
        last_time=live.header.updated_at,
    )


def _tail_damage(path: str, live: LiveSlot, reason: str) -> DamagedError:
    other = f"sequence {live.other.sequence}" if live.other else "not readable"
    return DamagedError(
        path=path,
        offset=live.header.hot_tail_offset,
        reason=f"{reason} (live header: sequence {live.header.sequence}, other header: {other})",
        hint="run `aeordb verify --repair`, which rebuilds the index from the log",
    )
