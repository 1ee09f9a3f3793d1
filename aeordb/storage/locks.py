"""Who may do what with the file: one writer, any number of readers (engine.md section 5).

The writer holds `flock` on `NAME.lock` beside the name given, on that of the resolved name, and
on the database's own inode, so that two names of one file cannot get two writers. Readers hold
shared open-file-description locks on single bytes far behind any data.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import time

from aeordb.errors import LockedError, NotDurableError

VIEW_BYTE = 1 << 62
WALK_BYTE = (1 << 62) + 1
_POLL_SECONDS = 0.01
_NOTE_MAX = 1024


class _Flock(ctypes.Structure):
    """`struct flock` of the kernel's 64-bit interface."""

    _fields_ = (
        ("type", ctypes.c_short),
        ("whence", ctypes.c_short),
        ("start", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("pid", ctypes.c_int),
    )


class WriterLock:
    """The right to write a database; held from construction until :meth:`release`."""

    def __init__(self, path: str, timeout: float | None = 0.0) -> None:
        """Takes the lock files; raises LockedError with the holder's process id.

        `timeout` is in seconds: 0 fails at once, None waits for ever.
        """
        self.path = path
        self._pid = os.getpid()
        self._fds: list[int] = []
        self._inode = -1
        self._deadline = None if timeout is None else time.monotonic() + timeout
        names = dict.fromkeys([path + ".lock", os.path.realpath(path) + ".lock"])
        try:
            seen: set[tuple[int, int]] = set()
            for name in names:
                fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                status = os.fstat(fd)
                if (status.st_dev, status.st_ino) in seen:
                    os.close(fd)
                    continue
                self._fds.append(fd)
                seen.add((status.st_dev, status.st_ino))
                self._take(fd)
        except BaseException as error:
            self.release()
            if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES):
                raise NotDurableError(
                    path=path, reason=f"cannot lock for writing: {error.strerror}"
                ) from error
            raise

    def take_inode(self, fd: int) -> None:
        """Locks the open database file itself; it must still be the one that `path` names.

        `fd` stays open until :meth:`release`. Waits as long as the timeout still allows: a writer
        under another name of the file (a hard link) is met only here.
        """
        self._take(fd)
        self._inode = fd
        named, held = os.stat(self.path), os.fstat(fd)
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            raise LockedError(path=self.path, pid=None)

    def release(self) -> None:
        """Gives the lock back; the lock files stay behind.

        Forked children hold duplicates of the descriptors: closing ours alone would leave the locks
        standing. A child takes nothing from its parent.
        """
        mine = os.getpid() == self._pid
        if mine and self._inode >= 0:
            fcntl.flock(self._inode, fcntl.LOCK_UN)
        self._inode = -1
        while self._fds:
            fd = self._fds.pop()
            if mine:
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def _take(self, fd: int) -> None:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    raise LockedError(path=self.path, pid=holder(fd)) from None
                time.sleep(_POLL_SECONDS)


class ReaderLock:
    """A view's shared lock, on an open file description of its own; goes with the object."""

    def __init__(self, fd: int) -> None:
        """Opens the file behind `fd` anew and shares the view byte; waits for a gc batch."""
        self._fd = -1
        self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_lock(self._fd, fcntl.F_RDLCK, VIEW_BYTE, wait=True)
        except BaseException:
            self.release()
            raise

    def share_walk(self) -> None:
        """Also keeps the KV block from growing, for as long as a walk lasts."""
        _set_lock(self._fd, fcntl.F_RDLCK, WALK_BYTE, wait=True)

    def end_walk(self) -> None:
        """Lets the KV block grow again."""
        _set_lock(self._fd, fcntl.F_UNLCK, WALK_BYTE, wait=False)

    def release(self) -> None:
        """Gives up the view."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.release()


class ExclusiveLock:
    """The writer's way to be alone with the pages for a moment; a context manager.

    Raises LockedError with `readers` when views (or walks, for `WALK_BYTE`) still stand after
    `patience` seconds.
    """

    def __init__(self, path: str, fd: int, byte: int, patience: float) -> None:
        self._path = path
        self._byte = byte
        self._patience = patience
        self._source = fd
        self._fd = -1

    def __enter__(self) -> ExclusiveLock:
        self._fd = os.open(f"/proc/self/fd/{self._source}", os.O_RDWR | os.O_CLOEXEC)
        deadline = time.monotonic() + self._patience
        while True:
            try:
                _set_lock(self._fd, fcntl.F_WRLCK, self._byte, wait=False)
                return self
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    self.__exit__()
                    raise
                if time.monotonic() >= deadline:
                    count = readers(self._source, self._byte)
                    self.__exit__()
                    raise LockedError(path=self._path, pid=None, readers=count) from None
                time.sleep(_POLL_SECONDS)

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def write_note(path: str, text: str) -> None:
    """Notes in the lock files who holds the lock (the caller), for those that meet it."""
    for name in dict.fromkeys([path + ".lock", os.path.realpath(path) + ".lock"]):
        with open(name, "wb") as file:
            file.write(text.encode())


def read_note(path: str) -> str:
    """What the holder of a database's lock wrote about itself; "" if nothing.

    It may be from a holder long gone, so it must say whom it is about.
    """
    try:
        with open(path + ".lock", "rb") as file:
            return file.read(_NOTE_MAX).decode(errors="replace")
    except OSError:
        return ""


def holder(fd: int) -> int | None:
    """The process that holds the `flock` on this file, if the system tells."""
    for kind, _access, pid, identity, *_ in _proc_locks():
        if kind == "FLOCK" and identity == _identity(fd):
            return pid
    return None


def readers(fd: int, byte: int = VIEW_BYTE) -> int:
    """How many locks stand on this byte of the file behind `fd`."""
    mine = _identity(fd)
    return sum(
        1
        for kind, access, _pid, identity, start, end in _proc_locks()
        if kind == "OFDLCK" and access == "READ" and identity == mine and start <= byte <= end
    )


def _set_lock(fd: int, kind: int, byte: int, *, wait: bool) -> None:
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(fd, command, bytes(_Flock(kind, os.SEEK_SET, byte, 1, 0)))


def _identity(fd: int) -> tuple[int, int, int]:
    status = os.fstat(fd)
    return os.major(status.st_dev), os.minor(status.st_dev), status.st_ino


def _proc_locks() -> list[tuple[str, str, int, tuple[int, int, int], int, int]]:
    """Rows of (kind, access, process id, file, first byte, last byte)."""
    rows = []
    with contextlib.suppress(OSError), open("/proc/locks", encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            if len(words) < 8 or words[1] == "->":
                continue
            major, minor, inode = words[5].split(":")
            identity = (int(major, 16), int(minor, 16), int(inode))
            start, end = int(words[6]), int(words[7]) if words[7] != "EOF" else WALK_BYTE
            rows.append((words[1], words[3], int(words[4]), identity, start, end))
    return rows
