"""HEAD, snapshots, forks and system folders of a repaired file: each complete, none forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from aeordb.backup.mark import mark
from aeordb.errors import AeorDBError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key, node_key, snapshot_key
from aeordb.format.nodes import decode_node
from aeordb.format.records import ForkRecord, SnapshotRecord
from aeordb.maintenance.reach import SYSTEM_PLACES
from aeordb.maintenance.repair_entries import Made
from aeordb.maintenance.repair_records import Records
from aeordb.maintenance.repair_report import ChangedVersion, LostPath, RebuiltFolder
from aeordb.maintenance.repair_rows import Rows
from aeordb.maintenance.repair_source import Damaged
from aeordb.maintenance.repair_stock import Stock
from aeordb.maintenance.repair_tree import TreeMender
from aeordb.native.faults import NativeFault
from aeordb.native.index import Index
from aeordb.native.walk import Marks
from aeordb.tree.directory import EMPTY
from aeordb.tree.paths import ROOT, TreePath
from aeordb.tree.walk import find

HEAD = "HEAD"
SYSTEM = "system"
PREFIX = "repaired-"
_LOOKS = 200_000
"""So many times lost paths are looked for in other versions."""


class Complete:
    """Tells which roots are complete; what several of them share is walked once."""

    def __init__(self, stock: Stock, jobs: int) -> None:
        self._stock = stock
        self._jobs = jobs
        self._index: Index | None = None
        self._good: Marks | None = None

    def check(self, root: bytes) -> bool:
        """Whether everything that a root reaches is there, and can be read."""
        index = self._stock.index
        tried = Marks(index)
        if self._good is not None and self._index is index:
            tried.add(self._good)
        try:
            mark(index, root, tried, jobs=self._jobs, strict=True)
        except NativeFault:
            return False
        self._index, self._good = index, tried
        return True


class Versions:
    """All that names versions: mended, and noted with what became of it.

    `system`: the roots of system folders by their paths.
    """

    def __init__(
        self, source: Damaged, rows: Rows, stock: Stock, records: Records, complete: Complete
    ) -> None:
        self._source = source
        self._rows = rows
        self._stock = stock
        self._records = records
        self._complete = complete
        self._mender = TreeMender(stock, records)
        self._roots: dict[str, bytes] = {}
        self._lost: dict[str, list[str]] = {}
        self.system: dict[str, bytes] = {}
        self.changed: list[ChangedVersion] = []
        self.rebuilt: list[RebuiltFolder] = []
        self.lost_names = 0
        self.kept_as: str | None = None

    def mend(self, root: bytes | None, newer: bytes | None = None) -> bytes:
        """Makes every version complete, HEAD (None: it is not known) first; HEAD's root then.

        `newer`: what may have been HEAD, and is not complete; it gets a snapshot.
        """
        header = self._source.header
        if root is None:
            fresh = header is not None and header.head == c.ZERO_HASH
            root = EMPTY if fresh else c.ZERO_HASH
        head = self._version(HEAD, root)
        old = None if header is None else header.head
        if old != head and not (old == c.ZERO_HASH and head == EMPTY):
            self.changed.append(ChangedVersion(HEAD, old, head))
        for _, entry in sorted(self._rows.names.items()):
            self._name(entry)
        if newer is not None:
            self._keep(newer)
        for path in SYSTEM_PLACES[::-1]:
            self._system(path)
        names = (c.KV_SNAPSHOT, c.KV_FORK)
        for key, (kv, _, _) in self._rows.lost.items():
            if kv & c.KV_TYPE_MASK in names and key not in self._rows.names:
                self.lost_names += 1
        return head

    def is_whole(self, root: bytes, *, search: bool = True) -> bool:
        """Whether a version is complete, if need be with what `search` finds of lost entries."""
        if self._complete.check(root):
            return True
        if not search:
            return False
        mended = self._mender.run(root)
        return mended.root == root and not mended.lost and not mended.rebuilt

    def lost(self) -> tuple[LostPath, ...]:
        """The lost paths, each with the versions that lack it and those that still have it."""
        looks = 0
        found = []
        for path, versions in self._lost.items():
            stands = []
            for label, root in self._roots.items():
                looks += 1
                if looks <= _LOOKS and label not in versions and self._has(root, path):
                    stands.append(label)
            found.append(LostPath(path, tuple(versions), tuple(stands)))
        return tuple(found)

    def _has(self, root: bytes, path: str) -> bool:
        try:
            return find(self._stock, root, TreePath(path)) is not None
        except AeorDBError:
            return False

    def _version(self, label: str, root: bytes, before: int | None = None) -> bytes:
        self._roots[label] = self._root(label, root, ROOT, before)
        return self._roots[label]

    def _root(self, label: str, root: bytes, path: TreePath, before: int | None = None) -> bytes:
        """The root of a complete version like this one; what is lost or rebuilt is noted."""
        if self._complete.check(root):
            return root
        mended = self._mender.run(root, path, before)
        for place in mended.lost:
            self._lost.setdefault(place, []).append(label)
        self.rebuilt += [RebuiltFolder(place, label, count) for place, count in mended.rebuilt]
        return mended.root

    def _name(self, entry: Made) -> None:
        kind: type[SnapshotRecord] | type[ForkRecord] = SnapshotRecord
        noun = "snapshot"
        if entry.type == c.ENTRY_FORK:
            kind, noun = ForkRecord, "fork"
        try:
            named = kind.decode(entry.value)
        except FormatError:
            return
        label = f"{noun} {named.name}"
        if named.root == c.ZERO_HASH:
            self._stock.add(entry)
            return
        root = self._version(label, named.root, entry.time)
        if root != named.root:
            self.changed.append(ChangedVersion(label, named.root, root))
            entry = entry._replace(value=replace(named, root=root).encode())
        self._stock.add(entry)

    def _keep(self, root: bytes) -> None:
        """A snapshot of what is left of a version."""
        stock = self._stock
        digits = next(
            digits
            for digits in (root.hex()[:count] for count in range(12, 65))
            if not stock.has_many([snapshot_key(PREFIX + digits)])[0]
        )
        self.kept_as = PREFIX + digits
        made = self._version(f"snapshot {self.kept_as}", root)
        record = SnapshotRecord(self.kept_as, made, stock.now(), b'{"type":"auto"}')
        self.changed.append(ChangedVersion(f"snapshot {self.kept_as}", root, made))
        stock.append(c.ENTRY_SNAPSHOT, snapshot_key(self.kept_as), record.encode())

    def _system(self, path: str) -> None:
        root = self._system_root(path)
        if root is None:
            return
        made = self._root(SYSTEM, root, TreePath(path))
        if root != c.ZERO_HASH or made != EMPTY:
            self.system[path] = made

    def _system_root(self, path: str) -> bytes | None:
        """The listing of a system folder; zeros if it must have been there and is lost."""
        entry = self._records.place_entry(path)
        if entry is not None and self._rows.is_doubtful(directory_path_key(path), entry.offset):
            return None
        if entry is None:
            is_lost = self._rows.damaged and path in c.SYSTEM_ROOTS
            if not is_lost or any(known.startswith(path) for known in self.system):
                return None
            return c.ZERO_HASH if self._any_below(path) else None
        if len(entry.value) == c.HASH_LENGTH:
            return entry.value
        key = node_key(entry.value)
        try:
            decode_node(entry.value)
            self._stock.append(c.ENTRY_DIRECTORY, key, entry.value, flags=entry.flags)
        except FormatError:
            return c.ZERO_HASH
        return key

    def _any_below(self, path: str) -> bool:
        below: Iterator[object] = self._records.below(TreePath(path), None)
        return next(below, None) is not None
