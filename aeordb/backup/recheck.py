"""A finished backup read again from its file, before an older one may go."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator

from aeordb.backup.mark import damage, mark, with_walk
from aeordb.backup.source import Source
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.native.entries import verify_entries
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index
from aeordb.native.log import GAP, LogEntry, scan_log
from aeordb.native.walk import Marks
from aeordb.parallel.threads import in_order
from aeordb.progress import Progress
from aeordb.storage.filemap import FileMap

_WINDOW = 4 << 20

_Window = tuple[int, int, "array[int]", "array[int]"]
"""(offset, length) in the file; the entries' offsets in it and lengths."""


def recheck(
    path: str, version: bytes, base: bytes | None, *, jobs: int, progress: Progress
) -> None:
    """Reads every entry of a backup that was just written, and checks its integrity hash.

    Of an export also that the whole version can be reached through its own index.
    Raises DamagedError, NotADatabaseError.
    """
    with Source(path) as source:
        if (source.version, source.base) != (version, base):
            raise DamagedError(path=path, offset=0, reason="its header names other versions")
        view = source.view
        header = view.header
        if base is None:

            def walk(index: Index) -> None:
                mark(index, version, Marks(index), jobs=jobs)

            try:
                with_walk(view, walk)
            except NativeFault as fault:
                raise damage(view, [version], fault) from None

        def check(window: _Window) -> tuple[int, int]:
            start, length, offsets, lengths = window
            for at, _ in verify_entries(view.copy(start, length), offsets, lengths):
                raise _bad(path, start + offsets[at])
            return len(offsets), length

        start, end = header.log_start, header.hot_tail_offset
        progress.start(end - start, "Checking the backup")
        entries = 0
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            results = in_order(jobs, _windows(fd, path, start, end), check)
            for count, length in results:
                entries += count
                progress.advance(length, count)
        finally:
            os.close(fd)
        if entries != header.entry_count:
            reason = f"{entries} entries, its header says {header.entry_count}"
            raise DamagedError(path=path, offset=start, reason=reason)


def _windows(fd: int, path: str, start: int, end: int) -> Iterator[_Window]:
    """The log in pieces of whole entries; every byte of it is in one."""
    offsets, lengths, first = array("Q"), array("Q"), start
    for entry in _entries(fd, path, start, end):
        if offsets and entry.offset + entry.length - first > _WINDOW:
            yield first, entry.offset - first, offsets, lengths
            offsets, lengths, first = array("Q"), array("Q"), entry.offset
        offsets.append(entry.offset - first)
        lengths.append(entry.length)
    if offsets:
        yield first, end - first, offsets, lengths


def _entries(fd: int, path: str, start: int, end: int) -> Iterator[LogEntry]:
    expected = start
    for batch in scan_log(FileMap(fd).covering(end), start, end):
        for entry in batch:
            if entry.type == GAP or entry.type == c.ENTRY_VOID or entry.offset != expected:
                raise _bad(path, expected)
            expected += entry.length
            yield entry
    if expected != end:
        raise _bad(path, expected)


def _bad(path: str, offset: int) -> DamagedError:
    return DamagedError(
        path=path,
        offset=offset,
        reason="the new backup does not read back as it was written",
        hint="Check the disk. No older backup was deleted.",
    )
