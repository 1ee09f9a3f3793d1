"""The facade: a database file, its current version, and everything that can be done with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, MutableMapping
from types import TracebackType
from typing import BinaryIO, Literal, TypeVar

from aeordb.database.backup import Exports
from aeordb.database.group import CommitGroup
from aeordb.database.imports import Imports
from aeordb.database.info import info
from aeordb.database.keys import ApiKeys
from aeordb.database.maintenance import Maintenance
from aeordb.database.names import Forks, Snapshots
from aeordb.database.reading import Path, View, make_stat
from aeordb.database.results import Change, Info, LogItem, Stat, Status
from aeordb.database.rootkeys import RootKeys
from aeordb.database.scheduled import Backups
from aeordb.database.transaction import ENTRIES_PER_FILE, Source, Transaction
from aeordb.errors import ExistsError, NotFoundError, PathError, UsageError
from aeordb.folders.report import GetReport, PutReport
from aeordb.folders.source import count_files
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.growth import stage_for
from aeordb.storage.locks import write_note
from aeordb.storage.store import Store
from aeordb.storage.view import View as StoreView
from aeordb.tree.diff import diff
from aeordb.tree.paths import parse_path
from aeordb.tree.walk import find
from aeordb.versions.names import FORK, HEAD, SNAPSHOT, list_names
from aeordb.versions.resolve import resolve

Mode = Literal["r", "r+", "a", "x"]
T = TypeVar("T")
Items = list[LogItem]


def open_database(
    path: str | os.PathLike[str],
    mode: Mode = "r+",
    *,
    timeout: float | None = 0.0,
    jobs: int | None = None,
    expect_entries: int | None = None,
) -> Database:
    """Opens a database.

    Args:
        mode: "r" shared and read-only; "r+" for writing (one writer at a time); "a" also creates
            it; "x" creates it and must be the first to.
        timeout: seconds to wait for another writer; 0 fails at once, None waits for ever.
        jobs: threads for hashing and compressing; None is one for each processor.
        expect_entries: how many files a new database is made for; its index need not grow until
            then.

    Raises NotADatabaseError, DamagedError, LockedError (another writer), ExistsError ("x").
    """
    name = os.fspath(path)
    if mode not in ("r", "r+", "a", "x"):
        raise UsageError(f"unknown mode {mode!r}: 'r', 'r+', 'a' or 'x'")
    if mode == "x" or (mode == "a" and not os.path.lexists(name)):
        stage = stage_for(int((expect_entries or 0) * ENTRIES_PER_FILE))
        try:
            return Database(Store.create(name, stage=stage, timeout=timeout), jobs=jobs)
        except ExistsError:
            # Another process may have been faster; with "a" its database will do.
            if mode == "x":
                raise
    return Database(Store(name, writable=mode != "r", timeout=timeout), jobs=jobs)


class Database(RootKeys, Exports, Imports, Backups, Maintenance, MutableMapping[str, bytes]):
    """An open database; as a mapping, its live files by path.

    A handle opened for writing always reads the newest version; one opened with "r" stays at the
    version it found until `refresh`. Threads may share it; processes may not (across fork).
    """

    def __init__(self, store: Store, *, jobs: int | None = None) -> None:
        self._store = store
        self._jobs = jobs
        self._view: StoreView | None = None
        self._collecting = 0
        self._group = CommitGroup(self.transaction, store.mutex)
        self.snapshots = Snapshots(self)
        self.forks = Forks(self)
        self.api_keys = ApiKeys(self)

    # -- life -----------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The file's path as it was given."""
        return self._store.path

    @property
    def head(self) -> bytes:
        """The root of the version that this handle reads."""
        return self.reader().head

    @property
    def writable(self) -> bool:
        """Whether it can be changed: opened for writing, not closed, and no sync has failed."""
        return self._store.takes_writes

    def say_served(self, url: str) -> None:
        """Tells other processes that meet this one's lock where they can ask over HTTP."""
        write_note(self.path, json.dumps({"pid": os.getpid(), "url": url}))

    def refresh(self) -> bytes:
        """Takes the newest committed version (a handle opened with "r"); its root."""
        self._view = None
        return self.head

    def close(self) -> None:
        """Closes the file. What was not committed is lost."""
        self._view = None
        self._store.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<aeordb.Database {self.path!r}>"

    def reader(self) -> StoreView:
        """The view that this handle reads (for the layers of aeordb)."""
        view = self._view
        if view is None or (self._store.writable and view.sequence != self._store.sequence):
            view = self._view = self._store.view()
            if self._collecting:
                # It is waited for until it is closed: nobody shall keep it longer than needed.
                self._view = None
        else:
            self._store.check_open()
        return view

    # -- reading --------------------------------------------------------------------------

    def at(self, version: str = HEAD) -> View:
        """A version to read: "HEAD", a snapshot, a fork, a hash or 8 digits of one, or more."""
        reader = self.reader()
        return View(reader, resolve(reader, version).root)

    def resolve(self, version: str) -> bytes:
        """The root of a version. Raises NotFoundError, UsageError (ambiguous)."""
        return resolve(self.reader(), version).root

    def get(self, path: Path, default: T | None = None) -> bytes | T | None:  # type: ignore[override]
        """A file's content, or `default`."""
        try:
            return self[os.fspath(path)]
        except NotFoundError:
            return default

    def open(self, path: Path) -> BinaryIO:
        """A file of the current version as a binary file object with `seek`."""
        return self._current().open(path)

    def stat(self, path: Path) -> Stat:
        """What stands at a path now; a symlink is not followed. Raises NotFoundError."""
        return self._current().stat(path)

    def list(
        self, path: Path = "/", *, hidden: bool = False, hashes: bool = True
    ) -> Iterator[Stat]:
        """What lies in a folder now (:meth:`View.list`)."""
        return self._current().list(path, hidden=hidden, hashes=hashes)

    def walk(
        self, path: Path = "/", *, hidden: bool = False, hashes: bool = True
    ) -> Iterator[Stat]:
        """All that lies below a folder now (:meth:`View.walk`)."""
        return self._current().walk(path, hidden=hidden, hashes=hashes)

    def glob(self, pattern: str, *, hidden: bool = False) -> Iterator[Stat]:
        """Paths of the current version that match (:meth:`View.glob`)."""
        return self._current().glob(pattern, hidden=hidden)

    def get_tree(
        self, path: Path, dest: Path, *, at: str = HEAD, progress: Progress = NO_PROGRESS
    ) -> GetReport:
        """Writes a folder, file or symlink of a version to disk (:meth:`View.get_tree`)."""
        return self.at(at).get_tree(path, dest, progress=progress, jobs=self._jobs)

    def diff(self, base: str, target: str = HEAD, *, folders: bool = False) -> Iterator[Change]:
        """What differs between two versions, in the order of a walk; costs what differs.

        `folders`: also folders whose listing changed.
        """
        reader = self.reader()
        roots = [resolve(reader, version).root for version in (base, target)]
        for change in diff(reader, *roots, folders=folders):
            old, new = (
                None if child is None else make_stat(reader, change.path, child, hashes=False)
                for child in (change.old, change.new)
            )
            yield Change(change.kind, change.path, old, new)

    def log(self, path: Path) -> Items:
        """The versions with a name in which the path changed, the newest first."""
        reader = self.reader()
        place = parse_path(os.fspath(path))
        versions = [
            (named.created, named.name, named.root) for named in list_names(reader, SNAPSHOT)
        ]
        versions.sort()
        versions.append((self._store.state.header.updated_at, HEAD, reader.head))
        items: Items = []
        before = None
        for created, name, root in versions:
            child = find(reader, root, place)
            if child == before:
                continue
            before = child
            stat = None if child is None else make_stat(reader, place, child)
            items.append(LogItem(name, root, created, stat))
        if not items:
            raise NotFoundError(what="path", name=place)
        return items[::-1]

    def info(self) -> Info:
        """What the file is, from its header alone."""
        return info(self.path)

    def status(self) -> Status:
        """HEAD, names, and how many bytes are live and free. Reads the whole index."""
        reader = self.reader()
        header = reader.state.header
        size = os.fstat(self._store.fd).st_size
        free = sum(length for _, length in reader.state.voids)
        last = self.last_backup()
        return Status(
            path=self.path,
            head=reader.head,
            sequence=header.sequence,
            snapshots=len(list_names(reader, SNAPSHOT)),
            forks=len(list_names(reader, FORK)),
            entries=header.entry_count,
            size=size,
            live_bytes=max(0, reader.state.log_end - header.log_start - free),
            free_bytes=free,
            last_backup=last.time if last is not None else None,
            last_backup_file=last.output if last is not None else None,
        )

    # -- writing --------------------------------------------------------------------------

    def transaction(self, *, expect_files: int = 0) -> Transaction:
        """Starts a transaction; other writers of this process wait for its end.

        `expect_files`: about how many files it will put; the index grows ahead of many.
        """
        # Its first commit may need to be alone with the pages: our own view shall not hinder it.
        self._view = None
        return Transaction(
            self._store, expect_files=expect_files, jobs=self._jobs, on_end=self._forget
        )

    def run(self, operation: Callable[[Transaction], T]) -> T:
        """Runs one operation and commits it, together with those of other threads."""
        return self._group.run(operation)

    def run_alone(self, operation: Callable[[Transaction], T]) -> T:
        """As :meth:`run`, for what may stop half-way: nothing of it is committed then."""
        with self.transaction() as transaction:
            return operation(transaction)

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
        """Stores a file and commits (:meth:`Transaction.put`)."""
        return self.run(
            lambda tx: tx.put(
                path,
                source,
                content_type=content_type,
                created=created,
                updated=updated,
                metadata=metadata,
                progress=progress,
            )
        )

    def put_tree(
        self,
        source: str | os.PathLike[str],
        dest: Path = "/",
        *,
        delete: bool = False,
        checksum: bool = False,
        progress: Progress = NO_PROGRESS,
    ) -> PutReport:
        """Puts a local folder's content and commits once (:meth:`Transaction.put_tree`)."""
        with self.transaction(expect_files=count_files(source)) as tx:
            return tx.put_tree(source, dest, delete=delete, checksum=checksum, progress=progress)

    def delete(self, path: Path, *, recursive: bool = False) -> int:
        """Deletes and commits (:meth:`Transaction.delete`)."""
        run = self.run_alone if recursive else self.run
        return run(lambda tx: tx.delete(path, recursive=recursive))

    def move(self, source: Path, target: Path) -> None:
        """Moves and commits (:meth:`Transaction.move`)."""
        self.run_alone(lambda tx: tx.move(source, target))

    def mkdir(self, path: Path) -> None:
        """Makes a folder and commits."""
        self.run(lambda tx: tx.mkdir(path))

    def symlink(self, target: str, path: Path) -> None:
        """Puts a symlink and commits (:meth:`Transaction.symlink`)."""
        self.run(lambda tx: tx.symlink(target, path))

    def resolve_in(self, transaction: Transaction, version: str) -> bytes:
        """The root of a version as a running transaction sees it."""
        return transaction.root if version == HEAD else resolve(transaction.writer, version).root

    # -- mapping --------------------------------------------------------------------------

    def __getitem__(self, path: str) -> bytes:
        view = self._current()
        try:
            return view.read(path)
        except UsageError as error:
            if isinstance(error, PathError):
                raise
            # A folder is no key of this mapping: `get` and `pop` then give their default.
            raise NotFoundError(what="file", name=path) from error

    def __setitem__(self, path: str, data: bytes) -> None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a file's content is bytes, not {type(data).__name__}; see put()")
        self.put(path, data)

    def __delitem__(self, path: str) -> None:
        self.run(lambda tx: tx.delete_file(path))

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        try:
            return self.stat(path).kind == "file"
        except (NotFoundError, UsageError):
            return False

    def __iter__(self) -> Iterator[str]:
        return (stat.path for stat in self.walk(hashes=False) if stat.kind == "file")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _current(self) -> View:
        reader = self.reader()
        return View(reader, reader.head)

    def _forget(self) -> None:
        self._view = None
