"""Import: backups checked, applied and perhaps promoted, all or nothing (engine: import)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from aeordb.backup.apply import Apply
from aeordb.backup.check import Checked, TreeCheck, latest_time
from aeordb.backup.known import Known
from aeordb.backup.layers import Layer, Layers
from aeordb.backup.overlay import Overlay
from aeordb.backup.salvage import Salvage
from aeordb.backup.source import Source
from aeordb.backup.system import SystemData, SystemImport
from aeordb.backup.wanted import Wanted
from aeordb.errors import BaseMismatchError
from aeordb.format import constants as c
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.store import Store
from aeordb.storage.view import View
from aeordb.storage.writer import WriteView
from aeordb.tree.directory import EMPTY
from aeordb.tree.ingest import default_jobs
from aeordb.versions.imported import forget_imported, name_imported
from aeordb.versions.names import FORK, SNAPSHOT, list_names
from aeordb.versions.promote import promote

# Of so many entries it pays to let the index grow ahead of them.
_MANY = 20_000
# A rebuilt folder may show that one below it is broken, too.
_ROUNDS = 64


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was imported: the counts are of what the backups carry, each distinct entry once.

    `kind` is "full", "patch", or "chain" of several; `version` the root that the (last) backup
    leads to, or that salvage made; `rebuilt` the folders that salvage rebuilt, each with the number
    of its children; `snapshot` the automatic name that keeps the version until it is promoted.
    """

    kind: Literal["full", "patch", "chain"]
    entries: int
    chunks: int
    files: int
    directories: int
    deletions: int
    version: bytes
    promoted: bool
    skipped_system: int = 0
    warnings: tuple[str, ...] = ()
    rebuilt: tuple[tuple[str, int], ...] = ()
    snapshot: str | None = None
    written: int = 0
    """How many entries the database lacked."""


@dataclass(slots=True)
class _Plan:
    """What the checks of all backups found; nothing is written before it is complete."""

    layers: list[Layer] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)
    versions: list[bytes] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    system: list[SystemData] = field(default_factory=list)
    rebuilt: dict[str, int] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        return sum(len(w.entries) + len(w.renewed) + w.chunks for w in self.wanted)

    @property
    def healing(self) -> list[bytes]:
        return [key for checked in self.checked for key in checked.healing]

    @property
    def is_empty(self) -> bool:
        return not any(self.wanted) and not any(self.system) and not self.healing


def import_files(
    store: Store,
    sources: Sequence[Source],
    *,
    promote_head: bool = False,
    force: bool = False,
    root_key: bool = False,
    salvage: bool = False,
    dry_run: bool = False,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImportReport:
    """Imports backups in their order, in one commit.

    Args:
        root_key: the caller has checked the database's root key, so system data comes in.
        force: a patch need not start from HEAD (in a chain: from the version before it).
        salvage: folders whose nodes a backup lacks are rebuilt from its records.
        dry_run: checks, and says what would be done.

    Raises BaseMismatchError, DamagedError (what is missing is counted), NotDurableError; the
    database is as it was then.
    """
    task = _Import(store, sources, force, root_key, salvage, progress)
    try:
        with store.mutex:
            plan = task.check()
            if dry_run:
                return task.report(plan, promoted=False)
            return task.apply(plan, promote_head, jobs or default_jobs())
    finally:
        progress.finish()


def check_version(store: Store, root: bytes) -> None:
    """DamagedError unless a version's whole tree is in the database.

    What HEAD, a snapshot or a fork reaches at the same path is taken as complete.
    """
    view = store.view()
    try:
        layers = Layers([Overlay(), view])
        holes = TreeCheck(layers, Known(view, _named_roots(view)), [Wanted()]).run(root).holes
        if holes:
            raise holes.error(store.path)
    finally:
        view.close()


def _named_roots(view: View) -> list[bytes]:
    """HEAD and the roots of all snapshots and forks."""
    named = [name.root for kind in (SNAPSHOT, FORK) for name in list_names(view, kind)]
    return [view.head, *named]


class _Import:
    def __init__(
        self,
        store: Store,
        sources: Sequence[Source],
        force: bool,
        root_key: bool,
        salvage: bool,
        progress: Progress,
    ) -> None:
        self._store = store
        self._sources = sources
        self._force = force
        self._root_key = root_key
        self._salvage = salvage
        self._progress = progress

    def check(self) -> _Plan:
        """Checks all backups, each over those before it and the database."""
        view = self._store.view()
        try:
            named = _named_roots(view)
            self._check_bases(view.head)
            plan = _Plan()
            for source in self._sources:
                self._progress.start(None, f"Checking {source.path}")
                self._check(plan, source, view, named)
            return plan
        finally:
            view.close()

    def _check_bases(self, head: bytes) -> None:
        if self._force:
            return
        for source in self._sources:
            if source.base is not None and source.base != (EMPTY if head == c.ZERO_HASH else head):
                raise BaseMismatchError(head=head, base=source.base)
            head = source.version

    def _check(self, plan: _Plan, source: Source, view: View, named: Sequence[bytes]) -> None:
        """Checks one backup and adds what the database lacks of it to the plan."""
        before = Layers([*reversed(plan.layers), view])
        roots = [*named, *plan.versions]
        if source.base in roots:
            roots.insert(0, source.base)
        known = Known(before, roots)
        overlay = Overlay() if self._salvage else None
        above: list[Layer] = [source.view] + ([overlay] if overlay else [])
        layers = Layers([*above, *before.views])
        older = list(reversed(plan.wanted))
        version = source.version
        salvage = None
        for _ in range(_ROUNDS):
            fresh = [Wanted() for _ in above]
            copies = [*fresh, *older]
            check = TreeCheck(layers, known, copies, many=self._root_key, progress=self._progress)
            checked = check.run(version)
            if overlay is None or not checked.holes.folders:
                break
            if salvage is None:
                base = source.base if source.base in roots else None
                salvage = Salvage(source, overlay, layers, base)
            version = salvage.run(source.version, checked.holes.folders)
        if checked.holes:
            raise checked.holes.error(source.path)
        system = SystemImport(source.view, view)
        plan.system.append(system.take(check) if self._root_key else system.skip())
        if checked.holes:
            raise checked.holes.error(source.path)
        check.check_times()
        plan.layers += reversed(above)
        plan.wanted += reversed(fresh)
        plan.versions.append(version)
        plan.checked.append(checked)
        plan.rebuilt.update(salvage.rebuilt if salvage else {})

    def apply(self, plan: _Plan, promote_head: bool, jobs: int) -> ImportReport:
        """Writes what is lacking and moves HEAD or names the versions, in one commit."""
        version = plan.versions[-1]
        view = self._store.view()
        try:
            named = set(_named_roots(view))
            head = view.head
        finally:
            view.close()
        names = [root for root in dict.fromkeys(plan.versions) if root not in named]
        promoted = promote_head and head != version
        if plan.is_empty and not promoted and (promote_head or not names):
            return self.report(plan, promoted=promote_head)
        writer = self._store.begin(plan.entries if plan.entries > _MANY else 0)
        try:
            written, snapshot = 0, None
            self._progress.start(sum(w.chunk_bytes for w in plan.wanted), "Importing")
            written = self._write(plan, writer, jobs)
            for data in plan.system:
                data.put(writer)
            if promote_head:
                promote(writer, head, version)
                forget_imported(writer, version)
                head = version
            else:
                for root in names:
                    snapshot = name_imported(writer, root)
            self._store.commit(writer, head)
        except BaseException:
            self._store.abort(writer)
            raise
        return self.report(plan, promoted=promote_head, snapshot=snapshot, written=written)

    def _write(self, plan: _Plan, writer: WriteView, jobs: int) -> int:
        entries = sum(checked.entries for checked in plan.checked) + plan.entries
        task = Apply(
            writer,
            [source.view for source in reversed(self._sources)],
            jobs=jobs,
            newest=latest_time(entries),
            progress=self._progress,
        )
        return task.run(plan.layers, plan.wanted, plan.healing)

    def report(
        self, plan: _Plan, *, promoted: bool, snapshot: str | None = None, written: int = 0
    ) -> ImportReport:
        """What the checks counted."""
        sources = self._sources
        chunks = sum(source.count(c.KV_CHUNK) for source in sources)
        deletions = sum(source.count(c.KV_DELETION) for source in sources if source.base)
        files = sum(checked.files for checked in plan.checked)
        directories = sum(checked.directories for checked in plan.checked)
        symlinks = sum(checked.symlinks for checked in plan.checked)
        return ImportReport(
            kind=sources[0].kind if len(sources) == 1 else "chain",
            entries=chunks + files + symlinks + directories + deletions,
            chunks=chunks,
            files=files,
            directories=directories,
            deletions=deletions,
            version=plan.versions[-1],
            promoted=promoted,
            skipped_system=sum(data.skipped for data in plan.system),
            warnings=tuple(text for data in plan.system for text in data.warnings),
            rebuilt=tuple(sorted(plan.rebuilt.items())),
            snapshot=snapshot,
            written=written,
        )
