"""A file that may be damaged anywhere, opened for repair: what its header says if one is left, and
the index that its log makes (engine.md section 10)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from aeordb.errors import NotADatabaseError, UsageError, quote
from aeordb.format import constants as c
from aeordb.format.errors import AlgorithmError, FormatError, MarkerVersionError
from aeordb.format.header import Header, UncheckedSlot, live_slot, split_slots
from aeordb.native.hashing import crc32
from aeordb.native.index import ALL, Index
from aeordb.native.log import GAP, LogEntry, rebuild_index, scan_log
from aeordb.native.map import Map
from aeordb.native.table import Table
from aeordb.progress import Progress
from aeordb.storage.filemap import FileMap
from aeordb.storage.store import check_kind

_DAY_MS = 86_400_000
_TIME_AT = 19
_CRC_OFFSET = c.SLOT_LENGTH - 4
_VERSION_OFFSET = len(c.HEADER_MAGIC)


@dataclass(frozen=True, slots=True)
class Damaged:
    """An open file, and what its log holds from `start` to `end` (bytes).

    `header` is None when both slots are gone. `sure`: HEAD is what the header says; without a good
    second slot a newer commit may stand behind the hot tail, and `end` is the file's. `tails`:
    where hot tails may lie. `table`: of each key the newest entry, nothing of it verified yet.
    `latest`: the highest time that an entry states.
    """

    path: str
    fd: int
    header: Header | None
    sure: bool
    tails: tuple[int, ...]
    map: Map
    start: int
    end: int
    table: Table
    latest: int
    gaps: int
    entries: int

    @property
    def created(self) -> int:
        """When the database was made, or the earliest time that is left, in milliseconds."""
        if self.header is not None:
            return self.header.created_at
        for entry in self.scan():
            if entry.type not in (GAP, c.ENTRY_VOID) and entry.time > 0:
                return entry.time
        return 0

    @property
    def latest_used(self) -> int:
        """The highest time that a writer is known to have given, in milliseconds."""
        return max(self._stated, self.latest if self.latest <= self.limit else 0)

    @property
    def limit(self) -> int:
        """No entry is later, unless its header was hit: no hash covers times (milliseconds)."""
        if self.header is not None and self.header.spare is not None and self.sure:
            return self._stated
        return max(self._stated, time.time_ns() // 1_000_000) + _DAY_MS + self.entries

    @property
    def _stated(self) -> int:
        """The header's time, in milliseconds; 0 without a header."""
        return 0 if self.header is None else min(self.header.updated_at, c.COUNTER_MAX)

    def time_at(self, offset: int) -> int:
        """The time that the entry at an offset states; 0 if there is none to be believed."""
        stated = self.map.copy(offset + _TIME_AT, 8)
        found = int.from_bytes(stated, "little", signed=True)
        return found if 0 < found <= self.limit else 0

    @property
    def index(self) -> Index:
        """The index of the log; no page is read."""
        return Index(self.map, 0, 0, self.table, covered=ALL)

    def scan(self) -> Iterator[LogEntry]:
        """Every entry and gap of the log, in the order of their offsets."""
        for batch in scan_log(self.map, self.start, self.end):
            yield from batch


def open_file(path: str) -> tuple[int, bool]:
    """A descriptor of a file that may be repaired, for reading; and whether its header is sure to
    be that of the last commit.

    Raises NotADatabaseError, also where a version that is not ours is stated; UsageError for a
    patch.
    """
    try:
        check_kind(path)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotADatabaseError(path=path, reason="there is no such file") from None
    try:
        header, sure, _ = _read_header(path, os.pread(fd, c.HEADERS_LENGTH, 0))
        if header is not None and header.backup_type == c.BACKUP_PATCH:
            raise UsageError(
                f"{quote(path)} is a patch: it holds no whole version that could be repaired",
                hint="Make it again from the database that it came from.",
            )
    except BaseException:
        os.close(fd)
        raise
    return fd, sure


def load(path: str, fd: int, progress: Progress) -> Damaged:
    """Reads what `open_file` opened: its header, and the index that its log makes.

    Raises NotADatabaseError where no entry is left, MapFault where the disk fails.
    """
    size = os.fstat(fd).st_size
    header, sure, tails = _read_header(path, os.pread(fd, c.HEADERS_LENGTH, 0))
    source = FileMap(fd).covering(size)
    start, end = min(c.HEADERS_LENGTH, size), size
    if header is not None:
        start = min(header.log_start, size)
        if header.kv_offset > c.HEADERS_LENGTH:
            end = min(header.kv_offset, size)
        elif header.spare is not None and sure:
            end = min(header.hot_tail_offset, size)
    progress.start(end - start, "Reading the log")
    done = start

    def advance(offset: int) -> None:
        nonlocal done
        progress.advance(offset - done)
        done = offset

    rebuilt = rebuild_index(source, start, max(start, end), advance)
    if not rebuilt.entries and (header is None or header.head != c.ZERO_HASH):
        raise NotADatabaseError(path=path, reason="no header and no entry is left in it")
    return Damaged(
        path=path,
        fd=fd,
        header=header,
        sure=sure,
        tails=tails,
        map=source,
        start=start,
        end=end,
        table=rebuilt.table,
        latest=rebuilt.latest,
        gaps=rebuilt.gaps,
        entries=rebuilt.entries,
    )


def _read_header(path: str, raw: bytes) -> tuple[Header | None, bool, tuple[int, ...]]:
    """The live header, whether nothing newer can have been committed, where hot tails lie."""
    for slot in split_slots(raw):
        if _is_foreign(slot):
            version = slot.raw[_VERSION_OFFSET]
            reason = f"header version {version}, only version {c.HEADER_VERSION} is supported"
            raise NotADatabaseError(path=path, reason=reason)
    try:
        live = live_slot(raw)
    except (MarkerVersionError, AlgorithmError) as fault:
        raise NotADatabaseError(path=path, reason=str(fault)) from None
    except FormatError:
        return None, False, ()
    header, other = live.header, live.other
    tails = (header.hot_tail_offset, *([other.hot_tail_offset] if other is not None else ()))
    # AeorDB's HEAD is in each header that it writes; a file just made has one slot.
    spare = header.spare
    sure = other is not None or header.sequence == 1 or spare is None
    return header, sure or bool(spare and spare.flags & c.SPARE_CLEAN), tails


def _is_foreign(slot: UncheckedSlot) -> bool:
    """Whether a slot is whole, and of another version of the format."""
    raw = slot.raw
    if len(raw) != c.SLOT_LENGTH or not raw.startswith(c.HEADER_MAGIC):
        return False
    if raw[_VERSION_OFFSET] == c.HEADER_VERSION:
        return False
    return crc32(raw[:_CRC_OFFSET]) == int.from_bytes(raw[_CRC_OFFSET:], "little")
