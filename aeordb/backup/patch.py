"""A patch: what one version reaches and another does not, and what is gone (FORMAT.md 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Final

from aeordb.backup.changed import Changed
from aeordb.backup.mark import damage, mark, with_walk
from aeordb.backup.plan import Row, append, carry
from aeordb.backup.sink import Sink, check_absent, new_file
from aeordb.format import constants as c
from aeordb.format.keys import directory_path_key, file_path_key, symlink_path_key
from aeordb.format.records import DeletionRecord
from aeordb.native.carry import Plan
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index
from aeordb.native.walk import Marks
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.view import View
from aeordb.tree.diff import Change, diff
from aeordb.tree.directory import EMPTY
from aeordb.tree.ingest import default_jobs

REASON: Final = "patch-deletion"

_PATH_KEYS: Final = {
    c.KIND_FILE: file_path_key,
    c.KIND_DIRECTORY: directory_path_key,
    c.KIND_SYMLINK: symlink_path_key,
}


@dataclass(frozen=True, slots=True)
class PatchReport:
    """What a patch holds: files (and symlinks) by what became of them; chunks and folders carried.

    `bytes` is the output's length; without a difference, and of a dry run, `output` is None and
    no file was made.
    """

    from_: bytes
    to: bytes
    files_added: int = 0
    files_modified: int = 0
    files_deleted: int = 0
    chunks: int = 0
    directories: int = 0
    bytes: int = 0
    output: str | None = None


def export_patch(
    view: View,
    path: str,
    base: bytes,
    target: bytes,
    *,
    uncompressed: bool = False,
    dry_run: bool = False,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> PatchReport:
    """Writes what leads from the version `base` to `target`, in either order, to a new file.

    `view` is this patch's own: its walk lock is used. Costs what differs; where entries older than
    the base are carried, also a walk over what the base reaches. `dry_run`: counts, writes nothing,
    and looks at no chunk's content.
    Raises ExistsError (before anything is read), LockedError (somebody makes this very file),
    DamagedError with the path that is hit, NotDurableError; leaves nothing behind then.
    """
    check_absent(path)
    try:
        if base == target:
            return PatchReport(base, target)
        roots = _root(view, base), _root(view, target)
        with nullcontext() if dry_run else new_file(path) as sink:
            task = _Patch(
                view, *roots, sink, jobs or default_jobs(), uncompressed, progress, Counter()
            )
            try:
                report = with_walk(view, task.run)
            except NativeFault as fault:
                raise damage(view, roots[::-1], fault) from None
            return report if dry_run else replace(report, output=path)
    finally:
        progress.finish()


def _root(view: View, root: bytes) -> bytes:
    """The root, or the empty directory for the zeros in a file that AeorDB just made."""
    return EMPTY if root == c.ZERO_HASH and view.read(EMPTY) is not None else root


@dataclass(frozen=True, slots=True)
class _Patch:
    """One patch; `run` can be done again from the start. Without a sink it only counts."""

    view: View
    base: bytes
    target: bytes
    sink: Sink | None
    jobs: int
    uncompressed: bool
    progress: Progress
    counts: Counter[str]

    def run(self, index: Index) -> PatchReport:
        """Finds what differs, leaves out what the base reaches, copies, completes the file."""
        self.progress.start(None, "Comparing the versions")
        self.counts.clear()
        changed = Changed(self.view, index)
        for change in self._changes():
            changed.add(change)
            self._count(change)
        new = changed.new()
        if Plan(index, new).older(self.view.read_as(self.base, c.ENTRY_DIRECTORY).time):
            # An old entry that only the target's side of the differences shows: the base may
            # still reach it at a path that is the same in both.
            known = Marks(index)
            mark(index, self.base, known, jobs=self.jobs)
            new.remove(known)
        new.add(changed.touched)
        plan = Plan(index, new, paths=new)
        size = self._write(self.sink, plan) if self.sink is not None else 0
        changed.folders.keep(new)
        return PatchReport(
            from_=self.base,
            to=self.target,
            files_added=self.counts["added"],
            files_modified=self.counts["modified"],
            files_deleted=self.counts["deleted"],
            chunks=plan.counts[c.KV_CHUNK],
            directories=len(changed.folders),
            bytes=size,
        )

    def _write(self, sink: Sink, plan: Plan) -> int:
        """Writes the whole file; its length in bytes."""
        sink.begin(plan.entries + self.counts["links"] + self.counts["deletions"])
        carry(plan, sink, jobs=self.jobs, uncompressed=self.uncompressed, progress=self.progress)
        append(sink, self._rows())
        return sink.finish(c.BACKUP_PATCH, self.base, self.target)

    def _changes(self) -> Iterator[Change]:
        return diff(self.view, self.base, self.target, folders=True)

    def _count(self, change: Change) -> None:
        child = change.new or change.old
        assert child is not None
        if child.kind != c.KIND_DIRECTORY:
            self.counts[change.kind] += 1
        elif change.new is not None:
            self.counts["links"] += 1
        if change.new is None:
            self.counts["deletions"] += 1

    def _rows(self) -> Iterator[Row]:
        """Path keys of changed folders, and a deletion for each path that is gone."""
        now = self.view.read_as(self.target, c.ENTRY_DIRECTORY).time
        for path, old, new in ((change.path, change.old, change.new) for change in self._changes()):
            if new is not None and new.kind == c.KIND_DIRECTORY:
                time = self.view.read_as(new.hash, c.ENTRY_DIRECTORY).time
                key = directory_path_key(path)
                yield c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, key, new.hash, time
            elif new is None and old is not None:
                key = _PATH_KEYS[old.kind](path)
                value = DeletionRecord(path, now, REASON).encode()
                yield c.ENTRY_DELETION, c.VALUE_VERSION, 0, key, value, now
