"""Several calls in one: what is written, in which order, and what a failure leaves undone."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aeordb.native.file import begin_writing, send


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("sync", [False, True])
def test_all_of_the_data_is_written_at_its_place(fd: int, sync: bool) -> None:
    data = bytes(range(256)) * 30
    assert send(fd, data, 11, sync=sync) == 0
    assert send(fd, memoryview(data)[:5], 0, sync=sync) == 0
    assert send(fd, b"", 3, sync=sync) == 0
    assert os.pread(fd, 1 << 16, 0) == data[:5] + bytes(6) + data


def test_a_failed_sync_comes_first_and_nothing_is_written() -> None:
    """A pipe can be neither synced nor written at an offset: minus says which was tried."""
    reads, writes = os.pipe()
    assert send(writes, b"abc", 0, sync=True) == -errno.EINVAL
    assert send(writes, b"abc", 0) == errno.ESPIPE
    os.close(reads)
    os.close(writes)


def test_a_failed_write() -> None:
    fd = os.open("/dev/full", os.O_RDWR)
    assert send(fd, b"abc", 0) == errno.ENOSPC
    os.close(fd)
    assert send(-1, b"abc", 0) == errno.EBADF
    begin_writing(-1, 0, 0)


def test_a_short_write_is_gone_on_with(fd: int) -> None:
    """Up to the limit the system takes a part, and says why it takes no more only then."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert send(fd, b"x" * 1500, 0) == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert os.fstat(fd).st_size == 1000
