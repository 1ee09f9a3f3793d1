"""A full export: one version, all that it reaches and nothing else, as a database (FORMAT.md 6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

from aeordb.backup.mark import damage, mark, with_walk
from aeordb.backup.plan import Row, append, carry
from aeordb.backup.privileged import NOTHING, Privileged, collect
from aeordb.backup.sink import Sink, check_absent, new_file
from aeordb.format import constants as c
from aeordb.format.keys import directory_path_key
from aeordb.native.carry import Plan
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index
from aeordb.native.walk import PLACE, Marks, Walk, count_places, list_places
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.view import View
from aeordb.tree.directory import EMPTY
from aeordb.tree.ingest import default_jobs

# A version may hold one folder in many places, but not so that its paths are without number.
_PLACES_MAX = 1 << 24
_PLACES_PER_FOLDER = 1000


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported: each distinct file, chunk and folder (with the root) counted once, no
    symlinks.

    `bytes` is the output's length, `snapshots` how many went along (privileged). Of a dry run
    `output` is None and `bytes` 0.
    """

    version: bytes
    files: int
    chunks: int
    directories: int
    bytes: int
    output: str | None
    snapshots: int = 0


def export(
    view: View,
    path: str,
    root: bytes,
    *,
    privileged: bool = False,
    uncompressed: bool = False,
    dry_run: bool = False,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> ExportReport:
    """Writes the version `root` to a new file at `path`.

    `view` is this export's own: its walk lock is used. `privileged`: with all snapshots and the
    system data, less what is never exported; the caller has checked the root key. `uncompressed`:
    chunks are stored raw. `dry_run`: counts, writes nothing, and looks at no chunk's content. The
    bytes do not depend on `jobs`, the number of threads.
    Raises ExistsError (before anything is read), LockedError (somebody makes this very file),
    DamagedError with the path that is hit, NotDurableError; leaves nothing behind then.
    """
    check_absent(path)
    if root == c.ZERO_HASH and view.read(EMPTY) is not None:
        root = EMPTY
    try:
        more = collect(view) if privileged else NOTHING
        with nullcontext() if dry_run else new_file(path) as sink:
            task = _Export(root, more, sink, jobs or default_jobs(), uncompressed, progress)
            try:
                report = with_walk(view, task.run)
            except NativeFault as fault:
                raise damage(view, [root, *more.roots], fault) from None
            return report if dry_run else replace(report, output=path)
    finally:
        progress.finish()


@dataclass(frozen=True, slots=True)
class _Export:
    """One export; `run` can be done again from the start. Without a sink it only counts."""

    root: bytes
    more: Privileged
    sink: Sink | None
    jobs: int
    uncompressed: bool
    progress: Progress

    def run(self, index: Index) -> ExportReport:
        """Marks, plans, copies, and completes the file."""
        self.progress.start(None, "Reading the version")
        folders = Marks(index)
        version = Marks(index)
        if self.root != c.ZERO_HASH:
            mark(index, self.root, version, folders, jobs=self.jobs)
        carried, system = version, None
        if self.more.has_data:
            carried, system = self._mark_more(index, version, folders)
        paths = Marks(index)
        paths.add(version)
        if system is not None:
            paths.add(system)
        plan = Plan(index, carried, paths=paths, system=system)
        places = self._count_places(index, len(folders))
        size = self._write(self.sink, index, plan, places) if self.sink is not None else 0
        return ExportReport(
            version=self._target,
            files=plan.counts[c.KV_FILE],
            chunks=plan.counts[c.KV_CHUNK],
            directories=len(folders) + self.more.new_folders + (self.root == c.ZERO_HASH),
            bytes=size,
            output=None,
            snapshots=len(self.more.snapshots),
        )

    @property
    def _target(self) -> bytes:
        return self.root if self.root != c.ZERO_HASH else EMPTY

    def _write(self, sink: Sink, index: Index, plan: Plan, places: int) -> int:
        """Writes the whole file; its length in bytes."""
        rows = [*self._empty_root(), *self.more.rows]
        sink.begin(plan.entries + places + len(rows))
        carry(plan, sink, jobs=self.jobs, uncompressed=self.uncompressed, progress=self.progress)
        append(sink, self._links(index))
        append(sink, rows)
        return sink.finish(c.BACKUP_EXPORT, self._target, self._target)

    def _mark_more(self, index: Index, version: Marks, folders: Marks) -> tuple[Marks, Marks]:
        """All that goes along, and of it what is system data alone."""
        carried, system = Marks(index), Marks(index)
        carried.add(version)
        for root in self.more.snapshots:
            if root != c.ZERO_HASH:
                mark(index, root, carried, folders, jobs=self.jobs)
        for root in self.more.folders:
            mark(index, root, system, folders, jobs=self.jobs)
        records = Walk(index, system)
        for kind, keys in self.more.records.items():
            records.add(kind, b"".join(keys))
        records.add(c.ENTRY_DIRECTORY, b"".join(self.more.nodes), alone=True)
        records.run()
        alone = Marks(index)
        alone.add(system)
        alone.remove(carried)
        carried.add(system)
        return carried, alone

    def _count_places(self, index: Index, folders: int) -> int:
        if self.root == c.ZERO_HASH:
            return 0
        limit = _PLACES_MAX + _PLACES_PER_FOLDER * folders
        return count_places(index, self.root, limit=limit)

    def _links(self, index: Index) -> Iterator[Row]:
        """The path keys of the version's folders, with their directory entries' times."""
        if self.root == c.ZERO_HASH:
            return
        for batch in list_places(index, self.root):
            for at in range(0, len(batch), PLACE):
                key, directory = batch[at : at + 32], batch[at + 32 : at + 64]
                time = int.from_bytes(batch[at + 64 : at + PLACE], "little", signed=True)
                yield c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, key, directory, time

    def _empty_root(self) -> Iterator[Row]:
        """What stands for a version without a root directory (a file that AeorDB just made)."""
        if self.root == c.ZERO_HASH:
            yield c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, EMPTY, b"", 1
            yield c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, directory_path_key("/"), EMPTY, 1
