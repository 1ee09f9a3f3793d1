"""File layers that count, shorten and fail."""

import errno
import os
from collections import Counter
from collections.abc import Callable

from aeordb.storage.datafile import Bytes, OsLayer


class CountingLayer(OsLayer):
    """The real calls, counted; `fail` may raise before any of them."""

    def __init__(self, fail: Callable[[str, int], None] | None = None) -> None:
        self.calls: Counter[str] = Counter()
        self.written = 0
        self.fail = fail

    def _note(self, name: str) -> None:
        self.calls[name] += 1
        if self.fail is not None:
            self.fail(name, self.calls[name])

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        self._note("pwrite")
        self.written += len(data)
        return super().pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        self._note("fdatasync")
        super().fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._note("truncate")
        super().truncate(fd, size)

    def punch(self, fd: int, offset: int, length: int) -> None:
        self._note("punch")
        super().punch(fd, offset, length)


class ShortLayer(OsLayer):
    """Writes at most `most` bytes at a time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        return super().pwrite(fd, memoryview(data)[: self.most], offset)


def no_space(name: str, when: str = "pwrite") -> None:
    if name == when:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fails_once(name: str, number: int, code: int = errno.EIO) -> Callable[[str, int], None]:
    """A failure of the `number`th call of that name, and of no other."""

    def fail(called: str, count: int) -> None:
        if (called, count) == (name, number):
            raise OSError(code, os.strerror(code))

    return fail
