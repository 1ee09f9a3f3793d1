"""What keeps a database small and honest, as methods of :class:`Database`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aeordb.maintenance.compact import compact as compact_store
from aeordb.maintenance.findings import VerifyReport
from aeordb.maintenance.gc import GcReport, gc, plan_gc
from aeordb.maintenance.verify import verify
from aeordb.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from aeordb.storage.store import Store


class Maintenance:
    """The part of :class:`Database` that verifies it and collects garbage."""

    _store: Store
    _jobs: int | None
    _view: Any
    _collecting: int

    def verify(
        self,
        *,
        deep: bool = False,
        sample: float | None = None,
        since: str | None = None,
        jobs: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> VerifyReport:
        """Whether every byte holds (:func:`aeordb.verify`)."""
        return verify(
            self._store.path,
            deep=deep,
            sample=sample,
            since=since,
            jobs=jobs or self._jobs,
            progress=progress,
        )

    def gc(
        self,
        *,
        dry_run: bool = False,
        compact: bool = False,
        jobs: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> GcReport:
        """Frees what HEAD, the snapshots, the forks and the system data do not reach.

        Args:
            dry_run: only counts; a database opened with "r" will do.
            compact: writes a dense copy beside the file and puts it in its place. Needs as much
                free disk as the copy takes (`GcReport.compact_bytes` of a dry run).

        Readers may go on, but must give way for a moment, now and then; a view that stays open is a
        LockedError with their number. Raises DamagedError, with nothing changed, where a version is
        not whole; NotDurableError, after which the next gc goes on.
        """
        jobs = jobs or self._jobs
        if dry_run:
            return plan_gc(self._store, compact=compact, jobs=jobs, progress=progress)
        run = compact_store if compact else gc
        # Our own view shall not be what it waits for, nor one that another thread takes meanwhile.
        self._collecting += 1
        self._view = None
        try:
            return run(self._store, jobs=jobs, progress=progress)
        finally:
            self._collecting -= 1
