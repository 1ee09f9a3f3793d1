"""compact: a dense copy of all that is live takes the database's place (engine.md section 10).

The copy holds everything that gc would keep, credentials and AeorDB's own records included, each
entry as it stands; only deletions are left out, as nothing older is left in the log for them.
"""

from __future__ import annotations

import os
import time

from aeordb.backup.mark import damage
from aeordb.backup.plan import carry
from aeordb.backup.sink import Sink
from aeordb.errors import NotDurableError
from aeordb.maintenance.gc import PATIENCE, GcReport, check_roots, compact_length
from aeordb.maintenance.reach import Roots, find_roots, mark_live
from aeordb.native.carry import Plan
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index
from aeordb.native.sweep import survey
from aeordb.native.walk import Marks
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.commit import Log
from aeordb.storage.datafile import discard, folder_of
from aeordb.storage.store import Store
from aeordb.storage.view import make_index
from aeordb.storage.working import open_working
from aeordb.tree.ingest import default_jobs

SUFFIX = ".compact"


def compact(
    store: Store,
    *,
    jobs: int | None = None,
    patience: float = PATIENCE,
    progress: Progress = NO_PROGRESS,
) -> GcReport:
    """Writes a dense copy beside the file, every entry checked, and renames it over the file.

    Raises DamagedError where something live is damaged; NotDurableError where the disk has no room
    for the copy, before it is begun; LockedError with the number of the readers that keep the file
    from being replaced. On any error the database is as it was.
    """
    begun = time.perf_counter()
    path = os.path.realpath(store.path)
    part = path + SUFFIX
    try:
        with store.alone() as log:
            before = log.file.size()
            index = make_index(log.files, log.state)
            roots = Roots(())
            try:
                roots = check_roots(find_roots(index, log.state.header.head), store.path)
                marks = mark_live(index, roots, jobs=jobs or default_jobs(), progress=progress)
                header = log.state.header
                counted = survey(index, marks, header.log_start, log.state.log_end)
                _check_room(path, compact_length(counted.live, counted.live_bytes))
                _write(log, index, marks, part, jobs or default_jobs(), progress)
            except NativeFault as fault:
                raise _damage(store, roots, fault) from None
            del index, marks
            try:
                store.adopt(part, path, patience)
            except BaseException:
                discard(part)
                raise
        size = os.fstat(store.fd).st_size
        return GcReport(
            versions=len(roots.versions),
            live_entries=counted.live,
            garbage_entries=counted.garbage,
            reclaimed_bytes=max(0, before - size),
            free_bytes=0,
            size=size,
            duration=time.perf_counter() - begun,
            compacted=True,
            compact_bytes=size,
        )
    finally:
        progress.finish()


def _check_room(path: str, need: int) -> None:
    found = os.statvfs(folder_of(path))
    free = found.f_bavail * found.f_frsize
    if free < need:
        raise NotDurableError(
            path=path, reason=f"a dense copy takes {need} bytes, the disk has {free} free"
        )


def _write(log: Log, index: Index, marks: Marks, part: str, jobs: int, progress: Progress) -> None:
    """The copy, whole and durable under its working name."""
    file = open_working(part)
    sink = Sink(file)
    try:
        plan = Plan(index, marks)
        os.fchmod(file.fd, os.fstat(log.file.fd).st_mode & 0o7777)
        sink.begin(plan.entries)
        carry(plan, sink, jobs=jobs, uncompressed=False, progress=progress)
        old = log.state.header
        sink.finish(
            old.backup_type,
            old.base,
            old.target,
            head=old.head,
            created_at=old.created_at,
            updated_at=log.last_time,
        )
    except BaseException:
        sink.release()
        discard(part)
        raise
    finally:
        file.close()


def _damage(store: Store, roots: Roots, fault: NativeFault) -> Exception:
    view = store.view()
    try:
        return damage(view, [root.root for root in roots.roots], fault)
    finally:
        view.close()
