"""An open database file: views for readers, transactions for the one writer."""

from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from aeordb.errors import LockedError, NotADatabaseError, NotDurableError, UsageError
from aeordb.format import constants as c
from aeordb.native.table import Table
from aeordb.storage.checkpoint import checkpoint, finish, plan_checkpoint
from aeordb.storage.commit import Log
from aeordb.storage.create import create_file
from aeordb.storage.datafile import DataFile, replace
from aeordb.storage.filemap import FileMap
from aeordb.storage.growth import OVERFLOW_LIMIT, grow, stage_for
from aeordb.storage.locks import VIEW_BYTE, WALK_BYTE, ExclusiveLock, ReaderLock, WriterLock
from aeordb.storage.recovery import close_cleanly, first_act, thaw
from aeordb.storage.state import State, check_header, load_state
from aeordb.storage.view import View
from aeordb.storage.writer import WriteView

CHECKPOINT_RECORDS = 512
_PATIENCE = 0.2


class Store:
    """A database file opened for reading, or by the writer for both.

    Invariant (writer): `_log.state` is the last committed state; `_carried` of its records could
    not go into pages, so they do not count towards the next checkpoint.
    """

    def __init__(self, path: str, *, writable: bool, timeout: float | None = 0.0) -> None:
        """Opens an existing file; changes no byte of it.

        Raises NotADatabaseError, DamagedError, LockedError (another writer), OSError.
        """
        self.path = path
        self.writable = writable
        self.mutex = threading.RLock()
        self._pid = os.getpid()
        self._lock: WriterLock | None = None
        self._file: DataFile | None = None
        self._log: Log | None = None
        self._acted = False
        self._busy = False
        self._carried = 0
        self._views: weakref.WeakSet[View] = weakref.WeakSet()
        self._fd = -1
        try:
            check_kind(path)
            if writable:
                # Beside what is no database, not even a lock file shall appear.
                check_header(path)
                self._lock = WriterLock(path, timeout)
                self._file = DataFile.open(path)
                self._fd = self._file.fd
                self._lock.take_inode(self._fd)
            else:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._files = FileMap(self._fd)
            self._state = load_state(self._fd, path, self._files.covering)
            if self._file is not None:
                self._log = Log(self._file, self._files, self._state)
        except FileNotFoundError:
            self.close()
            raise NotADatabaseError(path=path, reason="there is no such file") from None
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str, *, stage: int = 0, timeout: float | None = 0.0) -> Store:
        """Makes a new database with an empty root directory, and opens it for writing.

        Raises ExistsError when `path` is there.
        """
        lock = WriterLock(path, timeout)
        try:
            create_file(path, stage)
        finally:
            lock.release()
        return cls(path, writable=True, timeout=timeout)

    @property
    def state(self) -> State:
        """The newest state that this store knows: the writer's own, or what was read last."""
        return self._log.state if self._log is not None else self._state

    @property
    def sequence(self) -> int:
        """The newest known header's sequence."""
        return self.state.header.sequence

    @property
    def fd(self) -> int:
        """The file's descriptor, for reading."""
        return self._fd

    @property
    def takes_writes(self) -> bool:
        """Whether it is open for writing, and no sync has failed (engine.md 3)."""
        return self._log is not None and not self._broken()

    def view(self) -> View:
        """A view of the newest committed state, with its reader's lock."""
        self.check_open()
        lock = ReaderLock(self._fd)
        try:
            log = self._log
            if log is not None:
                # A writer's state is replaced as a whole: its own readers do not wait for it.
                view = View(self.path, self._fd, self._files, log.state, lock=lock)
            else:
                with self.mutex:
                    self._state = load_state(self._fd, self.path, self._files.covering)
                    view = View(self.path, self._fd, self._files, self._state, lock=lock)
        except BaseException:
            lock.release()
            raise
        self._views.add(view)
        return view

    def begin(self, expect_entries: int = 0) -> WriteView:
        """Starts a transaction; one at a time (the caller holds `mutex`).

        `expect_entries`: about how many it will add; the index grows ahead of many.
        """
        log = self._ready()
        try:
            self._reserve(log, expect_entries)
        except NotDurableError:
            log.undo()
            raise
        self._busy = True
        return WriteView(log)

    @contextmanager
    def alone(self) -> Iterator[Log]:
        """The log itself, for gc: no transaction runs until the end of the block.

        What a block that fails has placed and not committed is forgotten.
        """
        with self.mutex:
            log = self._ready()
            self._busy = True
            try:
                yield log
            except BaseException:
                if self._log is log:
                    log.undo()
                raise
            finally:
                self._busy = False
                self._carried = len(self.state.table)

    def adopt(self, part: str, path: str, patience: float) -> None:
        """Puts the finished file `part` in this file's place at `path`, and goes on with it.

        Called inside `alone`, whose log is the old file's. Raises LockedError with the number of
        readers that still stand after `patience` seconds, NotDurableError.
        """
        old = self._file
        assert old is not None
        with ExclusiveLock(self.path, old.fd, VIEW_BYTE, patience):
            new = DataFile.open(part)
            try:
                replace(part, path)
            finally:
                # Where only the name is not durable yet, the new file is the database already.
                if os.path.samestat(os.stat(path), os.fstat(new.fd)):
                    self._switch(new)
                else:
                    new.close()
        if self._file is old:
            raise NotDurableError(path=path, reason="rename: another file has the name")
        old.close()

    def _switch(self, new: DataFile) -> None:
        assert self._lock is not None
        new.path = self.path
        self._lock.take_inode(new.fd)
        self._file, self._fd = new, new.fd
        self._files = FileMap(new.fd)
        self._state = load_state(new.fd, self.path, self._files.covering)
        self._log = Log(new, self._files, self._state)
        self._acted = False

    def commit(self, writer: WriteView, head: bytes) -> None:
        """Makes the transaction's entries and its new HEAD durable, all or none."""
        log = self._writing()
        self._busy = False
        try:
            writer.flush()
            before = log.state.header.sequence
            table = log.merged(writer.pending)
            log.entry_count += writer.new_keys
        except BaseException:
            self.abort(writer)
            raise
        try:
            self._commit(log, table, head)
        except NotDurableError:
            # Even after a durable commit: what followed it may have stopped half-way.
            log.undo()
            if log.state.header.sequence == before or self._broken():
                raise
            # The commit itself is durable; what was to follow it is done by the next one.
        except BaseException:
            log.undo()
            raise

    def abort(self, writer: WriteView) -> None:
        """Forgets the transaction; harmless when it is over already, or the store closed."""
        self._busy = False
        log = self._log
        if log is not None and os.getpid() == self._pid and not log.untouched:
            log.undo()

    def close(self) -> None:
        """Gives up locks and descriptors; marks the file as cleanly closed if it was written."""
        mine = os.getpid() == self._pid
        try:
            if mine and self._acted and self._log is not None and not self._broken():
                if self._busy:
                    # What the open transaction placed must not pass for free space.
                    self._log.undo()
                close_cleanly(self._log)
        finally:
            self._log = None
            for view in list(self._views):
                view.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None
            if self._file is not None:
                self._file.close()
                self._file = None
            elif self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def check_open(self) -> None:
        """Raises UsageError on a closed store, or in a process forked from the opener."""
        if self._fd < 0:
            raise UsageError(f"'{self.path}' is closed")
        if os.getpid() != self._pid:
            raise UsageError(
                "a database handle cannot be used across fork", hint="Open it anew in the child."
            )

    def _commit(self, log: Log, table: Table, head: bytes) -> None:
        if len(table) - self._carried <= CHECKPOINT_RECORDS:
            log.commit(table, head)
            return
        if log.frozen and thaw(log, table, head):
            self._carried = len(log.state.table)
            return
        plan = plan_checkpoint(log, table.record_view())
        full = len(plan.overflow_records) > OVERFLOW_LIMIT * c.HOT_TAIL_RECORD_LENGTH
        if full and not log.frozen:
            del plan
            if self._try_grow(log, table, head, None):
                return
            plan = plan_checkpoint(log, table.record_view())
        checkpoint(log, plan, head)
        self._carried = len(log.state.table)

    def _reserve(self, log: Log, entries: int) -> None:
        """Grows the KV block ahead of so many new entries, while there is little in its way."""
        stage = stage_for(log.entry_count + entries) if entries else 0
        if stage > log.state.header.stage and not log.frozen:
            table = Table.from_records(log.state.table.record_view())
            self._try_grow(log, table, log.state.header.head, stage)

    def _try_grow(self, log: Log, table: Table, head: bytes, stage: int | None) -> bool:
        try:
            with ExclusiveLock(self.path, self._fd, WALK_BYTE, _PATIENCE):
                grow(log, table, head, stage)
        except LockedError:
            return False
        self._carried = len(log.state.table)
        return True

    def _ready(self) -> Log:
        """The log once it may be committed to: no transaction is open, nothing is left undone."""
        log = self._writing()
        if self._busy:
            raise UsageError(
                "a transaction is open in this thread", hint="Call its methods, or end it first."
            )
        if not self._acted:
            first_act(log)
            self._acted = True
        try:
            finish(log)
        except NotDurableError:
            log.undo()
            raise
        return log

    def _writing(self) -> Log:
        self.check_open()
        if self._log is None:
            raise UsageError(f"'{self.path}' is open for reading only")
        return self._log

    def _broken(self) -> bool:
        return self._file is not None and self._file.broken is not None


def check_kind(path: str) -> None:
    """NotADatabaseError for what cannot be a database: a folder, a device, an empty file."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise NotADatabaseError(path=path, reason="it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise NotADatabaseError(path=path, reason="it is not a regular file")
    if status.st_size == 0:
        raise NotADatabaseError(path=path, reason="the file is empty")
