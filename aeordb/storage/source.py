"""A backup file, opened to be read: an export or a patch, of which nothing is trusted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from aeordb.errors import DamagedError, NotADatabaseError
from aeordb.format import constants as c
from aeordb.format.header import Header, LiveSlot
from aeordb.native.faults import MapFault, NativeFault, PageFault
from aeordb.native.index import Index
from aeordb.storage.filemap import FileMap
from aeordb.storage.locks import ReaderLock
from aeordb.storage.state import State, load_backup, read_slots, rebuild_state
from aeordb.storage.store import check_kind
from aeordb.storage.view import View

_T = TypeVar("_T")

# What is read to memory before anything is known of it. An index that just grew may ride in the
# hot tail; a million records do not.
_TAIL_MAX = 64 << 20
_OFFSET_MAX = 1 << 62


class SourceView(View):
    """A view of a file that nobody writes to: what does not hold is damage, at once.

    AeorDB's missing hot tail or bad page is made good by a scan, as for databases.
    """

    def __init__(self, path: str, fd: int, files: FileMap, live: LiveSlot, state: State) -> None:
        super().__init__(path, fd, files, state, lock=ReaderLock(fd))
        self._live = live

    @property
    def header(self) -> Header:
        """The live header."""
        return self.state.header

    def copy_into(self, out: bytearray | memoryview, at: int, offset: int, length: int) -> None:
        """As :meth:`View.copy_into`, by reading: much of a backup is read once, in order, which
        the system then reads ahead."""
        self._check()
        part = memoryview(out)[at : at + length]
        while part:
            done = os.preadv(self._fd, [part], offset) if offset < _OFFSET_MAX else 0
            if not done:
                raise self._damage(MapFault(offset, len(part)))
            part = part[done:]
            offset += done

    def count(self, kv_type: int) -> int:
        """How many entries of a KV type the index holds: reads every page."""
        found = self._ask(lambda index: sum(len(part) for part in index.scan(kv_type)))
        return (found or 0) // c.HOT_TAIL_RECORD_LENGTH

    def close(self) -> None:
        """Closes the file."""
        super().close()
        self._index = None
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _ask(self, ask: Callable[[Index], _T | None]) -> _T | None:
        self._check()
        try:
            return ask(self.index)
        except NativeFault as fault:
            return self._again(ask, fault)

    def _again(self, ask: Callable[[Index], _T | None], fault: NativeFault | None) -> _T | None:
        if fault is None:
            return None
        if isinstance(fault, PageFault) and not (self._newest.ours or self._newest.rebuilt):
            size = os.fstat(self._fd).st_size
            self._newest = rebuild_state(self._live, self._files.covering(size), size)
            self._index = None
            return self._ask(ask)
        raise self._damage(fault) from None


def open_source(path: str) -> SourceView:
    """Opens an export or a patch (or any database) without changing a byte of it.

    Raises NotADatabaseError, DamagedError.
    """
    fd = -1
    try:
        check_kind(path)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        live = read_slots(fd, path)
        _bound_tail(fd, path, live)
        files = FileMap(fd)
        return SourceView(path, fd, files, live, load_backup(fd, path, live, files.covering))
    except BaseException as error:
        if fd >= 0:
            os.close(fd)
        if isinstance(error, FileNotFoundError):
            raise NotADatabaseError(path=path, reason="there is no such file") from None
        raise


def _bound_tail(fd: int, path: str, live: LiveSlot) -> None:
    """DamagedError for a hot tail that would fill memory."""
    header = live.header
    length = os.fstat(fd).st_size - header.hot_tail_offset
    if header.spare is not None:
        length = header.spare.region_length
    elif length > 0:
        magic = os.pread(fd, len(c.HOT_TAIL_MAGIC), header.hot_tail_offset)
        length = length if magic == c.HOT_TAIL_MAGIC else 0
    if length > _TAIL_MAX:
        reason = f"a hot tail of {length} bytes, at most {_TAIL_MAX} are read of a backup"
        raise DamagedError(path=path, offset=header.hot_tail_offset, reason=reason)
