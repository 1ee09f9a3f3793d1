"""One run of the backup task: an export or a patch under a name with the time, then retention."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, get_args

from aeordb.backup.export import export
from aeordb.backup.patch import export_patch
from aeordb.backup.recheck import recheck
from aeordb.backup.record import read_record
from aeordb.backup.retention import (
    UNCHECKED,
    BackupFile,
    Kind,
    chain_of,
    choose,
    delete,
    list_backups,
    list_unfinished,
    make_label,
    make_name,
)
from aeordb.backup.sink import PART
from aeordb.errors import DamagedError, NotDurableError
from aeordb.format import constants as c
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.datafile import discard, remove, rename_new
from aeordb.storage.store import Store
from aeordb.storage.view import View
from aeordb.storage.working import at_work, remove_left
from aeordb.tree.directory import EMPTY
from aeordb.tree.ingest import default_jobs
from aeordb.versions.names import SNAPSHOT, get_name

_LEFT_SECONDS = 3600
"""What a run was killed at is taken away so long after it last wrote to it."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What one run did.

    `kind` is "full" or "patch" by the file that was made, or "unchanged": then `output` is the
    earlier file that holds the version. `files` and `directories` count what the file holds (of a
    patch: files added and modified), `bytes` is its length, `time` the run's in milliseconds,
    `deleted` the files that retention took away, `recorded` whether the database notes the run.
    """

    kind: Literal["full", "patch", "unchanged"]
    output: str
    version: bytes
    base: bytes | None
    files: int
    chunks: int
    directories: int
    bytes: int
    time: int
    deleted: tuple[str, ...] = ()
    recorded: bool = False


def run_backup(
    store: Store,
    folder: str,
    *,
    time: int,
    retention_count: int = 0,
    snapshot: str | None = None,
    patches: int = 0,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
    note: Callable[[BackupReport], object] | None = None,
) -> BackupReport:
    """Makes one backup of HEAD, or of a snapshot, in a folder, and lets older ones go.

    Args:
        folder: where the backups are; made if it is not there.
        time: of the run, in milliseconds; it stands in the file's name.
        retention_count: how many of the task's files of HEAD (or of the snapshot) stay, and those
            besides that a patch needs; 0: all.
        patches: how many patches may follow an export before the next one; 0: exports alone.
        note: gets the report once the file has been read back, before any other is deleted: even
            if that fails, later runs must know the file as theirs.

    Nothing is deleted before the new file was read back. Raises NotFoundError (the snapshot),
    DamagedError, NotDurableError.
    """
    view = store.view()
    phases = _Phases(progress)
    try:
        root = view.head if snapshot is None else get_name(view, SNAPSHOT, snapshot).root
        if root == c.ZERO_HASH and view.read(EMPTY) is not None:
            root = EMPTY
        task = _Run(
            store, view, root, make_label(snapshot), folder, time, jobs or default_jobs(), phases
        )
        task.remove_left()
        report = task.make(task.find_base(patches) if patches else None)
        if report.kind != "unchanged":
            task.check(report)
        if note is not None:
            note(report)
        if retention_count and report.kind != "unchanged":
            # The new file is the newest, whatever the clock says.
            files = sorted(task.files(), key=lambda file: file.path != report.output)
            chosen = choose(files, task.label, retention_count, task.is_own(report.output))
            report = replace(report, deleted=tuple(delete(chosen)))
        return report
    finally:
        progress.finish()
        view.close()


def remove_leftovers(folder: str, snapshot: str | None, time: int) -> None:
    """Removes what a run was writing when its process was killed; `time` is the one it was given.

    Its file had no name yet that could pass for a backup's. Raises OSError.
    """
    for kind in get_args(Kind):
        unchecked = os.path.join(folder, make_name(kind, make_label(snapshot), time)) + UNCHECKED
        remove(unchecked + PART)
        remove(unchecked)


class _Phases:
    """Passes on what the steps of a run say, but for their ends."""

    def __init__(self, progress: Progress) -> None:
        self.start = progress.start
        self.advance = progress.advance

    def finish(self) -> None:
        """The run goes on."""


@dataclass(frozen=True, slots=True)
class _Run:
    """`root` is the version that is backed up, `label` what names it in files."""

    store: Store
    view: View
    root: bytes
    label: str
    folder: str
    time: int
    jobs: int
    progress: Progress

    def files(self) -> list[BackupFile]:
        """What is in the folder now."""
        status = os.fstat(self.store.fd)
        return list_backups(self.folder, live=(status.st_dev, status.st_ino))

    def remove_left(self) -> None:
        """Removes what earlier runs were at when they were killed: nobody goes on with it, and no
        other run writes over it, as its name has its time."""
        for path in list_unfinished(self.folder, self.label, self.time / 1000 - _LEFT_SECONDS):
            with suppress(OSError, NotDurableError):
                remove_left(path)

    def find_base(self, patches: int) -> BackupFile | None:
        """The newest backup of the task, if its chain is whole and may get one more patch."""
        files = self.files()
        own = self.is_own()
        last = next((file for file in files if file.label == self.label and own(file)), None)
        if last is None:
            return None
        chain = chain_of(last, files)
        if chain is None or (len(chain) > patches and last.version != self.root):
            return None
        return last

    def make(self, base: BackupFile | None) -> BackupReport:
        """Writes the patch from `base`, or else a whole export."""
        if base is not None and base.version == self.root:
            return BackupReport("unchanged", base.path, self.root, base.base, 0, 0, 0, 0, self.time)
        if base is not None:
            try:
                return self._make_patch(base)
            except DamagedError:
                # gc may have taken the base, which has no name any more.
                pass
        output = self._new_path("full")
        made = export(
            self.view, output + UNCHECKED, self.root, jobs=self.jobs, progress=self.progress
        )
        return BackupReport(
            "full",
            output,
            made.version,
            None,
            made.files,
            made.chunks,
            made.directories,
            made.bytes,
            self.time,
        )

    def _make_patch(self, base: BackupFile) -> BackupReport:
        output = self._new_path("patch")
        made = export_patch(
            self.view,
            output + UNCHECKED,
            base.version,
            self.root,
            jobs=self.jobs,
            progress=self.progress,
        )
        return BackupReport(
            "patch",
            output,
            made.to,
            made.from_,
            made.files_added + made.files_modified,
            made.chunks,
            made.directories,
            made.bytes,
            self.time,
        )

    def _new_path(self, kind: Kind) -> str:
        """A path that is free; a run in the same millisecond has the next one's name."""
        time = self.time
        while os.path.lexists(path := os.path.join(self.folder, make_name(kind, self.label, time))):
            time += 1
        return path

    def check(self, report: BackupReport) -> None:
        """Reads the new file back and gives it its name: none that nobody has checked may pass for
        a backup, and be counted among those that stay. Else the file is taken away."""
        unchecked = report.output + UNCHECKED
        try:
            with at_work(unchecked):
                recheck(
                    unchecked, report.version, report.base, jobs=self.jobs, progress=self.progress
                )
                rename_new(unchecked, report.output)
        except BaseException as error:
            if isinstance(error, NotDurableError) and not os.path.lexists(unchecked):
                discard(report.output)  # it has its name, which may not last
            discard(unchecked)
            raise

    def is_own(self, *new: str) -> Callable[[BackupFile], bool]:
        """Tells whether a file is a backup of this database: it has that version, or has noted the
        file (gc may have taken the version meanwhile); `new` are those that were made just now."""
        last = read_record(self.view)
        noted = {(os.path.basename(path), version) for path, version in last.files} if last else ()
        made = {os.path.basename(path) for path in new}

        def is_own(file: BackupFile) -> bool:
            if file.name in made or (file.name, file.version) in noted:
                return True
            found = self.view.find(file.version)
            return found is not None and found[0] & c.KV_TYPE_MASK == c.KV_DIRECTORY

        return is_own
