"""Verifying a whole file (engine.md section 10): read-only, at hashing speed, beside a writer.

In this order: header slots, hot tail and index pages (verify_open); what every version reaches
(verify_trees); each entry of the log, by its integrity hash and its content address, against the
index and, for HEAD, against its path key (verify_log); the index against the log; the path keys of
folders. Where something was found, the files and versions that it hits are looked for.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Final

from aeordb.errors import DamagedError, UsageError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key
from aeordb.format.records import FileRecord, SymlinkRecord
from aeordb.maintenance import findings as f
from aeordb.maintenance.reach import SYSTEM_PLACES, Root, Roots, find_roots
from aeordb.maintenance.verify_hits import Search
from aeordb.maintenance.verify_log import VOID_WRONG, deletions, is_live, verify_log
from aeordb.maintenance.verify_open import Subject
from aeordb.maintenance.verify_trees import check_folders, walk_roots
from aeordb.native import verify as v
from aeordb.native.faults import NativeFault, PageFault
from aeordb.native.verify import Row, Sums, Verification
from aeordb.native.walk import Marks
from aeordb.parallel.threads import in_order
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.tree.ingest import default_jobs
from aeordb.versions.resolve import resolve

# Fewer ranges of pages are gone through sooner than threads are started.
_RANGES: Final = 8
_TRIES: Final = 5
_ROWS_MAX: Final = 100_000
_SYSTEM_KEYS: Final = b"".join(directory_path_key(path) for path in SYSTEM_PLACES)

_KIND_OF: Final = {
    v.GAP: f.GAP,
    v.ADDRESS: f.ADDRESS,
    v.FIELDS: f.RECORD,
    v.TIME: f.TIME,
    v.KIND: f.INDEX,
    v.OUTDATED: f.OUTDATED,
    v.UNINDEXED: f.UNINDEXED,
    v.PATH: f.PATH_KEY,
    v.STRAY: f.PATH_KEY,
    v.LOST: f.INDEX,
    v.MISPLACED: f.MISPLACED,
    v.PAGE: f.PAGE,
    v.OVERLAP: f.OVERLAP,
    v.UNREADABLE: f.ENTRY,
    VOID_WRONG: f.VOID,
    **dict.fromkeys(range(-26, -19), f.ENTRY),
    **dict.fromkeys(range(-43, -39), f.RECORD),
}

# What a commit that came meanwhile makes look so: it is no finding then.
_MOVING: Final = frozenset(
    (v.PATH, v.STRAY, v.MISPLACED, v.PAGE, v.OVERLAP, v.TIME, v.OUTDATED, VOID_WRONG)
)
_REWRITTEN: Final = frozenset((v.PATH, v.STRAY, v.OUTDATED, v.PAGE))
# Findings about an entry that versions may need.
_NEEDED: Final = frozenset((f.ENTRY, f.ADDRESS, f.RECORD, f.MISSING, f.TREE, f.INDEX))


def verify(
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    sample: float | None = None,
    since: str | None = None,
    jobs: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> f.VerifyReport:
    """Verifies a database, an export or a patch; changes not a byte and needs no lock file.

    Args:
        deep: also reads every file of every version and checks its content hash.
        sample: the part of the chunks (and with `deep` of the files) that is read, 0 to 1.
        since: a version: what it reaches is taken as verified.
        jobs: threads; the report does not depend on it.

    Raises NotADatabaseError; DamagedError if no header slot can be read; NotFoundError (`since`).
    """
    begun = time.monotonic()
    if sample is not None and not 0 < sample <= 1:
        raise UsageError("a sample is more than 0 and at most all")
    try:
        for attempt in range(_TRIES):
            subject = Subject(os.fspath(path), out := f.Collector())
            try:
                run = _Run(subject, out, deep, sample, since, jobs or default_jobs(), progress)
                run.all()
                return run.report(time.monotonic() - begun)
            except NativeFault as fault:
                # A page may be a writer's work in progress; else the file cannot be read.
                if attempt + 1 == _TRIES or not subject.moved:
                    raise DamagedError(path=subject.path, reason=str(fault)) from None
            finally:
                subject.close()
    finally:
        progress.finish()
    raise AssertionError("unreachable")


class _Run:
    """One verification, step by step."""

    def __init__(
        self,
        subject: Subject,
        out: f.Collector,
        deep: bool,
        sample: float | None,
        since: str | None,
        jobs: int,
        progress: Progress,
    ) -> None:
        self._subject = subject
        self._out = out
        self._deep = deep
        self._sample = 1.0 if sample is None else sample
        self._since = since
        self._jobs = jobs
        self._progress = progress
        self._rows: list[Row] = []
        self._deletions: dict[bytes, int] | None = None
        self.roots = Roots(())
        self.sums = Sums()
        self.files = 0

    def report(self, seconds: float) -> f.VerifyReport:
        """What was found."""
        return f.VerifyReport(
            ok=self._out.found == 0,
            findings=tuple(self._out.findings),
            found=self._out.found,
            notes=tuple(self._out.notes),
            path=self._subject.path,
            head=self._subject.header.head,
            entries=self.sums.entries,
            bytes=self.sums.bytes,
            versions=len(self.roots.versions),
            files=self.files,
            seconds=seconds,
        )

    def all(self) -> None:
        """Everything, in order."""
        index = self._subject.index
        head, reached, skip = Marks(index), Marks(index), None
        if not self._subject.is_patch:
            skip = self._trees(head, reached)
        verification = Verification(
            index,
            head=None if self._subject.is_patch else head,
            reached=reached,
            skip=skip,
            voids=self._voids(),
            roots=_SYSTEM_KEYS,
            latest=self._latest(),
            sample=self._sample,
            seed=int.from_bytes(os.urandom(8), "little") if self._sample < 1 else 0,
            files=self._deep,
        )
        results = verify_log(self._subject, verification, jobs=self._jobs, progress=self._progress)
        for rows, sums, wrong, files in results:
            self.sums = self.sums.plus(sums)
            self.files += files
            self._keep(rows)
            for content in wrong:
                self._out.add(
                    f.CONTENT,
                    offset=content.offset,
                    paths=(content.path,),
                    hint=f.REFILL,
                    reason=content.reason,
                )
        strays = not self._subject.is_patch and skip is None
        if not self._subject.is_patch:
            rows, complete = check_folders(index, verification, self.roots)
            self._keep(rows)
            strays &= complete
        if strays:
            verification.report_strays()
        try:
            self._index(verification)
        except PageFault as fault:
            # All pages held a moment ago.
            self._out.note(f"Meanwhile a writer left {fault}: verify again.")
        self._judge()
        self._places()

    def _index(self, verification: Verification) -> None:
        ranges = verification.page_ranges()
        for rows, sums in in_order(
            self._jobs if len(ranges) > _RANGES else 1, ranges, verification.pages
        ):
            self._keep(rows)
            self._out.found += sums.rows - len(rows)
        rows, sums = verification.tables()
        self._keep(rows)
        self._out.found += sums.rows - len(rows)

    def _keep(self, rows: list[Row]) -> None:
        room = max(0, _ROWS_MAX - len(self._rows))
        self._rows += rows[:room]
        self._out.found += len(rows[room:])

    def _trees(self, head: Marks, reached: Marks) -> Marks | None:
        """Marks what the versions reach; what need not be hashed, with `since`."""
        subject, index = self._subject, self._subject.index
        self._progress.start(None, "Reading the versions")
        self.roots = find_roots(index, subject.header.head)
        for bad in self.roots.bad:
            self._out.add(
                f.RECORD,
                offset=bad.offset,
                key=bad.key,
                versions=(bad.kind,),
                reason=f"the {bad.kind} that it names cannot be told: {bad.reason}",
            )
        skip = None
        if self._since is not None:
            base = resolve(subject.view(), self._since).root
            skip = Marks(index)
            known = [root for root in self.roots.roots if root.root == base]
            walk_roots(
                index, known[:1] or [Root("HEAD", "HEAD", base)], skip, self._out, jobs=self._jobs
            )
            head.add(skip)
        first = [root for root in self.roots.roots if root.kind == "HEAD"]
        walk_roots(index, first, head, self._out, jobs=self._jobs)
        reached.add(head)
        rest = [root for root in self.roots.roots if root.kind != "HEAD"]
        walk_roots(index, rest, reached, self._out, jobs=self._jobs)
        return skip

    def _voids(self) -> bytes:
        subject = self._subject
        if subject.rebuilt or not subject.state.ours or subject.state.flags & c.SPARE_DEAD_PAGES:
            return b""
        return b"".join(
            offset.to_bytes(8, "little") + (offset + length).to_bytes(8, "little")
            for offset, length in subject.voids()
        )

    def _latest(self) -> int:
        """Our headers hold the highest entry time; AeorDB's are behind after a crash."""
        state = self._subject.state
        return state.header.updated_at if state.ours else (1 << 63) - 1

    def _judge(self) -> None:
        """Makes findings of rows; leaves out what is none."""
        subject, out = self._subject, self._out
        moved = subject.moved
        left_out = 0
        for row in self._rows:
            if moved and self._is_newer(row):
                left_out += 1
            elif not self._is_expected(row):
                key = row.key if any(row.key) else None
                hint = f.REWRITE if row.code in _REWRITTEN else f.REPAIR
                out.add(
                    _KIND_OF.get(row.code, f.RECORD),
                    offset=row.offset or None,
                    key=key,
                    paths=self._path_of(row),
                    versions=("HEAD",) if row.code == v.PATH else (),
                    hint=hint,
                    reason=row.reason if row.code != VOID_WRONG else f"{row.length} bytes",
                )
        if left_out:
            out.note(
                "Something was committed meanwhile: what it changed of index, path keys and free "
                "space was not compared."
            )
        if self.sums.unindexed and subject.state.ours and not subject.rebuilt:
            out.note(
                f"{self.sums.unindexed} entries ({self.sums.unindexed_bytes} bytes) are in no "
                "index: `aeordb gc` frees them."
            )

    def _is_newer(self, row: Row) -> bool:
        """Whether a commit that came meanwhile may be why.

        What the index of the view has stays where it is. All else may become free space, and be
        written to: gc takes entries from the index first, and lists them as free later.
        """
        if row.code in _MOVING:
            return True
        if row.code != v.LOST and not is_live(self._subject.index, row):
            return True
        if row.code != v.LOST and _KIND_OF.get(row.code) != f.ENTRY:
            return False
        try:
            source = self._subject.files.covering(row.offset + row.length)
            source.fetch(row.offset, row.length, row.key)
        except NativeFault:
            return False
        return True

    def _is_expected(self, row: Row) -> bool:
        """Whether the row is no damage in this file."""
        subject = self._subject
        if subject.state.flags & c.SPARE_GROWTH and row.offset == subject.log[0]:
            # The room that growth leaves behind the block's new edge becomes a void entry later.
            return row.code == v.GAP or row.type == c.ENTRY_VOID
        if row.code == v.STRAY:
            # AeorDB's privileged exports carry the path keys of all versions.
            return not subject.state.ours
        if row.code == v.UNINDEXED:
            return not subject.state.ours or self._is_deleted(row)
        if row.code == v.GAP:
            # AeorDB leaves pieces of dead entries, and torn writes where it crashed. If one of the
            # entries that the index has is gone, that is found by itself.
            return not subject.state.ours or self.sums.foreign > 0
        if subject.state.ours or row.code not in range(-26, -19):
            return False
        return not is_live(subject.index, row)

    def _is_deleted(self, row: Row) -> bool:
        """Whether a later deletion names the snapshot or fork whose entry it is."""
        if self._deletions is None:
            # From the log: a gc that did not come to its end has taken both from the index.
            self._deletions = deletions(self._subject)
        return self._deletions.get(row.key, -1) >= self._subject.view().fetch(row.offset).time

    def _path_of(self, row: Row) -> tuple[str, ...]:
        """The path that a record about a path key names."""
        if row.code not in (v.PATH, v.STRAY):
            return ()
        try:
            entry = self._subject.view().fetch(row.offset)
            if entry.type == c.ENTRY_FILE:
                return (FileRecord.decode(entry.value, entry.version).path,)
            if entry.type == c.ENTRY_SYMLINK:
                return (SymlinkRecord.decode(entry.value).path,)
        except (DamagedError, FormatError):
            return ()
        return ()

    def _places(self) -> None:
        """Looks for what the damaged entries hit."""
        found = self._out.findings
        keys = {x.key for x in found if x.key is not None and x.kind in _NEEDED and not x.paths}
        if not keys or self._subject.is_patch:
            return
        search = Search(self._subject.view(), keys, chunks=True)
        search.run(self.roots.roots)
        for number, finding in enumerate(found):
            if finding.key not in keys or finding.kind not in _NEEDED:
                continue
            hit = search.hits.get(finding.key)
            if hit is not None:
                found[number] = replace(
                    finding,
                    paths=tuple(hit.paths),
                    versions=tuple(hit.versions),
                    hint=f.REFILL if finding.kind != f.TREE else finding.hint,
                )
            elif search.complete and finding.kind == f.ENTRY:
                live = self._subject.index.find(finding.key) is not None
                found[number] = replace(finding, hint=f.REPAIR if live else f.GARBAGE)
        if not search.complete:
            self._out.note("Not all places were looked for what the damage hits: there are many.")
