"""A stored file as a binary file object with `seek`."""

from __future__ import annotations

import io
from collections.abc import Generator
from typing import Final

from blake3 import blake3

from aeordb.format import constants as c
from aeordb.format.records import FileRecord
from aeordb.storage.protocols import Buffer, Reader
from aeordb.tree.reading import check_content, load_ahead, load_chunk, wrong_size

# Reading ahead begins with this chunk in a row.
_IN_SEQUENCE: Final = 3


def open_file(reader: Reader, record: FileRecord, *, jobs: int = 1) -> io.BufferedReader:
    """A binary file over a record's content, checked as in `reading`.

    `jobs` over 1 reads ahead on that many threads once reads are in sequence; `reader` must then
    allow reads from several threads.
    """
    return io.BufferedReader(StoredFile(reader, record, jobs), c.CHUNK_LENGTH)


class StoredFile(io.RawIOBase):
    """A record's content as an unbuffered file; it holds one chunk, and those read ahead.

    A place to seek to is found by the length of the first chunk: whoever cuts a file makes all its
    chunks but the last of one length. Where a chunk's length shows otherwise, they are counted from
    the start.
    """

    def __init__(self, reader: Reader, record: FileRecord, jobs: int = 1) -> None:
        super().__init__()
        self.record = record
        self._reader = reader
        self._jobs = jobs
        self._position = 0
        self._count = record.chunk_count
        # The chunk at hand: its number, the offset of its first byte, its bytes.
        self._index = -1
        self._start = 0
        self._chunk: Buffer = b""
        # The one length of all chunks but the last; 0 not known yet, -1 there is none.
        self._step = 0
        self._stream: Generator[Buffer, None, None] | None = None
        self._in_sequence = 0
        # Chunks below this number went through the hasher.
        self._hashed = 0
        self._hasher = None if record.content_hash is None else blake3()
        if not self._count:
            if record.size:
                wrong_size(record)
            check_content(record, self._hasher)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset in bytes."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset in bytes; one behind the end is allowed and reads nothing."""
        self._check_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.record.size}
        if whence not in bases:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        position = bases[whence] + offset
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def locate(self) -> tuple[int, int]:
        """The number of the chunk that the position lies in, and the offset of its first byte.

        The position is before the end.
        """
        self._check_open()
        self._move()
        return self._index, self._start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills `buffer` up to the end of the chunk at hand; 0 only at the end of the file."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        if not len(view) or self._position >= self.record.size:
            return 0
        self._move()
        start = self._position - self._start
        count = min(len(view), len(self._chunk) - start)
        view[:count] = memoryview(self._chunk)[start : start + count]
        self._position += count
        return count

    def readall(self) -> bytes:
        """All from here to the end."""
        self._check_open()
        parts: list[Buffer] = []
        while self._position < self.record.size:
            self._move()
            start = self._position - self._start
            parts.append(self._chunk[start:])
            self._position += len(self._chunk) - start
        return b"".join(parts)

    def close(self) -> None:
        """Ends reading ahead."""
        self._stop_stream()
        self._chunk = b""
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _move(self) -> None:
        """Makes the chunk at hand the one that the position (before the end) lies in."""
        if self._holds():
            return
        if self._index < 0 or self._position != self._start + len(self._chunk):
            self._jump()
        while not self._holds():
            self._load(self._index + 1, self._start + len(self._chunk))

    def _holds(self) -> bool:
        return self._start <= self._position < self._start + len(self._chunk)

    def _jump(self) -> None:
        """Goes as near before the position as is known without reading what lies between."""
        if self._step == 0:
            if self._index != 0:
                self._load(0, 0)
            step = len(self._chunk)
            uniform = self._count == 1 or (step and self._count == -(-self.record.size // step))
            self._step = step if uniform else -1
        if self._step > 0 and not self._holds():
            index = self._position // self._step
            if index != self._index + 1:
                self._load_at_step(index)
        if self._step < 0 and (self._index < 0 or self._position < self._start):
            self._load(0, 0)

    def _load_at_step(self, index: int) -> None:
        step, size = self._step, self.record.size
        start = index * step
        raw = self._read(index)
        if len(raw) == min(step, size - start):
            self._set(index, start, raw)
        else:
            self._step = -1
            self._index = -1

    def _load(self, index: int, start: int) -> None:
        if index >= self._count:
            wrong_size(self.record)
        raw = self._read(index)
        end = start + len(raw)
        if end > self.record.size or (index == self._count - 1 and end != self.record.size):
            wrong_size(self.record)
        self._set(index, start, raw)

    def _set(self, index: int, start: int, raw: Buffer) -> None:
        if self._hasher is not None and index == self._hashed:
            self._hasher.update(raw)
            self._hashed += 1
            if self._hashed == self._count:
                check_content(self.record, self._hasher)
        self._index, self._start, self._chunk = index, start, raw

    def _read(self, index: int) -> Buffer:
        if self._stream is not None and index != self._index + 1:
            self._stop_stream()
        if self._stream is None:
            self._in_sequence = self._in_sequence + 1 if index == self._index + 1 else 0
            if self._jobs == 1 or self._in_sequence < _IN_SEQUENCE:
                return load_chunk(self._reader, self.record, index, self.record.size)
            self._stream = load_ahead(self._reader, self.record, index, self._jobs, None)
        try:
            return next(self._stream)
        except BaseException:
            self._stream = None
            raise

    def _stop_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            self._in_sequence = 0
