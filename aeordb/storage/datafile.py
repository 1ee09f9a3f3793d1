"""The only place that changes a file: every write, sync, cut, punch and rename goes through here.

A :class:`FileLayer` makes the system calls; tests put a recording or failing one in its place
with :func:`use_layer`. :class:`DataFile` adds what each caller needs: complete writes, typed
errors, and the rule that after a failed sync this process writes no more to the file.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from aeordb.errors import ExistsError, NotDurableError
from aeordb.format import constants as c
from aeordb.native.file import begin_writing, send
from aeordb.native.framing import void_header
from aeordb.native.pages import write_pages
from aeordb.native.sweep import Ranges
from aeordb.native.voids import Voids

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_FALLOC_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02
# So many bytes in a row, and what a transaction wrote is sent on its way to the disk.
_BEGIN_WRITING = 4 << 20
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP})
_DISK_ERRORS = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EINTR}
)

Bytes = bytes | bytearray | memoryview
Memory = mmap.mmap
"""A file as memory, which :meth:`DataFile.map_new` gives."""


class FileLayer(Protocol):
    """The system calls that change files or make changes durable."""

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        """Opens `path` for writing or creation; returns a file descriptor."""

    def close(self, fd: int) -> None:
        """Closes a descriptor that :meth:`open` gave."""

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        """Writes at most all of `data` at `offset`; returns the bytes written."""

    def fdatasync(self, fd: int) -> None:
        """Makes the file's data, and its size, durable."""

    def truncate(self, fd: int, size: int) -> None:
        """Sets the file's size in bytes."""

    def punch(self, fd: int, offset: int, length: int) -> None:
        """Takes a range out of the file: it reads as zeros, the size stays."""

    def map(self, fd: int, length: int) -> Memory:
        """The file's first `length` bytes as memory that can be written to."""

    def mkdir(self, path: str) -> None:
        """Makes a folder."""

    def rename_noreplace(self, source: str, target: str) -> None:
        """Renames; FileExistsError when `target` is there, with no race."""

    def replace(self, source: str, target: str) -> None:
        """Renames over `target`."""

    def unlink(self, path: str) -> None:
        """Removes a name."""

    def fsync_folder(self, path: str) -> None:
        """Makes the names in a folder durable."""


class OsLayer:
    """The real system calls."""

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def punch(self, fd: int, offset: int, length: int) -> None:
        result = _libc().fallocate(
            fd, _FALLOC_KEEP_SIZE_PUNCH_HOLE, ctypes.c_long(offset), ctypes.c_long(length)
        )
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def map(self, fd: int, length: int) -> Memory:
        return mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def mkdir(self, path: str) -> None:
        os.mkdir(path)

    def rename_noreplace(self, source: str, target: str) -> None:
        result = _libc().renameat2(
            _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE
        )
        if result == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), source, None, target)
        # File systems without RENAME_NOREPLACE: a hard link refuses an existing name just as well.
        os.link(source, target)
        os.unlink(source)

    def replace(self, source: str, target: str) -> None:
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def fsync_folder(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


_layer: FileLayer = OsLayer()
_loaded_libc: ctypes.CDLL | None = None


def _libc() -> ctypes.CDLL:
    global _loaded_libc
    if _loaded_libc is None:
        _loaded_libc = ctypes.CDLL(None, use_errno=True)
    return _loaded_libc


def current_layer() -> FileLayer:
    """The layer that newly opened files use."""
    return _layer


@contextlib.contextmanager
def use_layer(layer: FileLayer) -> Iterator[None]:
    """Puts `layer` in place of the system calls for files opened inside the block (tests)."""
    global _layer
    before, _layer = _layer, layer
    try:
        yield
    finally:
        _layer = before


class DataFile:
    """A file open for writing (and positional reading).

    Invariant: once a sync has failed, `broken` says why and every later write raises
    :class:`NotDurableError`. The kernel may have dropped the pages and cleared the error, so a
    second sync that succeeds would prove nothing.
    """

    def __init__(self, path: str, fd: int, layer: FileLayer) -> None:
        self.path = path
        self.fd = fd
        self.broken: str | None = None
        self._layer = layer
        # What was written in one go, piece behind piece, and that nobody asked to be on its way.
        self._run = (0, 0)

    @classmethod
    def open(cls, path: str, *, create: bool = False) -> DataFile:
        """Opens an existing file for reading and writing, or makes a new one.

        Raises FileNotFoundError and other OSErrors; ExistsError when `create` finds the name taken,
        NotDurableError where the disk takes no more.
        """
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
        try:
            with disk_errors(path, "open"):
                return cls(path, _layer.open(path, flags), _layer)
        except FileExistsError:
            raise ExistsError(path=path) from None

    def close(self) -> None:
        """Closes the descriptor; harmless when closed already.

        An error of it says nothing: what counts was synced before, and the descriptor is gone.
        """
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):
                self._layer.close(fd)

    def size(self) -> int:
        """The file's size in bytes."""
        return os.fstat(self.fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; shorter only at the end of the file."""
        data = os.pread(self.fd, length, offset)
        if len(data) in (0, length):
            return data
        parts = [data]
        done = len(data)
        while done < length:
            part = os.pread(self.fd, length - done, offset + done)
            if not part:
                break
            parts.append(part)
            done += len(part)
        return b"".join(parts)

    def write(self, offset: int, data: Bytes) -> None:
        """Writes all of `data` at `offset`; raises NotDurableError (disk full, I/O error)."""
        self._check()
        length = len(data)
        try:
            done = self._layer.pwrite(self.fd, data, offset)
            if done < length:
                view = memoryview(data)
                while done < length:
                    written = self._layer.pwrite(self.fd, view[done:], offset + done)
                    if written <= 0:
                        raise OSError(errno.EIO, "write returned no progress")
                    done += written
        except OSError as error:
            raise self._not_durable("write", error) from error
        start, end = self._run
        if offset != end:
            start = offset
        end = offset + length
        if end - start >= _BEGIN_WRITING:
            begin_writing(self.fd, start, end - start)
            start = end
        self._run = (start, end)

    def write_pages(self, kv_offset: int, numbers: array[int], images: bytes) -> None:
        """Writes index pages, neighbours in one call; raises NotDurableError."""
        self._check()
        done = 0
        if type(self._layer) is OsLayer:
            done = write_pages(self.fd, kv_offset, numbers, images)
        view = memoryview(images)
        while done < len(numbers):
            end = done + 1
            while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
                end += 1
            at = kv_offset + numbers[done] * c.PAGE_LENGTH
            self.write(at, view[done * c.PAGE_LENGTH : end * c.PAGE_LENGTH])
            done = end

    def write_voids(self, ranges: Ranges) -> None:
        """Writes void entries over many short ranges; raises NotDurableError."""
        self._check()
        done = ranges.write(self.fd) if type(self._layer) is OsLayer else 0
        if done == len(ranges):
            return
        for offset, length in islice(ranges, done, None):
            header = void_header(length)
            self.write(offset, header + bytes(length - len(header)))

    def write_short_voids(self, voids: Voids) -> None:
        """Writes those waiting ranges for which few bytes do; what fails is left waiting."""
        self._check()
        if type(self._layer) is OsLayer:
            voids.write_short(self.fd)

    def send(self, offset: int, data: Bytes, *, sync: bool = False) -> None:
        """Writes, and lets the system begin with all that is not on its way to the disk yet.

        `sync`: makes durable first what was written earlier. Raises NotDurableError.
        """
        if type(self._layer) is not OsLayer:
            if sync:
                self.sync()
            self.write(offset, data)
            begin_writing(self.fd, 0, 0)
            return
        self._check()
        code = send(self.fd, data, offset, sync=sync)
        if code:
            error = OSError(abs(code), os.strerror(abs(code)))
            raise self._sync_failed(error) if code < 0 else self._not_durable("write", error)
        self._run = (0, 0)

    def sync(self) -> None:
        """Makes all writes so far durable; a failure makes this object read-only for good."""
        self._check()
        try:
            self._layer.fdatasync(self.fd)
        except OSError as error:
            raise self._sync_failed(error) from error

    def truncate(self, size: int) -> None:
        """Sets the file's size."""
        self._check()
        try:
            self._layer.truncate(self.fd, size)
        except OSError as error:
            raise self._not_durable("truncate", error) from error

    def map_new(self, length: int) -> Memory:
        """The first `length` bytes as writable memory, for a file that has no final name yet.

        They must have been written, so that the disk has room for them. What is written to this
        memory is the file's like any write: the next sync makes it durable. Close it before.
        """
        self._check()
        try:
            return self._layer.map(self.fd, length)
        except OSError as error:
            raise self._not_durable("map", error) from error
        except ValueError as error:
            # The file is shorter than what was written to it.
            raise NotDurableError(path=self.path, reason=f"map: {error}") from error

    def punch(self, offset: int, length: int) -> bool:
        """Gives the range back to the file system; False where it cannot (it must be zeroed)."""
        self._check()
        try:
            self._layer.punch(self.fd, offset, length)
        except OSError as error:
            if error.errno in _UNSUPPORTED or error.errno == errno.EINTR:
                return False
            raise self._not_durable("punch", error) from error
        return True

    def _check(self) -> None:
        if self.broken is not None:
            raise NotDurableError(
                path=self.path, reason=f"read-only in this process: {self.broken}"
            )

    def give_up(self, reason: str) -> None:
        """Writes no more, because nobody knows what the file says."""
        self.broken = self.broken or reason

    def _sync_failed(self, error: OSError) -> NotDurableError:
        self.broken = f"an earlier sync failed ({error.strerror or error})"
        return self._not_durable("sync", error)

    def _not_durable(self, action: str, error: OSError) -> NotDurableError:
        return NotDurableError(path=self.path, reason=f"{action}: {error.strerror or error}")


def folder_of(path: str) -> str:
    """The folder that holds `path`'s name."""
    return os.path.dirname(path) or "."


def make_folders(path: str) -> None:
    """Makes a folder and those above it that are missing, durably. Raises OSError."""
    missing = []
    while not os.path.exists(path):
        missing.append(path)
        path = folder_of(path)
    for name in reversed(missing):
        try:
            _layer.mkdir(name)
        except FileExistsError:
            if not os.path.isdir(name):
                raise
        _layer.fsync_folder(folder_of(name))


def rename_new(source: str, target: str) -> None:
    """Gives a finished, synced file its final name, durably; never over an existing one.

    Raises ExistsError when `target` is there, NotDurableError.
    """
    try:
        _layer.rename_noreplace(source, target)
        _layer.fsync_folder(folder_of(target))
    except FileExistsError:
        raise ExistsError(path=target) from None
    except OSError as error:
        reason = f"rename: {error.strerror or error}"
        raise NotDurableError(path=target, reason=reason) from error


def replace(source: str, target: str) -> None:
    """Puts a finished, synced file in the place of another, durably; NotDurableError."""
    try:
        _layer.replace(source, target)
        _layer.fsync_folder(folder_of(target))
    except OSError as error:
        reason = f"rename: {error.strerror or error}"
        raise NotDurableError(path=target, reason=reason) from error


def remove(path: str) -> None:
    """Removes a name if it is there (a half-made file). Raises NotDurableError, OSError."""
    with contextlib.suppress(FileNotFoundError), disk_errors(path, "remove"):
        _layer.unlink(path)


def discard(path: str) -> None:
    """Removes what an error left half-made, if it can: that error is the one to be told."""
    with contextlib.suppress(OSError, NotDurableError):
        remove(path)


def discard_own(fd: int, *paths: str) -> None:
    """Discards those of the names that are this open file's.

    Once renamed, its name may still not be durable: what is reported as failed must go.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(path), os.fstat(fd)):
                discard(path)


@contextlib.contextmanager
def disk_errors(path: str, action: str) -> Iterator[None]:
    """Makes NotDurableErrors of what a disk says that takes no more, or fails."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            reason = f"{action}: {error.strerror or error}"
            raise NotDurableError(path=path, reason=reason) from error
        raise
