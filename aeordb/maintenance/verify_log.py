"""The log, entry by entry, by as many threads as there is use for (engine.md section 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import chunk_key, system_chunk_key
from aeordb.format.records import DeletionRecord, FileRecord
from aeordb.maintenance.verify_open import Subject
from aeordb.native import verify as v
from aeordb.native.faults import NativeFault
from aeordb.native.hashing import blake3
from aeordb.native.index import Index
from aeordb.native.log import scan_log
from aeordb.native.verify import Row, Sums, Verification, Window, log_windows
from aeordb.parallel.threads import in_order
from aeordb.progress import Progress
from aeordb.storage.view import View
from aeordb.tree.reading import decompress, iter_chunks, load_address

_WINDOW = 8 << 20
# A log of less is read sooner than threads are started.
_SMALL = 1 << 20
_VALUE = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH

VOID_WRONG = -1000
"""The code of a listed free range that is not one void entry."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file whose bytes are not what its record says."""

    offset: int
    path: str
    reason: str


Result = tuple[list[Row], Sums, list[Content], int]
"""Rows, sums, wrong files, and how many files were read."""


def verify_log(
    subject: Subject, verification: Verification, *, jobs: int, progress: Progress
) -> Iterator[Result]:
    """Verifies every entry of the log, and the void entries of the listed free ranges.

    Raises MapFault.
    """
    start, end = subject.log
    view = subject.view()

    def check(part: tuple[Window, int]) -> Result:
        window, void = part
        rows, sums = verification.window(window)
        if void:
            return [_void_row(window, void)] if _is_wrong(window, void, rows) else [], sums, [], 0
        return _finish(view, subject, rows, sums)

    progress.start(end - start, "Verifying")
    results = in_order(jobs if end - start > _SMALL else 1, _windows(subject), check)
    try:
        for result in results:
            progress.advance(result[1].bytes, result[1].entries)
            yield result
    finally:
        results.close()


def _windows(subject: Subject) -> Iterator[tuple[Window, int]]:
    """Windows of entries, and each listed void by itself (with its length) where it must be one.

    A free range may hold anything while it is listed: what a writer was about to put there, what
    AeorDB's gc left. Only once the file was closed cleanly it is known to be a void entry.
    """
    start, end = subject.log
    state = subject.state
    source = subject.files.covering(end)
    intact = state.ours and bool(state.flags & c.SPARE_CLEAN)
    intact = intact and not state.flags & c.SPARE_DEAD_PAGES
    skipped = [(offset, length, intact) for offset, length in subject.voids()]
    other = subject.other_tail()
    if other is not None:
        skipped.append((*other, False))
    for offset, length, is_void in sorted(skipped):
        if start < offset:
            for window in log_windows(source, start, offset, _WINDOW):
                yield window, 0
        if is_void:
            for window in log_windows(source, offset, offset + length, length):
                yield window, length
        start = max(start, offset + length)
    if start < end:
        for window in log_windows(source, start, end, _WINDOW):
            yield window, 0


def _is_wrong(window: Window, length: int, rows: list[Row]) -> bool:
    whole = window.count == 1 and window.end - window.start == length
    return bool(rows) or not whole or window.first_type() != c.ENTRY_VOID


def _void_row(window: Window, length: int) -> Row:
    return Row(VOID_WRONG, window.start, length, c.ENTRY_VOID, 0, 0, b"")


def _finish(view: View, subject: Subject, rows: list[Row], sums: Sums) -> Result:
    """Does what is left to Python: compressed chunks, whole files."""
    left, wrong, files = [], [], 0
    for row in rows:
        if row.code == v.COMPRESSED:
            if not _is_chunk(subject, row):
                left.append(row._replace(code=v.ADDRESS))
        elif row.code == v.FILE:
            files += 1
            found = _read_file(view, row)
            if found is not None:
                wrong.append(found)
        else:
            left.append(row)
    return left, sums, wrong, files


def _is_chunk(subject: Subject, row: Row) -> bool:
    """Whether a compressed chunk's bytes have the address that is its key."""
    try:
        frame = subject.files.covering(row.offset + row.length).copy(
            row.offset + _VALUE, row.length - _VALUE
        )
        raw = decompress(frame, c.ENTRY_VALUE_MAX)
    except (NativeFault, zstandard.ZstdError, FormatError):
        return False
    return row.key in (chunk_key(raw), system_chunk_key(raw))


def _read_file(view: View, row: Row) -> Content | None:
    """Reads a file by its record; None if it is as it should be, or what is wrong is a chunk's
    fault, which is found by itself."""
    path = "?"
    try:
        entry = view.fetch(row.offset)
        record = FileRecord.decode(entry.value, entry.version)
        path = record.path
        for _ in iter_chunks(view, record):
            pass
    except DamagedError as error:
        if error.key is None or _is_sound(view, error.key):
            return Content(row.offset, path, error.reason or str(error))
    except FormatError as fault:
        return Content(row.offset, path, str(fault))
    return None


def _is_sound(view: View, key: bytes) -> bool:
    """Whether a chunk is as it should be; then it does not fit the record of the file."""
    try:
        load_address(view, key, c.ENTRY_VALUE_MAX)
    except DamagedError:
        return False
    return True


def is_live(index: Index, row: Row) -> bool:
    """Whether the index points to this very entry."""
    try:
        found = index.find(row.key)
    except NativeFault:
        return False
    return found is not None and found[1] == row.offset


def deletions(subject: Subject) -> dict[bytes, int]:
    """The keys of snapshots and forks that deletions in the log name, with the latest one's time.

    Slow; asked only where an entry of a name is in no index.
    """
    start, end = subject.log
    found: dict[bytes, int] = {}
    for batch in scan_log(subject.files.covering(end), start, end):
        for entry in batch:
            if entry.type != c.ENTRY_DELETION:
                continue
            try:
                value = subject.view().fetch(entry.offset).value
                key = blake3(DeletionRecord.decode(value).path.encode())
            except (DamagedError, FormatError):
                continue
            found[key] = max(entry.time, found.get(key, entry.time))
    return found
