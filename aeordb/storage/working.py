"""Files under working names, before they are whole: each is one process's alone while that lives.

A process holds `flock` on the file that it writes, until it closes it or dies. What is not locked
was left behind by one that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from aeordb.errors import ExistsError, LockedError
from aeordb.storage.datafile import DataFile, remove
from aeordb.storage.locks import holder


def open_working(path: str) -> DataFile:
    """A new file under a working name; what a killed process left there goes first.

    Close it to give the name back. Raises LockedError while somebody else has it, NotDurableError,
    OSError.
    """
    if not remove_left(path):
        raise _locked(path)
    try:
        file = DataFile.open(path, create=True)
    except ExistsError:
        raise _locked(path) from None
    if not _take(file.fd, path):
        # Somebody took it for something left behind: it is not ours to remove.
        file.close()
        raise _locked(path)
    return file


def remove_left(path: str) -> bool:
    """Removes what stands under a working name, if nobody is at work on it; True if nobody was.

    Raises NotDurableError, OSError.
    """
    with _opened(path) as fd:
        if fd is not None and not _take(fd, path):
            return False
        remove(path)
    return True


@contextlib.contextmanager
def at_work(path: str) -> Iterator[None]:
    """Keeps others from taking a finished file for one that was left behind, if it is there."""
    with _opened(path) as fd:
        if fd is not None:
            _take(fd, path)
        yield


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int | None]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # Nothing, a symlink, or a file of somebody else's: what can be done shows when it is tried.
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _take(fd: int, path: str) -> bool:
    """Locks an open file; False if somebody else has it, or another file stands there by now.

    True as well on a file system that knows no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _locked(path: str) -> LockedError:
    with _opened(path) as fd:
        return LockedError(path=path, pid=None if fd is None else holder(fd))
