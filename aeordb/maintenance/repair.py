"""Repair: a new file from all that is intact in a damaged one (engine.md section 10).

The source is only read. Every intact entry goes over as it stands; versions that lack something
are made complete without it; the index and the path keys are made anew. What is asked for in place
is written beside the file and then takes its place, so that a cut leaves one or the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from aeordb.backup.plan import carry
from aeordb.backup.sink import Sink, check_absent, new_file
from aeordb.errors import DamagedError, NotADatabaseError
from aeordb.format import constants as c
from aeordb.maintenance.findings import VerifyReport
from aeordb.maintenance.refill import Refill
from aeordb.maintenance.repair_heads import find_head
from aeordb.maintenance.repair_places import put_head_places, put_system_places
from aeordb.maintenance.repair_records import Records
from aeordb.maintenance.repair_report import RepairReport
from aeordb.maintenance.repair_rows import Rows, read_rows
from aeordb.maintenance.repair_source import Damaged, load, open_file
from aeordb.maintenance.repair_stock import Stock
from aeordb.maintenance.repair_versions import Complete, Versions
from aeordb.maintenance.verify import verify
from aeordb.native.carry import Plan
from aeordb.native.faults import NativeFault
from aeordb.native.index import ALL, Index
from aeordb.native.walk import Marks
from aeordb.progress import NO_PROGRESS, NoProgress, Progress
from aeordb.storage.locks import WriterLock
from aeordb.tree.ingest import default_jobs

REPAIRED = ".repaired"
_KINDS = range(c.KV_TYPE_MASK + 1)


StrPath = str | os.PathLike[str]


def repair(
    path: StrPath,
    *,
    in_place: bool = False,
    refill: Sequence[StrPath] = (),
    verified: VerifyReport | None = None,
    timeout: float | None = 0.0,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> RepairReport:
    """Makes `path` + ".repaired" of a damaged database or export; nothing of one that is sound.

    Args:
        in_place: puts it in the place of the damaged file, which needs as much free disk.
        refill: exports, patches or databases that lost entries are taken from, by their keys.
        verified: what `verify` found just now; else the file is verified first.
        timeout: seconds to wait for another writer.

    Raises NotADatabaseError (nothing is left in it), UsageError (a patch), LockedError,
    ExistsError, NotDurableError; nothing but the lock file has changed then.
    """
    path = os.fspath(path)
    if not in_place:
        check_absent(path + REPAIRED)
    fd, sure = open_file(path)
    os.close(fd)
    found = verified or _verified(path, jobs, progress)
    if found is not None and found.ok and sure:
        progress.finish()
        return RepairReport(path=path, output=None, head=found.head, entries=found.entries)
    try:
        return _write(path, in_place, [os.fspath(name) for name in refill], timeout, jobs, progress)
    except NativeFault as fault:
        raise DamagedError(path=path, reason=f"the disk or the repair failed: {fault}") from None


def _verified(path: str, jobs: int | None, progress: Progress) -> VerifyReport | None:
    """What verify says; None where it cannot even begin."""
    try:
        return verify(path, jobs=jobs, progress=_Phases(progress))
    except (DamagedError, NotADatabaseError, NativeFault):
        return None


class _Phases(NoProgress):
    """Hands phases on, but not the end: more of them follow."""

    def __init__(self, progress: Progress) -> None:
        self.start = progress.start  # type: ignore[method-assign]
        self.advance = progress.advance  # type: ignore[method-assign]


def _write(
    path: str,
    in_place: bool,
    refill: Sequence[str],
    timeout: float | None,
    jobs: int | None,
    progress: Progress,
) -> RepairReport:
    target = os.path.realpath(path) if in_place else path + REPAIRED
    with ExitStack() as stack:
        stack.callback(progress.finish)
        fd, _ = open_file(path)
        stack.callback(os.close, fd)
        backups = stack.enter_context(Refill(refill))
        lock = WriterLock(path, timeout)
        # The locks go before the descriptor that holds one of them.
        stack.callback(lock.release)
        lock.take_inode(fd)
        source = load(path, fd, progress)
        sink = stack.enter_context(new_file(target, over=in_place))
        os.fchmod(sink.fd, os.fstat(fd).st_mode & 0o7777)
        task = _Repair(source, sink, backups, jobs or default_jobs(), progress)
        return replace(task.run(), path=path, output=target)


class _Repair:
    """One repair: what is intact first, then what names it."""

    def __init__(
        self, source: Damaged, sink: Sink, backups: Refill, jobs: int, progress: Progress
    ) -> None:
        self._source = source
        self._sink = sink
        self._backups = backups
        self._jobs = jobs
        self._progress = progress
        self._limit = source.limit

    def run(self) -> RepairReport:
        """Fills and finishes the new file."""
        source = self._source
        rows = read_rows(source, self._limit, self._jobs, self._progress)
        self._carry(rows)
        stock = Stock(self._sink, max(self._sink.latest, source.latest_used))
        for made in rows.mended.values():
            stock.add(made)
        self._refill(rows, stock)
        records = Records(source, rows.classes)
        stock.look = lambda key, kind, path: (
            records.look(key, kind, path) or self._backups.find(key, kind)
        )
        self._progress.start(None, "Reading the versions")
        complete = Complete(stock, self._jobs)
        versions = Versions(source, rows, stock, records, complete)
        head = versions.mend(*find_head(source, rows, stock, versions))
        lost = versions.lost()
        put_system_places(stock, versions.system)
        put_head_places(self._sink, stock, head, self._jobs)
        size = self._finish(head)
        return RepairReport(
            path=source.path,
            output=None,
            head=head,
            entries=self._sink.entries,
            bytes=size,
            mended=len(rows.mended),
            replaced=rows.replaced,
            refilled=self._backups.count,
            unreadable=sum(key not in rows.refilled for key in rows.lost),
            gap_bytes=rows.gap_bytes,
            changed=tuple(versions.changed),
            rebuilt=tuple(versions.rebuilt),
            lost=lost,
            lost_names=versions.lost_names,
            kept_as=versions.kept_as,
        )

    def _carry(self, rows: Rows) -> None:
        """Copies what is intact, in the order in which it lies there."""
        index = Index(self._source.map, 0, 0, rows.kept, covered=ALL)
        marks = Marks(index)
        marks.add_kinds(index, _KINDS)
        # As many path keys come again as there were.
        self._sink.begin(len(rows.kept) + len(rows.names) + len(rows.mended) + rows.places)
        plan = Plan(index, marks)
        carry(plan, self._sink, jobs=self._jobs, uncompressed=False, progress=self._progress)

    def _refill(self, rows: Rows, stock: Stock) -> None:
        """What is damaged, and stands in a backup under the same key; it keeps its time."""
        for key, (kv, offset, _) in rows.lost.items():
            kind = _ENTRY_TYPES.get(kv & c.KV_TYPE_MASK)
            made = None if kind is None else self._backups.find(key, kind)
            if made is None:
                continue
            made = made._replace(time=self._source.time_at(offset))
            rows.refilled.add(key)
            if made.type in (c.ENTRY_SNAPSHOT, c.ENTRY_FORK):
                rows.names.setdefault(key, made)
            else:
                stock.add(made)

    def _finish(self, head: bytes) -> int:
        header = self._source.header
        created = self._source.created
        if header is not None and header.backup_type == c.BACKUP_EXPORT and header.target == head:
            return self._sink.finish(
                c.BACKUP_EXPORT, head, head, created_at=created, updated_at=header.updated_at
            )
        return self._sink.finish(
            c.BACKUP_NONE,
            c.ZERO_HASH,
            c.ZERO_HASH,
            head=head,
            created_at=created,
            updated_at=header.updated_at if header else 0,
        )


_ENTRY_TYPES = {kv: kind for kind, kv in c.KV_TYPE.items() if kind != c.ENTRY_DELETION}
