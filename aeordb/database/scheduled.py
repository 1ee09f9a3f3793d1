"""Backups as a task makes them, and what the database notes of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from aeordb.backup.record import LastBackup, read_record, write_record
from aeordb.backup.scheduled import BackupReport, run_backup
from aeordb.errors import NotDurableError, UsageError
from aeordb.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from aeordb.database.transaction import Transaction
    from aeordb.storage.store import Store
    from aeordb.storage.view import View

T = TypeVar("T")
StrPath = str | os.PathLike[str]
DEFAULT_DIR = "./backups/"


class Backups:
    """The part of :class:`Database` that makes backups as the task does."""

    _store: Store
    _jobs: int | None

    def reader(self) -> View:
        """The view that is read (of the class that this is mixed into)."""
        raise NotImplementedError

    def run_alone(self, operation: Callable[[Transaction], T]) -> T:
        """Runs one operation and commits it (of that class too)."""
        raise NotImplementedError

    def backup(
        self,
        backup_dir: StrPath = DEFAULT_DIR,
        *,
        retention_count: int = 0,
        snapshot: str | None = None,
        patches: int = 0,
        jobs: int | None = None,
        progress: Progress = NO_PROGRESS,
        now: int | None = None,
    ) -> BackupReport:
        """Writes HEAD to a new file with the time in its name, and lets older ones go.

        Args:
            backup_dir: where the files are; made if it is not there.
            retention_count: how many files of this task stay; 0: all. Deleted are only files that
                `backup` made of this database (of HEAD, or of the same snapshot), after the new
                one was read back; never one that a patch in the folder needs.
            snapshot: backs up this snapshot instead of HEAD.
            patches: so many patches may follow an export before the next export; 0: none.
            jobs: threads.
            now: the time, in milliseconds.

        A handle opened for writing notes the run (:meth:`record_backup`); where the database's own
        disk is full or fails, the backup counts all the same, and `recorded` is False. Raises
        NotFoundError, DamagedError, NotDurableError; no new file is left then.
        """
        if retention_count < 0 or patches < 0:
            raise UsageError("retention_count and patches are 0 or more")
        is_noted = False

        def note(report: BackupReport) -> None:
            nonlocal is_noted
            with suppress(NotDurableError):
                is_noted = self.record_backup(report).recorded

        report = run_backup(
            self._store,
            os.fspath(backup_dir),
            time=time.time_ns() // 1_000_000 if now is None else now,
            retention_count=retention_count,
            snapshot=snapshot,
            patches=patches,
            jobs=jobs or self._jobs,
            progress=progress,
            note=note if self._store.writable else None,
        )
        if report.deleted and is_noted:
            note(report)  # without the files that are gone
        return replace(report, recorded=is_noted)

    def record_backup(self, report: BackupReport) -> BackupReport:
        """Notes a backup in the database, for `status` and for later runs; commits.

        For a backup that a handle opened with "r" made. The note goes into no export.
        """
        output = os.path.abspath(report.output)
        files = ((output, report.version),)
        last = LastBackup(report.time, output, report.version, files)
        self.run_alone(lambda tx: write_record(tx.writer, last))
        return replace(report, recorded=True)

    def last_backup(self) -> LastBackup | None:
        """The last backup that was noted."""
        return read_record(self.reader())
