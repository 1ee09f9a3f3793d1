"""gc: what nothing reaches leaves the database, and its bytes are free again (engine.md 10)."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from aeordb.backup.mark import damage, with_state
from aeordb.backup.sink import stage_for_keys
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.hottail import hot_tail_length
from aeordb.format.page import block_length
from aeordb.maintenance.reach import Roots, find_roots, mark_live
from aeordb.maintenance.sweep import Freeing, drop, find_rooms, thaw_all
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index
from aeordb.native.sweep import survey
from aeordb.parallel.threads import in_order
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.checkpoint import checkpoint, plan_checkpoint
from aeordb.storage.commit import Log
from aeordb.storage.state import State
from aeordb.storage.store import Store
from aeordb.storage.view import make_index
from aeordb.tree.ingest import default_jobs

PATIENCE = 2.0
"""Seconds for which gc waits for readers before it says how many there are."""


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a gc found and did (of a dry run: would do).

    `versions` are HEAD, the snapshots and the forks; entries are those of the index; bytes are
    lengths in the file: `reclaimed_bytes` became free, `free_bytes` are free now, `size` is the
    file's length now; a dense copy takes `compact_bytes` (0: not asked). `duration` in seconds.
    """

    versions: int
    live_entries: int
    garbage_entries: int
    reclaimed_bytes: int
    free_bytes: int
    size: int
    duration: float
    dry_run: bool = False
    compacted: bool = False
    compact_bytes: int = 0


def compact_length(entries: int, size: int) -> int:
    """About how many bytes a dense copy takes that has so many entries of `size` bytes in all."""
    return c.HEADERS_LENGTH + block_length(stage_for_keys(entries)) + size + hot_tail_length(512, 0)


def plan_gc(
    store: Store,
    *,
    compact: bool = False,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> GcReport:
    """What a gc, or a compact, would do; changes nothing, and needs no right to write.

    Raises DamagedError where a version is not whole.
    """
    begun = time.perf_counter()
    workers = jobs or default_jobs()
    view = store.view()
    roots: list[bytes] = []
    try:

        def work(index: Index, state: State) -> GcReport:
            found = check_roots(find_roots(index, state.header.head, jobs=workers), store.path)
            roots[:] = [root.root for root in found.roots]
            marks = mark_live(index, found, jobs=workers, progress=progress)
            start, end = state.header.log_start, state.log_end
            turns = partial(in_order, workers)
            counted = survey(index, marks, start, end, in_turn=turns)
            room = reclaimed = 0
            log = (start, end, end)
            with closing(find_rooms(log, state.voids, index, marks, counted, workers)) as batches:
                for batch in batches:
                    room += batch.bytes
                    reclaimed += batch.reclaimed
            size = os.fstat(store.fd).st_size
            length = compact_length(counted.live, counted.live_bytes)
            return GcReport(
                versions=len(found.versions),
                live_entries=counted.live,
                garbage_entries=counted.garbage,
                reclaimed_bytes=max(0, size - length) if compact else reclaimed,
                free_bytes=room - reclaimed,
                size=size,
                duration=time.perf_counter() - begun,
                dry_run=True,
                compact_bytes=length if compact else 0,
            )

        return with_state(view, work)
    except NativeFault as fault:
        raise damage(view, roots, fault) from None
    finally:
        progress.finish()
        view.close()


def gc(
    store: Store,
    *,
    jobs: int | None = None,
    patience: float = PATIENCE,
    progress: Progress = NO_PROGRESS,
) -> GcReport:
    """Frees what no version reaches; no transaction runs meanwhile.

    Raises DamagedError, with nothing changed, where a version is not whole; LockedError with their
    number where readers stay for `patience` seconds; NotDurableError. Whatever stops it, the next
    gc goes on.
    """
    begun = time.perf_counter()
    try:
        with store.alone() as log:
            task = _Collection(store, log, jobs or default_jobs(), patience, progress)
            try:
                return task.run(begun)
            except BaseException:
                # What a round has listed may not be void entries yet.
                log.undo()
                log.reset(dirty=True)
                raise
    finally:
        progress.finish()


def check_roots(found: Roots, path: str) -> Roots:
    """The roots, if all can be told; else DamagedError: what they reach would be taken away."""
    for bad in found.bad:
        raise DamagedError(
            path=path,
            key=bad.key,
            offset=bad.offset,
            reason=f"the entry that names a {bad.kind} version: {bad.reason}",
            hint="Run `aeordb verify` to see what is hit.",
        )
    return found


def replace_older(log: Log) -> None:
    """Brings the hot tail's records into the pages if these have older entries of their keys.

    What older entries point to is garbage, and no page may name an entry in a void.
    """
    state = log.state
    header = state.header
    pages = Index(log.files.covering(header.log_start), header.kv_offset, header.pages)
    records = state.table.records()
    keys = [records[at + 1 : at + 33] for at in range(0, len(records), c.HOT_TAIL_RECORD_LENGTH)]
    if any(pages.has_many(b"".join(keys))):
        checkpoint(log, plan_checkpoint(log, records), header.head)


class _Collection:
    """One gc of a log that nobody else writes to."""

    def __init__(
        self, store: Store, log: Log, jobs: int, patience: float, progress: Progress
    ) -> None:
        self._store = store
        self._log = log
        self._jobs = jobs
        self._patience = patience
        self._progress = progress
        self._found = Roots(())

    def run(self, begun: float) -> GcReport:
        """All of it. Raises what :func:`gc` raises."""
        try:
            return self._run(begun)
        except NativeFault as fault:
            raise self._damage(self._found, fault) from None

    def _run(self, begun: float) -> GcReport:
        log = self._log
        thaw_all(log, self._patience)
        replace_older(log)
        index = make_index(log.files, log.state)
        found = self._found = check_roots(
            find_roots(index, log.state.header.head, jobs=self._jobs), self._store.path
        )
        marks = mark_live(index, found, jobs=self._jobs, progress=self._progress)
        start, end = log.state.header.log_start, log.state.log_end
        turns = partial(in_order, self._jobs)
        counted = survey(index, marks, start, end, in_turn=turns)
        drop(log, index, marks, counted, self._patience, self._progress)
        del index, marks
        # All that the index still has is live.
        state = log.state
        places = find_rooms(
            (start, end, state.log_end),
            state.voids,
            make_index(log.files, state),
            None,
            counted,
            self._jobs,
        )
        with closing(places):
            reclaimed = Freeing(log, self._progress).run(places, state.log_end - start)
        # Directory nodes that it keeps may be garbage now.
        log.recent.clear()
        state = log.state
        return GcReport(
            versions=len(found.versions),
            live_entries=log.entry_count,
            garbage_entries=counted.garbage,
            reclaimed_bytes=reclaimed,
            free_bytes=sum(length for _, length in state.voids),
            size=state.region_end,
            duration=time.perf_counter() - begun,
        )

    def _damage(self, found: Roots, fault: NativeFault) -> DamagedError:
        view = self._store.view()
        try:
            return damage(view, [root.root for root in found.roots], fault)
        finally:
            view.close()
