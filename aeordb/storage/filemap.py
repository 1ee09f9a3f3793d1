"""The read-only map of the file, made larger when the file has grown."""

from __future__ import annotations

import mmap
import os

from aeordb.native.map import Map


class FileMap:
    """Maps a file that may grow; each view keeps the :class:`Map` that it was given."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.current = self._make()

    def covering(self, end: int) -> Map:
        """A map that reaches `end` if the file does, else as far as the file goes."""
        if self.current.length < end:
            self.current = self._make()
        return self.current

    def _make(self) -> Map:
        size = os.fstat(self._fd).st_size
        if size == 0:
            return Map(b"")
        # The old map is left to its views; the collector unmaps it with the last of them. Until
        # then mmap keeps a duplicate of its descriptor: of one that holds no writer's lock.
        fd = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return Map(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
        finally:
            os.close(fd)
