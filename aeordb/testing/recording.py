"""File layers: one that records every call, and fails where it is told to; one that saves the
waiting; one that refuses.

The seam is :func:`aeordb.storage.datafile.use_layer`. Files are numbered in the order in which
they are first opened; a file that is made anew under an old name gets a new number.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from aeordb.storage.datafile import Bytes, Memory, OsLayer

OPEN, WRITE, SYNC, TRUNCATE, PUNCH = "open", "write", "sync", "truncate", "punch"
RENAME, UNLINK, MKDIR, FOLDER = "rename", "unlink", "mkdir", "folder"
CHANGES = (WRITE, TRUNCATE, PUNCH)

# Of memory that is a file's: what the processor and the kernel pass on is pages.
_PAGE = 4096


@dataclass(frozen=True)
class Call:
    """One call that changes files, or makes changes durable.

    `offset`: of a write or punch, in bytes; `length`: bytes written or punched, or the new size;
    `name`: what was opened, renamed or removed; `created`: the open made the file.
    """

    kind: str
    file: int = -1
    offset: int = 0
    length: int = 0
    data: bytes = b""
    name: str = ""
    target: str = ""
    created: bool = False

    @property
    def end(self) -> int:
        """Behind the last byte that is changed; of a truncation the new size."""
        return self.length if self.kind == TRUNCATE else self.offset + self.length

    def __str__(self) -> str:
        what = f"{self.name} {self.target}" if self.name else f"{self.offset}+{self.length}"
        return f"{self.kind} {what}".strip()


class Recorder(OsLayer):
    """Makes the real calls and keeps a list of them.

    What is written to a file's memory (:meth:`map`) is in the list as writes of whole pages, right
    before the sync that makes it durable.

    `durable=False` leaves out the syncs themselves, which only cost time here. Two kinds of fault
    can be set: `fail_sync`, the number of the sync (from 0) that reports EIO, and `fail_call`, the
    number of the call that changes something (write, truncate, punch, name) that reports ENOSPC,
    once, `short` of a write's bytes having been written.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        fail_sync: int = -1,
        fail_call: int = -1,
        short: bool = False,
    ) -> None:
        self.calls: list[Call] = []
        self.failed: list[int] = []
        self._durable = durable
        self._fail_sync = fail_sync
        self._fail_call = fail_call
        self._short = short
        self._syncs = 0
        self._changes = 0
        self._numbers: dict[tuple[int, int], int] = {}
        self._files = 0
        self._by_fd: dict[int, int] = {}
        # By descriptor, the mapped part of the file as the list of calls has it.
        self._mapped: dict[int, bytearray] = {}

    def mend(self) -> None:
        """From here on nothing fails any more."""
        self._fail_sync = self._fail_call = -1

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        created = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        fd = super().open(path, flags, mode)
        status = os.fstat(fd)
        identity = status.st_dev, status.st_ino
        if created or identity not in self._numbers:
            self._numbers[identity] = self._files
            self._files += 1
        number = self._by_fd[fd] = self._numbers[identity]
        self.calls.append(Call(OPEN, number, name=path, created=created))
        return fd

    def close(self, fd: int) -> None:
        del self._by_fd[fd]
        self._mapped.pop(fd, None)
        super().close(fd)

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        raw = bytes(data)
        if self._is_turn():
            if self._short and len(raw) > 1:
                # As on a full disk: first a short write, then the error.
                raw = raw[: len(raw) // 2]
                self._fail_call = self._changes
                # Short but once: else a slot can lack its last byte alone, which chance makes good.
                self._short = False
            else:
                raise self._full()
        written = super().pwrite(fd, raw, offset)
        assert written == len(raw)
        self.calls.append(Call(WRITE, self._by_fd[fd], offset, len(raw), raw))
        known = self._mapped.get(fd)
        if known is not None and offset < len(known):
            known[offset : offset + len(raw)] = raw[: len(known) - offset]
        return written

    def map(self, fd: int, length: int) -> Memory:
        self._mapped[fd] = bytearray(os.pread(fd, length, 0))
        return super().map(fd, length)

    def fdatasync(self, fd: int) -> None:
        self._note_memory(fd)
        self._syncs += 1
        if self._syncs - 1 == self._fail_sync:
            self.failed.append(len(self.calls))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self._durable:
            super().fdatasync(fd)
        self.calls.append(Call(SYNC, self._by_fd[fd]))

    def truncate(self, fd: int, size: int) -> None:
        if self._is_turn():
            raise self._full()
        super().truncate(fd, size)
        if size < len(self._mapped.get(fd, b"")):
            del self._mapped[fd]
        self.calls.append(Call(TRUNCATE, self._by_fd[fd], length=size))

    def punch(self, fd: int, offset: int, length: int) -> None:
        if self._is_turn():
            raise self._full()
        super().punch(fd, offset, length)
        self.calls.append(Call(PUNCH, self._by_fd[fd], offset, length))

    def mkdir(self, path: str) -> None:
        if self._is_turn():
            raise self._full()
        super().mkdir(path)
        self.calls.append(Call(MKDIR, name=path))

    def rename_noreplace(self, source: str, target: str) -> None:
        if self._is_turn():
            raise self._full()
        super().rename_noreplace(source, target)
        self.calls.append(Call(RENAME, name=source, target=target))

    def replace(self, source: str, target: str) -> None:
        if self._is_turn():
            raise self._full()
        super().replace(source, target)
        self.calls.append(Call(RENAME, name=source, target=target))

    def unlink(self, path: str) -> None:
        super().unlink(path)
        self.calls.append(Call(UNLINK, name=path))

    def fsync_folder(self, path: str) -> None:
        if self._durable:
            super().fsync_folder(path)
        self.calls.append(Call(FOLDER, name=path))

    def _note_memory(self, fd: int) -> None:
        known = self._mapped.get(fd)
        if known is None:
            return
        found = os.pread(fd, len(known), 0)
        start = 0
        while start < len(found):
            end = start
            while found[end : end + _PAGE] != known[end : end + _PAGE]:
                end += _PAGE
            if end > start:
                data = found[start:end]
                self.calls.append(Call(WRITE, self._by_fd[fd], start, len(data), data))
            start = end + _PAGE
        known[:] = found

    def _is_turn(self) -> bool:
        self._changes += 1
        return self._changes - 1 == self._fail_call

    def _full(self) -> OSError:
        self.failed.append(len(self.calls))
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class QuickLayer(OsLayer):
    """The real calls without the waiting: where nobody pulls the plug, no sync is needed."""

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync_folder(self, path: str) -> None:
        pass


class ReadOnlyLayer(OsLayer):
    """Refuses every call with AssertionError: what a reader needs of the seam is nothing."""

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        raise AssertionError(f"a reader opens {path} for writing")

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        raise AssertionError("a reader writes")

    def truncate(self, fd: int, size: int) -> None:
        raise AssertionError("a reader truncates")

    def punch(self, fd: int, offset: int, length: int) -> None:
        raise AssertionError("a reader punches a hole")

    def map(self, fd: int, length: int) -> Memory:
        raise AssertionError("a reader maps a file for writing")

    def mkdir(self, path: str) -> None:
        raise AssertionError("a reader makes a folder")

    def unlink(self, path: str) -> None:
        raise AssertionError("a reader removes a name")

    def replace(self, source: str, target: str) -> None:
        raise AssertionError("a reader renames")

    def rename_noreplace(self, source: str, target: str) -> None:
        raise AssertionError("a reader renames")
