"""System calls on an open file that happen with every commit (native/file.h)."""

from __future__ import annotations

from aeordb.native._native import ffi, lib
from aeordb.native.hashing import Buffer


def begin_writing(fd: int, offset: int, length: int) -> None:
    """Lets the system begin to write a range to the disk, so that a later sync has less to do.

    Promises nothing, waits for nothing and takes no error away from the sync. Length 0: to the end.
    """
    lib.aeor_file_begin(fd, offset, length)


def send(fd: int, data: Buffer, offset: int, *, sync: bool = False) -> int:
    """Writes all of `data` at `offset`, and lets the system begin with what is not on its way yet.

    `sync`: makes durable first what was written earlier. 0, the errno of the write, or minus the
    errno of the sync.
    """
    return int(lib.aeor_file_send(fd, ffi.from_buffer(data), len(data), offset, sync))
