"""A disk that fails where it is told to: for tests of programs that keep their files in a database.

Everything that changes a database goes through one file layer. :class:`FaultLayer` stands in its
place, makes the calls, and lets chosen ones fail::

    from aeordb.testing.faults import Fault, FaultLayer, use_layer

    count = FaultLayer()  # without a fault it only counts
    with use_layer(count):
        work("a.aeordb")
    for number in range(len(count.calls)):
        layer = FaultLayer(Fault("ENOSPC", at=number, lasting=True))
        with use_layer(layer), pytest.raises(aeordb.NotDurableError):
            work("b.aeordb")

Under a layer of this kind all changes are single calls of it: those that the C helper makes by
itself on the bare system come here as writes of their own. What it does not see is what an export,
a compact or a repair writes to the index of a *new* file, which is memory while it is filled; that
file has no name yet, and until its sync its content is nobody's.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from aeordb.storage.datafile import Bytes, FileLayer, Memory, OsLayer, use_layer

__all__ = ["ERRORS", "FAULTS", "KINDS", "LOST", "SHORT", "Fault", "FaultLayer", "use_layer"]

KINDS: Final = (
    "open",
    "close",
    "pwrite",
    "fdatasync",
    "truncate",
    "punch",
    "rename_noreplace",
    "replace",
    "map",
    "mkdir",
    "unlink",
    "fsync_folder",
)
"""The calls of a file layer, by the names of its methods."""

ERRORS: Final = ("EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR")
"""Errors that a call may end with, having done nothing; of a close the descriptor is gone."""

SHORT: Final = "short"
"""A write of which only the front half arrives, and which says so."""

LOST: Final = "lost"
"""A call that does nothing, and reports that all went well."""

FAULTS: Final = (*ERRORS, SHORT, LOST)

_WITHOUT_LOSS: Final = ("open", "close", "map")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and when.

    `what` is one of :data:`FAULTS`. Of the calls that `kind` (one of :data:`KINDS`) and `path` (how
    the path ends) pick, it hits number `at`, from 0; `lasting`: and all after it, until
    :meth:`FaultLayer.mend`. A short write can only be a "pwrite"; of "open", "close" and "map"
    nothing can be lost: with another `kind`, or none, these are passed over.

    `drops`: where a sync fails, the system gives up what was not synced, as some file systems do:
    the file is what the last sync left. Else the process goes on seeing what it wrote.
    """

    what: str
    at: int = 0
    lasting: bool = False
    kind: str | None = None
    path: str = ""
    drops: bool = False

    def __post_init__(self) -> None:
        if self.what not in FAULTS or self.kind not in (None, *KINDS):
            raise ValueError(f"no such fault: {self.what} of {self.kind}")

    def picks(self, call: Made) -> bool:
        """Whether a call is one of those that are counted for this fault."""
        if self.what == SHORT and (call.kind != "pwrite" or call.length < 2):
            return False
        if self.what == LOST and call.kind in _WITHOUT_LOSS:
            return False
        return self.kind in (None, call.kind) and call.path.endswith(self.path)


class Made(NamedTuple):
    """A call: of which kind, of which path (of a rename the old one), and its bytes or new size."""

    kind: str
    path: str
    offset: int = 0
    length: int = 0


class FaultLayer:
    """A file layer over another, with faults in it; for use with :func:`use_layer`.

    `calls` are all that were made so far, `hit` those of them in which something went wrong.
    May be used by threads.
    """

    def __init__(
        self, *faults: Fault, inner: FileLayer | None = None, remember: bool = False
    ) -> None:
        """`inner` makes the calls (None: the system does).

        `remember`: :meth:`lose_unsynced` can be called. It costs the bytes that are written over,
        until they are synced; faults that drop remember, too.
        """
        self.calls: list[Made] = []
        self.hit: list[Made] = []
        self._inner = inner or OsLayer()
        self._waiting = {fault: fault.at for fault in faults}
        self._paths: dict[int, str] = {}
        self._remembers = remember or any(fault.drops for fault in faults)
        self._unsynced: dict[tuple[int, int], _Unsynced] = {}
        self._mutex = threading.Lock()

    def mend(self) -> None:
        """From here on nothing fails any more."""
        with self._mutex:
            self._waiting = {}

    def lose_unsynced(self) -> None:
        """Takes back every change of a file that no sync has made durable, as a power cut may.

        Names stay as they are. Call it when nobody has the files open, or to see who minds.
        """
        if not self._remembers:
            raise ValueError("nothing is remembered: FaultLayer(..., remember=True)")
        with self._mutex:
            lost, self._unsynced = list(self._unsynced.values()), {}
        for changes in lost:
            changes.take_back()

    # -- the calls ------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        fault = self._next(Made("open", path))
        if fault is not None:
            raise _error(fault, path)
        fd = self._inner.open(path, flags, mode)
        self._paths[fd] = path
        return fd

    def close(self, fd: int) -> None:
        path = self._paths.pop(fd)
        fault = self._next(Made("close", path))
        self._inner.close(fd)
        if fault is not None:
            raise _error(fault, path)

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        length = len(data)
        fault = self._next(Made("pwrite", self._paths[fd], offset, length))
        if fault is not None and fault.what == LOST:
            return length
        if fault is not None and fault.what != SHORT:
            raise _error(fault, self._paths[fd])
        part = data if fault is None else memoryview(data)[: length // 2]
        self._keep(fd, offset, len(part))
        return self._inner.pwrite(fd, part, offset)

    def fdatasync(self, fd: int) -> None:
        fault = self._next(Made("fdatasync", self._paths[fd]))
        if fault is None:
            self._inner.fdatasync(fd)
            self._settle(fd)
        elif fault.what != LOST:
            if fault.drops:
                self._settle(fd, lost=True)
            raise _error(fault, self._paths[fd])

    def truncate(self, fd: int, size: int) -> None:
        def work() -> None:
            self._keep(fd, size, max(0, os.fstat(fd).st_size - size))
            self._inner.truncate(fd, size)

        self._make(Made("truncate", self._paths[fd], 0, size), work)

    def punch(self, fd: int, offset: int, length: int) -> None:
        def work() -> None:
            self._keep(fd, offset, length)
            self._inner.punch(fd, offset, length)

        self._make(Made("punch", self._paths[fd], offset, length), work)

    def rename_noreplace(self, source: str, target: str) -> None:
        call = Made("rename_noreplace", source)
        self._make(call, lambda: self._inner.rename_noreplace(source, target))

    def replace(self, source: str, target: str) -> None:
        self._make(Made("replace", source), lambda: self._inner.replace(source, target))

    def map(self, fd: int, length: int) -> Memory:
        fault = self._next(Made("map", self._paths[fd], 0, length))
        if fault is not None:
            raise _error(fault, self._paths[fd])
        self._keep(fd, 0, length)
        return self._inner.map(fd, length)

    def mkdir(self, path: str) -> None:
        self._make(Made("mkdir", path), lambda: self._inner.mkdir(path))

    def unlink(self, path: str) -> None:
        self._make(Made("unlink", path), lambda: self._inner.unlink(path))

    def fsync_folder(self, path: str) -> None:
        self._make(Made("fsync_folder", path), lambda: self._inner.fsync_folder(path))

    # -- faults ---------------------------------------------------------------------------

    def _make(self, call: Made, work: Callable[[], None]) -> None:
        fault = self._next(call)
        if fault is None:
            work()
        elif fault.what != LOST:
            raise _error(fault, call.path)

    def _next(self, call: Made) -> Fault | None:
        """Counts a call; the fault that hits it."""
        hit = None
        with self._mutex:
            self.calls.append(call)
            for fault, left in list(self._waiting.items()):
                if not fault.picks(call):
                    continue
                if left == 0:
                    hit = hit or fault
                if left > 0 or not fault.lasting:
                    self._waiting[fault] = left - 1
            if hit is not None:
                self.hit.append(call)
        return hit

    # -- what a sync has not made durable yet ---------------------------------------------

    def _keep(self, fd: int, offset: int, length: int) -> None:
        if not self._remembers:
            return
        status = os.fstat(fd)
        file = status.st_dev, status.st_ino
        with self._mutex:
            if file not in self._unsynced:
                self._unsynced[file] = _Unsynced(fd)
            self._unsynced[file].keep(offset, length, status.st_size)

    def _settle(self, fd: int, *, lost: bool = False) -> None:
        status = os.fstat(fd)
        with self._mutex:
            changes = self._unsynced.pop((status.st_dev, status.st_ino), None)
        if changes is not None and lost:
            changes.take_back()


class _Unsynced:
    """A file's bytes before the changes since its last sync, in their order."""

    def __init__(self, fd: int) -> None:
        self._before: list[tuple[int, bytes, int]] = []
        # A description of its own: the writer's goes when it closes, and has the writer's locks.
        self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self._fd)

    def keep(self, offset: int, length: int, size: int) -> None:
        """Notes what stands where a change is about to be, and the file's size."""
        length = min(length, max(0, size - offset))
        self._before.append((offset, os.pread(self._fd, length, offset), size))

    def take_back(self) -> None:
        """Undoes all changes."""
        for offset, old, size in reversed(self._before):
            os.ftruncate(self._fd, size)
            os.pwrite(self._fd, old, offset)


def _error(fault: Fault, path: str) -> OSError:
    number = getattr(errno, fault.what)
    return OSError(number, os.strerror(number), path)
