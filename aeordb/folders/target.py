"""Writing below one folder on disk, and nowhere else.

Every step goes from a folder's descriptor to a name in it, never through a symlink: whatever stands
in the folder, and whoever changes it meanwhile, nothing is written outside. A file gets its name
when it is whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Final

from aeordb.errors import AeorDBError, NotDurableError, quote
from aeordb.folders.report import reason_of, shown
from aeordb.storage.protocols import Buffer

OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FATAL: Final = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE)
)
# A path may be deeper than the process may have files open.
_OPEN_MAX: Final = 64


class Target:
    """A folder being written: where we are is a row of names below the top, entered and left."""

    def __init__(self, path: bytes) -> None:
        """Opens the folder at `path`, making it and those above it; `path` may be a symlink."""
        os.makedirs(path, exist_ok=True)
        self.path = path
        self._token = os.urandom(8).hex().encode()
        self._made = 0
        # The top's descriptor, then one for each name; -1: closed to save descriptors.
        self._fds = [os.open(path, OPEN_FOLDER)]
        self._names: list[bytes] = []

    def close(self) -> None:
        """Closes all descriptors."""
        for fd in self._fds:
            if fd >= 0:
                os.close(fd)
        self._fds = []

    def enter(self, name: bytes) -> bool:
        """Goes into the folder `name`, making it; True if it is new. OSError for a non-folder."""
        _refuse_path(name)
        here = self._here()
        try:
            os.mkdir(name, dir_fd=here)
            is_new = True
        except FileExistsError:
            is_new = False
        self._fds.append(os.open(name, OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=here))
        self._names.append(name)
        old = len(self._fds) - _OPEN_MAX
        if old > 0 and self._fds[old] >= 0:
            os.close(self._fds[old])
            self._fds[old] = -1
        return is_new

    def leave(self, updated: int | None) -> None:
        """Goes back up, giving the folder its modification time in ms."""
        fd = self._here()
        if updated is not None:
            set_time(fd, updated)
        os.close(fd)
        self._fds.pop()
        self._names.pop()

    def where(self, name: bytes) -> bytes:
        """The path of a name in this folder, for messages."""
        return b"/".join((self.path, *self._names, name))

    def write_file(
        self,
        name: bytes,
        content: Iterable[Buffer],
        updated: int | None,
        advance: Callable[[int], object] | None = None,
    ) -> int:
        """Writes a file and gives it its name when it is whole; returns its length in bytes.

        What has the name already is replaced, a symlink as itself; OSError where it is a folder.
        `advance` is told of bytes written.
        """
        _refuse_path(name)
        folder = self._here()
        temporary = self._temporary()
        fd = os.open(temporary, _NEW_FILE, 0o666, dir_fd=folder)
        try:
            length = 0
            try:
                for part in content:
                    length += len(part)
                    _write_all(fd, part)
                    if advance is not None:
                        advance(len(part))
                if updated is not None:
                    set_time(fd, updated)
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
        return length

    def write_link(self, name: bytes, target: bytes, updated: int | None) -> None:
        """Makes a symlink, in place of a file or symlink of that name."""
        _refuse_path(name)
        folder = self._here()
        temporary = self._temporary()
        os.symlink(target, temporary, dir_fd=folder)
        try:
            if updated is not None:
                set_time(temporary, updated, folder)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise

    def _temporary(self) -> bytes:
        """A name that nothing has: until a file is whole."""
        self._made += 1
        return b".aeordb-%b-%d.part" % (self._token, self._made)

    def _here(self) -> int:
        """The descriptor of the folder we are in, opened again name by name where need be."""
        if self._fds[-1] < 0:
            fd = os.dup(self._fds[0])
            for name in self._names:
                inner = os.open(name, OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = inner
            self._fds[-1] = fd
        return self._fds[-1]


def set_time(place: int | bytes, updated: int, folder: int | None = None) -> None:
    """Sets modification and access time in ms; one that the system cannot hold is let be."""
    times = (updated * 1_000_000, updated * 1_000_000)
    try:
        if isinstance(place, int):
            os.utime(place, ns=times)
        else:
            os.utime(place, ns=times, dir_fd=folder, follow_symlinks=False)
    except (OverflowError, OSError):
        return


def is_fatal(error: OSError) -> bool:
    """Whether nothing more can be written after it."""
    return error.errno in _FATAL


def write_error(path: bytes, error: OSError) -> AeorDBError:
    """What to raise for an operating system's error that ends the writing."""
    message = f"{quote(shown(path))} cannot be written: {reason_of(error)}"
    if is_fatal(error):
        return NotDurableError(message, hint="Make room, then try again.")
    return AeorDBError(message)


def _write_all(fd: int, part: Buffer) -> None:
    written = os.write(fd, part)
    while written < len(part):
        written += os.write(fd, memoryview(part)[written:])


def _refuse_path(name: bytes) -> None:
    """A name from a listing was checked there; this is the last door before the disk."""
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(f"{name!r} is no name for a file")
