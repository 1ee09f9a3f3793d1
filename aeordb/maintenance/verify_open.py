"""Opening a file to verify it: nothing is changed or locked against writers, and what does not
hold in header, hot tail and index pages is a finding. Then the index is made anew from the log."""

from __future__ import annotations

import os
from collections.abc import Iterator

from aeordb.errors import DamagedError, NotADatabaseError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.header import Header, split_slots
from aeordb.format.page import block_length
from aeordb.maintenance.findings import (
    HEADER_FIELD,
    HEADER_SLOT,
    HOT_TAIL,
    OVERLAP,
    PAGE,
    REWRITE,
    Collector,
)
from aeordb.native.index import Index
from aeordb.native.verify import check_pages
from aeordb.storage.filemap import FileMap
from aeordb.storage.locks import ReaderLock
from aeordb.storage.state import (
    Extent,
    State,
    load_backup,
    load_state,
    read_header,
    read_slots,
    rebuild_live,
    rebuild_state,
)
from aeordb.storage.store import check_kind
from aeordb.storage.view import View, make_index

_TRIES = 20
_SLOT_HINT = (
    "After a power cut this may be a commit that never was; the next writer clears it. Else the "
    "last commit may be lost."
)
_CLEAN_HINT = "The file was closed with the commit that counts: nothing is lost."


class Subject:
    """A file as it is verified: one committed state, and an index over it that stays as it is.

    `rebuilt`: the index was made from the log; what the file's own index says is not known then.
    """

    def __init__(self, path: str, out: Collector) -> None:
        """Raises NotADatabaseError; DamagedError when no header slot can be read."""
        self.path = path
        self._fd = -1
        self._lock: ReaderLock | None = None
        try:
            check_kind(path)
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._lock = ReaderLock(self._fd)
            self._lock.share_walk()
            self.files = FileMap(self._fd)
            self._load(out)
        except FileNotFoundError:
            self.close()
            raise NotADatabaseError(path=path, reason="there is no such file") from None
        except BaseException:
            self.close()
            raise

    @property
    def header(self) -> Header:
        """The live header."""
        return self.state.header

    @property
    def is_patch(self) -> bool:
        """A patch holds no version whole, and no tree is walked in it."""
        return self.header.backup_type == c.BACKUP_PATCH

    @property
    def log(self) -> Extent:
        """(start, end) of the log."""
        header, end = self.header, self.header.hot_tail_offset
        start = header.log_start
        if self.state.flags & c.SPARE_GROWTH and not self.state.rebuilt:
            # What lies before is in the larger block's way: it was copied behind the log.
            start = c.HEADERS_LENGTH + (_stage_length(header.resize_target) or header.kv_length)
        if self.state.rebuilt and not self.state.ours:
            end = self.state.region[0]
        elif header.kv_offset > c.HEADERS_LENGTH:
            end = min(end, header.kv_offset)
        return min(start, end), min(end, self.size)

    @property
    def moved(self) -> bool:
        """Whether something was committed since."""
        return read_header(self._fd, self.path).sequence != self.header.sequence

    def view(self) -> View:
        """A view of the state, for what is read by key."""
        return View(self.path, self._fd, self.files, self.state)

    def close(self) -> None:
        """Gives up the lock and the descriptor."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _load(self, out: Collector) -> None:
        for _ in range(_TRIES):
            found = Collector()
            self._load_state(found)
            bad = [] if self.rebuilt else check_pages(self.index)
            if not bad or not self.moved:
                break
        for finding in found.findings:
            out.add(finding.kind, offset=finding.offset, hint=finding.hint, reason=finding.reason)
        out.notes += found.notes
        if bad:
            self._mend_pages(bad, out)
        self.size = os.fstat(self._fd).st_size
        if self.header.spare is not None:
            _check_fields(self.header, self.size, out)
            self._check_rest(out)
        if not self.rebuilt:
            _check_voids(self.state, out)

    def _load_state(self, out: Collector) -> None:
        live = read_slots(self._fd, self.path)
        _check_slots(live.header, os.pread(self._fd, c.HEADERS_LENGTH, 0), out)
        try:
            if live.header.backup_type == c.BACKUP_PATCH:
                state = load_backup(self._fd, self.path, live, self.files.covering)
            else:
                state = load_state(self._fd, self.path, self.files.covering)
        except DamagedError as error:
            out.add(HOT_TAIL, offset=error.offset, reason=error.reason or "")
            size = os.fstat(self._fd).st_size
            state = rebuild_state(live, self.files.covering(size), size)
        else:
            if state.rebuilt:
                out.note("The index was made from the log, as AeorDB's crash leaves it to be done.")
        self._take(state)

    def _mend_pages(self, bad: list[int], out: Collector) -> None:
        header = self.header
        if self.state.ours:
            for page in bad:
                offset = header.kv_offset + page * c.PAGE_LENGTH
                out.add(PAGE, offset=offset, hint=REWRITE, reason=f"index page {page}")
        else:
            out.note(f"{len(bad)} index pages do not hold, as AeorDB's crash leaves them.")
        self._take(rebuild_live(self._fd, self.path, self.files.covering))

    def _check_rest(self, out: Collector) -> None:
        """Behind the last page the block is zeros (FORMAT.md 4)."""
        header = self.header
        if self.state.flags & c.SPARE_GROWTH or header.kv_offset != c.HEADERS_LENGTH:
            return
        start = header.kv_offset + header.pages * c.PAGE_LENGTH
        if any(os.pread(self._fd, header.log_start - start, start)):
            out.add(PAGE, offset=start, hint=REWRITE, reason="bytes behind the last page")

    def _take(self, state: State) -> None:
        self.state = state
        self.rebuilt = state.rebuilt
        self.index: Index = make_index(
            self.files, state, end=max(state.header.hot_tail_offset, state.region_end)
        )

    def voids(self) -> list[Extent]:
        """The listed free ranges in offset order, as (offset, length); those that cannot be left
        out."""
        start, end = self.log
        return list(_possible(sorted(self.state.voids), start, end))

    def other_tail(self) -> Extent | None:
        """The hot tail that the other slot names, a gap in the log: (offset, length)."""
        other = self.state.other
        if other is None or other.spare is None or not self.state.ours:
            return None
        offset, length = other.hot_tail_offset, other.spare.region_length
        start, end = self.log
        if not start <= offset < end:
            return None
        return offset, min(length, end - offset)


def _possible(voids: list[Extent], start: int, end: int) -> Iterator[Extent]:
    for offset, length in voids:
        if length > 0 and start <= offset and offset + length <= end:
            yield offset, length
            start = offset + length


def _check_slots(header: Header, raw: bytes, out: Collector) -> None:
    """Both slots are written by turns: only a file with one commit may have one of zeros."""
    clean = header.spare is not None and bool(header.spare.flags & c.SPARE_CLEAN)
    hint = _CLEAN_HINT if clean else _SLOT_HINT
    for slot in split_slots(raw):
        try:
            slot.check()
        except FormatError as fault:
            if not slot.is_zero:
                out.add(HEADER_SLOT, offset=slot.offset, hint=hint, reason=str(fault))
            elif header.sequence > 1:
                reason = f"it is all zeros, and the other one has sequence {header.sequence}"
                out.add(HEADER_SLOT, offset=slot.offset, hint=hint, reason=reason)


def _check_fields(header: Header, size: int, out: Collector) -> None:
    """What our writer always makes so; every byte of it is under the slot's checksum."""
    faults = []
    length, larger = _stage_length(header.stage), _stage_length(header.resize_target)
    if header.kv_offset == c.HEADERS_LENGTH and header.kv_length != length:
        faults.append(f"a KV block of {header.kv_length} bytes in stage {header.stage}")
    if header.hot_tail_offset > size:
        faults.append(f"a hot tail at {header.hot_tail_offset} of a file of {size} bytes")
    if larger is None:
        faults.append(f"a growth to stage {header.resize_target}")
    for reason in faults:
        out.add(HEADER_FIELD, offset=0, reason=reason)


def _stage_length(stage: int) -> int | None:
    """Length of the KV block of a stage; None if there is no such stage."""
    return block_length(stage) if stage <= c.STAGE_MAX else None


def _check_voids(state: State, out: Collector) -> None:
    """Free ranges must lie in the log, apart from each other."""
    end = state.header.log_start
    for offset, length in sorted(state.voids):
        if length == 0 or offset < end or offset + length > state.log_end:
            out.add(
                OVERLAP,
                offset=offset,
                reason=f"{length} bytes are listed as free that cannot be",
            )
        end = max(end, offset + length)
