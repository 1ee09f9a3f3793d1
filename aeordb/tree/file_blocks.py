"""A stored file's bytes in blocks that several threads load at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from aeordb.format import constants as c
from aeordb.format.records import FileRecord
from aeordb.storage.protocols import Buffer, Reader
from aeordb.tree.reading import load_chunk, load_plain, wrong_size
from aeordb.tree.stored_file import StoredFile

_STEP: Final = c.CHUNK_LENGTH


class FileBlocks:
    """`length` bytes of a file from `first` on, all of which it must have.

    Each chunk is checked as in `reading`, and so is that they add up to the file's size. The
    content hash of the record is not: that takes the bytes in order, all of them, once more.
    """

    def __init__(self, reader: Reader, record: FileRecord, first: int, length: int) -> None:
        self._reader = reader
        self._record = record
        self._first = first
        self._end = first + length
        # The next chunk to be taken, and the offset of its first byte.
        self._index, self._start = (0, 0) if not first else _locate(reader, record, first)
        self._counts: list[int] = []

    def loads(self, size: int) -> Iterator[Callable[[], Buffer]]:
        """Calls that load one block each, of about `size` bytes, in the order of the file.

        They may run at the same time, on any threads; what they give goes to :meth:`take`.
        """
        count = max(1, size // _STEP)
        for index in range(self._index, self._record.chunk_count, count):
            self._counts.append(min(count, self._record.chunk_count - index))
            yield partial(_load, self._reader, self._record, index, self._counts[-1])

    def take(self, block: Buffer) -> Buffer:
        """What is wanted of the next block, in order. Raises DamagedError for a wrong length."""
        start, end = self._start, self._start + len(block)
        self._index += self._counts.pop(0)
        self._start = end
        size = self._record.size
        if end > size or (self._index == self._record.chunk_count and end != size):
            wrong_size(self._record)
        if start >= self._first and end <= self._end:
            return block
        return block[max(self._first - start, 0) : max(self._end - start, 0)]


def _locate(reader: Reader, record: FileRecord, offset: int) -> tuple[int, int]:
    with StoredFile(reader, record) as file:
        file.seek(offset)
        return file.locate()


def _load(reader: Reader, record: FileRecord, first: int, count: int) -> Buffer:
    block, lengths = load_plain(reader, record, first, count)
    if len(lengths) == count:
        return block
    rest = range(first + len(lengths), first + count)
    return b"".join((block, *(load_chunk(reader, record, i, record.size) for i in rest)))
