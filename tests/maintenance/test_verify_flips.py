"""Every byte of a small database flipped, one at a time.

No read may return anything but what was written, and verify reports every flip but those in the
bytes that FORMAT.md (section 3) names: an entry header's own time and its system flag.
"""

import bisect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.format import constants as c
from aeordb.native.log import scan_log
from aeordb.storage.filemap import FileMap
from aeordb.storage.state import read_header

# Of pages that hold nothing all bytes are alike: so many of them are flipped.
EMPTY_STEP = 13
# Bytes of an entry's header that no hash covers and no rule bounds.
FLAGS, TIME = 6, range(19, 27)


def make(path: Path) -> None:
    with aeordb.open(path, "x") as db:
        with db.transaction() as tx:
            tx.put("/a/b.txt", b"hello " * 20)
            tx.put("/a/c.txt", b"compressible " * 60)
            tx.put("/new", b"first")
            tx.symlink("/a/b.txt", "/link")
            tx.put("/gone", bytes(range(256)))
        db.snapshots.create("v1")
        with db.transaction() as tx:
            tx.put("/new", b"the second version")
            tx.delete("/gone")
        db.forks.create("f1")


def contents(path: Path) -> dict[tuple[str, str], Any]:
    """All that a reader can be told, of every version that opens."""
    found: dict[tuple[str, str], Any] = {}
    with aeordb.open(path, "r") as db:
        names = ["HEAD", *(s.name for s in db.snapshots.list()), *(f.name for f in db.forks.list())]
        for name in names:
            view = db.at(name)
            for stat in view.walk("/"):
                data = view.read(stat.path) if stat.kind == "file" else None
                found[name, stat.path] = (stat, data)
    return found


class Flipped:
    """A file of which one bit at a time is another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.good = contents(path)
        assert aeordb.verify(path).ok
        self._fd = os.open(path, os.O_RDWR)
        self.header = read_header(self._fd, str(path))
        end = self.header.hot_tail_offset
        source = FileMap(self._fd).covering(len(self.data))
        batches = scan_log(source, self.header.log_start, end)
        self.entries = [(e.offset, e.length, e.type) for batch in batches for e in batch]

    def flip(self, offset: int) -> Iterator[None]:
        bit = 1 << offset * 5 % 8
        os.pwrite(self._fd, bytes([self.data[offset] ^ bit]), offset)
        try:
            yield
        finally:
            os.pwrite(self._fd, self.data[offset : offset + 1], offset)

    def run(self, offsets: Iterable[int], *, read: bool) -> list[int]:
        """Flips these; the offsets that verify says nothing of."""
        silent = []
        for offset in offsets:
            for _ in self.flip(offset):
                if not self.is_reported():
                    silent.append(offset)
                if read or offset in silent:
                    self.check_reads(offset)
        return silent

    def is_reported(self) -> bool:
        try:
            return not aeordb.verify(self.path).ok
        except (aeordb.DamagedError, aeordb.NotADatabaseError):
            return True

    def check_reads(self, offset: int) -> None:
        """What can be read is what was written; names that a damaged index lost are reported."""
        try:
            found = contents(self.path)
        except aeordb.AeorDBError:
            return
        for place, what in found.items():
            assert self.good[place] == what, (offset, place)
        assert len(found) == len(self.good) or self.is_reported(), offset

    def field_of(self, offset: int) -> int:
        """The offset within its log entry."""
        starts = [entry[0] for entry in self.entries]
        start, length, _ = self.entries[bisect.bisect(starts, offset) - 1]
        assert offset < start + length
        return offset - start


@pytest.fixture
def flipped(tmp_path: Path) -> Flipped:
    make(tmp_path / "data.aeordb")
    return Flipped(tmp_path / "data.aeordb")


def test_every_byte_of_slots_log_and_hot_tail(flipped: Flipped) -> None:
    start, end = flipped.header.log_start, len(flipped.data)
    assert flipped.run(range(c.HEADERS_LENGTH), read=True) == []
    silent = flipped.run(range(start, end), read=True)
    fields = {flipped.field_of(offset) for offset in silent}
    assert fields <= {FLAGS, *TIME}
    # Not all of these either: a time that was never handed out is found.
    assert len(silent) < 9 * len(flipped.entries)


def test_the_kv_block_without_entries(flipped: Flipped) -> None:
    start, end = c.HEADERS_LENGTH, flipped.header.log_start
    headers = [
        start + page * c.PAGE_LENGTH + at
        for page in range(flipped.header.pages)
        for at in range(c.PAGE_HEADER_LENGTH)
    ]
    assert flipped.run(headers, read=False) == []
    assert flipped.run(range(start, end, EMPTY_STEP), read=False) == []
    assert flipped.run(range(end - 300, end), read=False) == []


def test_every_byte_of_pages_with_entries(tmp_path: Path) -> None:
    """An export has its index in pages, not in the hot tail."""
    make(tmp_path / "data.aeordb")
    with aeordb.open(tmp_path / "data.aeordb", "r") as db:
        db.export(tmp_path / "out.aeordb")
    flipped = Flipped(tmp_path / "out.aeordb")
    start, data = c.HEADERS_LENGTH, flipped.data
    pages = [
        start + page * c.PAGE_LENGTH
        for page in range(flipped.header.pages)
        if any(data[start + page * c.PAGE_LENGTH :][: c.PAGE_LENGTH])
    ]
    assert pages
    for page in pages[:2]:
        assert flipped.run(range(page, page + c.PAGE_LENGTH), read=False) == []
    for page in pages[2:]:
        assert flipped.run(range(page, page + c.PAGE_LENGTH, EMPTY_STEP), read=False) == []
    # A reader waits a moment for a page that may be a writer's work in progress.
    for page in pages[:5]:
        assert flipped.run([page + 12, page + 45], read=True) == []


def test_free_space(tmp_path: Path) -> None:
    """What is free is known from the hot tail and from the void entries themselves."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        for number in range(12):
            db["/f"] = b"%d" % number * 100
    flipped = Flipped(path)
    voids = [entry for entry in flipped.entries if entry[2] == c.ENTRY_VOID]
    assert voids
    for start, length, _ in voids:
        silent = flipped.run(range(start, start + length, 3), read=False)
        assert {flipped.field_of(offset) for offset in silent} <= {FLAGS, *TIME}
