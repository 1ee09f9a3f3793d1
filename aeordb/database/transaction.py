"""Changes that become one new HEAD, or none."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO

from aeordb.database.reading import Path, make_stat
from aeordb.database.results import Stat
from aeordb.errors import NotFoundError, UsageError
from aeordb.folders.put import put_tree
from aeordb.folders.report import PutReport
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.store import Store
from aeordb.storage.writer import WriteView
from aeordb.tree.edit import TreeEdit
from aeordb.tree.ingest import store_file
from aeordb.tree.paths import TreePath, parse_path
from aeordb.versions.promote import promote

Source = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

# Its chunk, its record under two keys, and a share of the folders.
ENTRIES_PER_FILE = 3.2


class Transaction:
    """One transaction: a context manager that commits at its end, and only if all went well.

    No other transaction runs in this database meanwhile. Reads see the changes made so far.
    """

    def __init__(
        self,
        store: Store,
        *,
        expect_files: int = 0,
        jobs: int | None = None,
        on_end: Callable[[], None],
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._on_end = on_end
        store.mutex.acquire()
        try:
            self.writer: WriteView = store.begin(int(expect_files * ENTRIES_PER_FILE))
            self._head = store.state.header.head
            self.edit = TreeEdit(self.writer, self._head)
        except BaseException:
            store.mutex.release()
            raise
        self._open = True

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._open:
            return
        if kind is None:
            self.commit()
        else:
            self.rollback()

    @property
    def root(self) -> bytes:
        """The root of the tree with the changes made so far, which this writes."""
        self._check()
        return self.edit.finish()

    def commit(self) -> bytes:
        """Makes all changes durable; the new HEAD. Nothing to do: the old one, and no commit."""
        self._check_going()
        try:
            self._store.check_open()
            head = self.edit.finish()
            if head != self._head or self.writer.changed:
                self._store.commit(self.writer, head)
            else:
                self._store.abort(self.writer)
            return head
        except BaseException:
            self._store.abort(self.writer)
            raise
        finally:
            self._end()

    def rollback(self) -> None:
        """Forgets all changes."""
        self._check_going()
        try:
            self._store.abort(self.writer)
        finally:
            self._end()

    def put(
        self,
        path: Path,
        source: Source,
        *,
        content_type: str | None = None,
        created: int | None = None,
        updated: int | None = None,
        metadata: bytes = b"",
        progress: Progress = NO_PROGRESS,
    ) -> Stat:
        """Stores a file: from bytes, from a file object (read to its end), or from a local path.

        Times in milliseconds: `created` stays that of an existing file, `updated` is now, or the
        local file's own. Parents are made. Raises PathError, ExistsError (a folder stands there).
        """
        self._check()
        place = parse_path(os.fspath(path), file=True)
        old = self.edit.check_put(place)
        now = self.writer.now()

        def store(source: BinaryIO | bytes | io.RawIOBase, size: int | None, updated: int) -> Stat:
            born = created
            if born is None:
                born = old.created if old is not None else min(now, updated)
            progress.start(size, f"Putting {place}")
            try:
                stored = store_file(
                    self.writer,
                    place,
                    source,
                    content_type=content_type,
                    created=born,
                    updated=updated,
                    metadata=metadata,
                    jobs=self._jobs,
                    advance=progress.advance,
                )
            finally:
                progress.finish()
            self.edit.put_child(place, stored.child, stored.record)
            return make_stat(self.writer, place, stored.child, content=stored.content_hash)

        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                local = status.st_mtime_ns // 1_000_000
                return store(file, status.st_size, local if updated is None else updated)
        updated = now if updated is None else updated
        if isinstance(source, (bytes, bytearray, memoryview)):
            return store(bytes(source), len(source), updated)
        return store(source, None, updated)

    def put_tree(
        self,
        source: str | os.PathLike[str],
        dest: Path = "/",
        *,
        delete: bool = False,
        checksum: bool = False,
        progress: Progress = NO_PROGRESS,
    ) -> PutReport:
        """Puts a local folder's content into the folder `dest`, as :func:`aeordb.folders.put_tree`
        says; what is unchanged is not read again."""
        self._check()
        own = [self._store.path, self._store.path + ".lock"]
        return put_tree(
            self.writer,
            self.edit,
            source,
            os.fspath(dest),
            delete=delete,
            checksum=checksum,
            progress=progress,
            jobs=self._jobs,
            own_files=own,
        )

    def delete(self, path: Path, *, recursive: bool = False) -> int:
        """Deletes a file, symlink or folder; how many paths are gone. A folder with content needs
        `recursive`. Raises NotFoundError, UsageError."""
        self._check()
        return self.edit.delete(parse_path(os.fspath(path)), recursive=recursive)

    def delete_file(self, path: Path) -> None:
        """Deletes a file or symlink. Raises NotFoundError, also for a folder."""
        if self.stat(path).kind == "folder":
            raise NotFoundError(what="file", name=os.fspath(path))
        self.delete(path)

    def move(self, source: Path, target: Path) -> None:
        """Moves a file, symlink or folder to the new path `target`. Raises NotFoundError,
        ExistsError, PathError."""
        self._check()
        self.edit.move(parse_path(os.fspath(source)), parse_path(os.fspath(target)))

    def mkdir(self, path: Path) -> None:
        """Makes a folder, and those above it; one that is there stays."""
        self._check()
        self.edit.mkdir(parse_path(os.fspath(path)))

    def symlink(self, target: str, path: Path) -> None:
        """Puts a symlink at `path`; `target` is kept as it is and need not exist."""
        self._check()
        self.edit.symlink(parse_path(os.fspath(path), file=True), target)

    def stat(self, path: Path) -> Stat:
        """What stands at a path, with the changes made so far."""
        self._check()
        place = parse_path(os.fspath(path))
        child = self.edit.lookup(place)
        if child is None:
            raise NotFoundError(what="path", name=place)
        return make_stat(self.writer, place, child)

    def exists(self, path: Path) -> bool:
        """Whether anything stands at the path, with the changes made so far."""
        self._check()
        return self.edit.lookup(parse_path(os.fspath(path))) is not None

    def list(self, path: Path = "/") -> Iterator[Stat]:
        """A folder's children, with the changes made so far; no content hashes."""
        self._check()
        folder = parse_path(os.fspath(path))
        for child in self.edit.children(folder):
            place = TreePath(f"{folder.rstrip('/')}/{child.name}")
            yield make_stat(self.writer, place, child, hashes=False)

    def promote(self, root: bytes) -> None:
        """Makes `root` the tree that the commit leads to; changes made before are lost.

        Raises DamagedError for a tree that is not whole: the transaction is rolled back then.
        """
        try:
            # From the tree as changed: its path keys are written, so they must go as well.
            promote(self.writer, self.root, root)
        except BaseException:
            if self._open:
                self.rollback()
            raise
        self.edit = TreeEdit(self.writer, root)

    def _check(self) -> None:
        self._check_going()
        self._store.check_open()

    def _check_going(self) -> None:
        if not self._open:
            raise UsageError("the transaction is over")

    def _end(self) -> None:
        self._open = False
        self._on_end()
        self._store.mutex.release()
