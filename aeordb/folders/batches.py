"""Small files on their way into the tree: read and prepared by threads, put in order by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from aeordb.folders.report import Skipped, reason_of, shown
from aeordb.folders.source import read_whole
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.tree.content_types import guess
from aeordb.tree.paths import TreePath
from aeordb.tree.small_files import NewFile, Prepared, prepare

_FILES: Final = 256
_LENGTH: Final = 4 << 20

FolderT = TypeVar("FolderT")


class Item(NamedTuple, Generic[FolderT]):
    """A file to be put: the folder it lies in, its path, where to read it, what it replaces."""

    folder: FolderT
    path: TreePath
    source: bytes
    old: Child | None


class Ready(NamedTuple, Generic[FolderT]):
    """The files of a batch that could be read, prepared in the same order, and the others."""

    items: list[Item[FolderT]]
    prepared: Prepared
    skipped: list[Skipped]


@dataclass(slots=True)
class _Batch(Generic[FolderT]):
    """`done`: folders that are complete once this batch is put."""

    items: list[Item[FolderT]] = field(default_factory=list)
    done: list[FolderT] = field(default_factory=list)
    length: int = 0
    result: Future[Ready[FolderT]] | None = None


class Batches(Generic[FolderT]):
    """Calls `put` for the files and `seal` for the folders in the order in which they came.

    Both run on the caller's thread, inside these methods; a bounded number of batches is in work.
    """

    def __init__(
        self,
        pool: Executor,
        room: int,
        now: Callable[[], int],
        put: Callable[[Ready[FolderT]], None],
        seal: Callable[[FolderT], None],
    ) -> None:
        self._pool = pool
        self._room = room
        self._now = now
        self._put = put
        self._seal = seal
        self._batch: _Batch[FolderT] = _Batch()
        self._pending: deque[_Batch[FolderT]] = deque()

    def add(self, item: Item[FolderT], length: int) -> None:
        """A file of about `length` bytes is to be put."""
        batch = self._batch
        batch.items.append(item)
        batch.length += length
        if len(batch.items) >= _FILES or batch.length >= _LENGTH:
            self._send()

    def done(self, folder: FolderT) -> None:
        """No more comes in this folder."""
        self._batch.done.append(folder)
        if len(self._batch.done) >= _FILES:
            self._send()

    def finish(self) -> None:
        """Puts all that is left."""
        self._send()
        while self._pending:
            self._take()

    def cancel(self) -> None:
        """Forgets what is left, once no thread works on it."""
        results = [batch.result for batch in self._pending if batch.result is not None]
        for result in results:
            result.cancel()
        wait(results)
        self._pending.clear()

    def _send(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if batch.items:
            batch.result = self._pool.submit(_read_and_prepare, batch.items, self._now())
        self._pending.append(batch)
        while len(self._pending) > self._room:
            self._take()

    def _take(self) -> None:
        batch = self._pending.popleft()
        if batch.result is not None:
            self._put(batch.result.result())
        for folder in batch.done:
            self._seal(folder)


def kept_creation(old: Child | None, updated: int) -> int:
    """When a file was created: as what it replaces was, or when it was last changed."""
    return updated if old is None or old.kind == c.KIND_DIRECTORY else old.created


def _read_and_prepare(items: Sequence[Item[FolderT]], now: int) -> Ready[FolderT]:
    readable: list[Item[FolderT]] = []
    files: list[NewFile] = []
    skipped: list[Skipped] = []
    for item in items:
        _, path, source, old = item
        try:
            data, updated = read_whole(source)
        except OSError as error:
            skipped.append(Skipped(shown(source), reason_of(error)))
            continue
        readable.append(item)
        files.append(NewFile(path, guess(path), kept_creation(old, updated), updated, data))
    return Ready(readable, prepare(files, now), skipped)
