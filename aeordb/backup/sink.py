"""The file that an export or a patch is written to (engine.md 7): nothing under its name before
it is whole, and nothing at all left of it when something goes wrong.

The index is built where it will stand: in the KV block of the new file, mapped for writing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import Executor, wait
from contextlib import contextmanager

from aeordb.errors import ExistsError, NotDurableError
from aeordb.format import constants as c
from aeordb.format.header import Header, Spare
from aeordb.format.hottail import encode_hot_tail, region_length
from aeordb.format.page import block_length
from aeordb.format.page import pages as stage_pages
from aeordb.native.carry import Block
from aeordb.native.faults import MapFault
from aeordb.native.hashing import blake3
from aeordb.storage.datafile import (
    DataFile,
    Memory,
    discard_own,
    disk_errors,
    folder_of,
    make_folders,
    rename_new,
    replace,
)
from aeordb.storage.working import open_working

PART = ".part"

# What the pages of a stage leave over is allowed to be 512; keys are spread by a hash, so that the
# number hardly strays from the one that is expected.
_OVERFLOW_EXPECTED = 420
_ZEROS = bytes(1 << 20)


def stage_for_keys(count: int) -> int:
    """The lowest stage in which at most 512 of so many keys find their page full."""
    stage = 0
    while stage < c.STAGE_MAX and _expected_overflow(count, stage_pages(stage)) > (
        _OVERFLOW_EXPECTED
    ):
        stage += 1
    return stage


def _expected_overflow(keys: int, pages: int) -> float:
    """How many of `keys`, spread evenly, find the 32 places of their page taken."""
    mean = keys / pages
    if mean > 4 * c.PAGE_ENTRIES:
        return keys - pages * c.PAGE_ENTRIES
    chance = math.exp(-mean)  # of n keys in a page
    free = 0.0
    for n in range(c.PAGE_ENTRIES):
        free += (c.PAGE_ENTRIES - n) * chance
        chance *= mean / (n + 1)
    # What is over is what a page gets, less its places, plus those that stay free.
    return pages * (mean - c.PAGE_ENTRIES + free)


class Sink:
    """A new file that is filled entry by entry: `begin`, `write` as often as it takes, `finish`.

    Invariant: `length` is where the next entry goes; every entry before it is in the index.
    """

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._map: Memory | None = None
        self._block: Block | None = None
        self.stage = 0
        self.length = 0
        self.entries = 0
        self.latest = 0

    @property
    def fd(self) -> int:
        """The file's descriptor, for reading what was written."""
        return self._file.fd

    @property
    def log_start(self) -> int:
        """Where the first entry stands."""
        return c.HEADERS_LENGTH + block_length(self.stage)

    def begin(self, entries: int) -> None:
        """Starts a file of about so many entries; drops what was written before."""
        self.release()
        self._file.truncate(0)
        self.stage = stage_for_keys(entries)
        self.length = c.HEADERS_LENGTH + block_length(self.stage)
        self.entries = self.latest = 0
        # Written, not merely made room for: a disk that is full shall say so here.
        for offset in range(0, self.length, len(_ZEROS)):
            size = min(len(_ZEROS), self.length - offset)
            self._file.write(offset, memoryview(_ZEROS)[:size])
        self._map = self._file.map_new(self.length)
        self._block = Block(memoryview(self._map)[c.HEADERS_LENGTH :], stage_pages(self.stage))

    def write(
        self,
        image: bytes | memoryview,
        records: bytes | memoryview,
        latest: int,
        *,
        pool: Executor | None = None,
    ) -> None:
        """Appends framed entries; `records` have offsets from the start of `image`.

        `latest`: the highest time among them, in milliseconds. `pool`: a thread of it makes the
        index entries meanwhile.
        """
        assert self._block is not None
        indexing = pool.submit(self._block.insert, records, self.length) if pool else None
        try:
            self._file.write(self.length, image)
        finally:
            # Done before the caller uses that memory again, or lets go of the map.
            if indexing is not None:
                wait([indexing])
        try:
            if indexing is not None:
                indexing.result()
            else:
                self._block.insert(records, self.length)
        except MapFault as fault:
            raise NotDurableError(path=self._file.path, reason=str(fault)) from None
        self.length += len(image)
        self.entries += len(records) // c.HOT_TAIL_RECORD_LENGTH
        self.latest = max(self.latest, latest)

    def finish(
        self,
        backup_type: int,
        base: bytes,
        target: bytes,
        *,
        head: bytes | None = None,
        created_at: int | None = None,
        updated_at: int = 0,
    ) -> int:
        """Writes pages, hot tail and header, and makes the file durable; its length in bytes.

        A backup's HEAD is its target, and its times are that of its newest entry; of a database
        `head` and `created_at` are given, and `updated_at` where later times were in use.
        """
        assert self._block is not None
        try:
            records = self._block.seal()
        except MapFault as fault:
            raise NotDurableError(path=self._file.path, reason=str(fault)) from None
        self.release()
        count = len(records) // c.HOT_TAIL_RECORD_LENGTH
        tail = encode_hot_tail(records, [], region_length(count, 0))
        header = Header(
            sequence=1,
            created_at=self.latest if created_at is None else created_at,
            updated_at=max(self.latest, updated_at),
            kv_offset=c.HEADERS_LENGTH,
            kv_length=block_length(self.stage),
            hot_tail_offset=self.length,
            stage=self.stage,
            head=target if head is None else head,
            entry_count=self.entries,
            backup_type=backup_type,
            base=base,
            target=target,
            spare=Spare(c.SPARE_CLEAN, len(tail), blake3(tail)),
        )
        self._file.write(self.length, tail)
        self._file.write(0, header.encode())
        self._file.sync()
        return self.length + len(tail)

    def release(self) -> None:
        """Lets go of the mapped index."""
        if self._block is not None:
            self._block.close()
            self._block = None
        if self._map is not None:
            self._map.close()
            self._map = None


def check_absent(path: str) -> None:
    """ExistsError if there is anything under the output's name."""
    if os.path.lexists(path):
        raise ExistsError(path=path, hint="Choose another name, or remove it first.")


@contextmanager
def new_file(path: str, *, over: bool = False) -> Iterator[Sink]:
    """A sink whose file gets its name at the end of the block; on any error nothing is left.

    Makes missing parent folders. `over`: takes the place of the file of that name, at once, and
    has its permissions; on an error that one stays. A disk on which nothing can be removed keeps
    the `.part` file; the next run takes it away. Raises ExistsError, LockedError (somebody else
    makes a file of this name), NotDurableError, OSError.
    """
    if not over:
        check_absent(path)
    part = path + PART
    with disk_errors(path, "make"):
        make_folders(folder_of(path))
        file = open_working(part)
    sink = Sink(file)
    try:
        if over:
            os.fchmod(file.fd, os.stat(path).st_mode & 0o7777)
        yield sink
        (replace if over else rename_new)(part, path)
    except BaseException:
        sink.release()
        discard_own(file.fd, part, *(() if over else (path,)))
        raise
    finally:
        sink.release()
        file.close()
