"""What is live: all that the versions with a name reach, and what stands beside their trees.

The versions are HEAD, the snapshots and the forks; the system folders hang on their own path keys
(FORMAT.md 3.2). Live beside what these trees hold: the entries of the names, the path keys of HEAD
and of the system folders, AeorDB's own records (FORMAT.md 6), and kinds that we do not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aeordb.backup.mark import mark
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key, node_key
from aeordb.format.nodes import Internal, Leaf, Listing, decode_node
from aeordb.format.records import ForkRecord, SnapshotRecord
from aeordb.native.faults import EntryFault
from aeordb.native.index import Index
from aeordb.native.walk import PLACE, Marks, Walk, list_places
from aeordb.parallel.threads import in_order
from aeordb.progress import NO_PROGRESS, Progress

Kind = Literal["HEAD", "snapshot", "fork", "system"]

SYSTEM_PLACES: Final = (
    *c.SYSTEM_ROOTS,
    *(f"{c.SYSTEM_ROOT}/{name}" for name in ("users", "groups", "config", "snapshots")),
)
"""The paths whose `dir:` keys are roots of system data."""

_NAMES: Final[dict[int, tuple[Kind, type[SnapshotRecord] | type[ForkRecord]]]] = {
    c.KV_SNAPSHOT: ("snapshot", SnapshotRecord),
    c.KV_FORK: ("fork", ForkRecord),
}
_KNOWN: Final = frozenset((*c.KV_TYPE.values(), c.KV_VOID))
_KEPT_KINDS: Final = (
    c.KV_SNAPSHOT,
    c.KV_FORK,
    *(kind for kind in range(c.KV_TYPE_MASK + 1) if kind not in _KNOWN),
)


# A version may hold one folder in many places, but not so that its paths are without number.
_PLACES_MAX: Final = 1 << 24
_PLACES_PER_ENTRY: Final = 1000
# Fewer index pages are read sooner than threads are started.
_PAGES_LEAST: Final = 2048


@dataclass(frozen=True, slots=True)
class Root:
    """A version with a name, or a system folder (`name` is its path then).

    `key` is the key of the entry that names it (None: HEAD, which the header names), `listing` the
    value of a system folder's entry that holds a copy of a node instead of its key.
    """

    kind: Kind
    name: str
    root: bytes
    key: bytes | None = None
    listing: bytes | None = None


@dataclass(frozen=True, slots=True)
class BadName:
    """An entry that should name a version, and cannot be read."""

    kind: Kind
    key: bytes
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Roots:
    """All roots, HEAD first; `bad` are the names of versions that cannot be told."""

    roots: tuple[Root, ...]
    bad: tuple[BadName, ...] = ()

    @property
    def versions(self) -> list[Root]:
        """HEAD, the snapshots and the forks."""
        return [root for root in self.roots if root.kind != "system"]

    @property
    def system(self) -> list[Root]:
        """The system folders."""
        return [root for root in self.roots if root.kind == "system"]


def find_roots(index: Index, head: bytes, *, jobs: int = 1) -> Roots:
    """All that the file's entries are reached from. Reads every page. Raises PageFault, MapFault.

    A new file of AeorDB's has no HEAD.
    """
    roots: list[Root] = [Root("HEAD", "HEAD", head)] if head != c.ZERO_HASH else []
    bad: list[BadName] = []
    found = in_order(jobs, _NAMES, lambda kv_type: sorted(index.scan_records(kv_type)))
    for (kv_type, (kind, record_type)), records in zip(_NAMES.items(), found, strict=True):
        for record in records:
            try:
                entry = index.read(record.key)
                if entry is None or c.KV_TYPE.get(entry.type) != kv_type:
                    bad.append(BadName(kind, record.key, record.offset, "another entry is there"))
                    continue
                named = record_type.decode(entry.value)
            except (EntryFault, FormatError) as fault:
                bad.append(BadName(kind, record.key, record.offset, fault.reason))
                continue
            roots.append(Root(kind, named.name, named.root, record.key))
    for path in SYSTEM_PLACES:
        key = directory_path_key(path)
        try:
            entry = index.read(key)
        except EntryFault as fault:
            bad.append(BadName("system", key, fault.offset, fault.reason))
            continue
        if entry is None or entry.type != c.ENTRY_DIRECTORY:
            continue
        if len(entry.value) == c.HASH_LENGTH:
            roots.append(Root("system", path, entry.value, key))
        else:
            try:
                decode_node(entry.value)
            except FormatError as fault:
                bad.append(BadName("system", key, entry.offset, fault.reason))
                continue
            roots.append(Root("system", path, node_key(entry.value), key, entry.value))
    return Roots(tuple(roots), tuple(bad))


def mark_live(index: Index, roots: Roots, *, jobs: int, progress: Progress = NO_PROGRESS) -> Marks:
    """A bit for every live entry but the deletions, of which only the log can tell.

    Raises WalkFault for an entry that a root needs and that is missing or damaged, PageFault,
    MapFault.
    """
    marks = Marks(index)
    progress.start(None, "Reading the versions")
    # The path keys of HEAD and of the system folders come along; those of other versions do not.
    for root in roots.roots:
        if root.kind == "HEAD":
            mark(index, root.root, marks, jobs=jobs, path_keys=True)
    for root in roots.system:
        _mark_system(index, root, marks)
    rest = [root.root for root in roots.versions if root.kind != "HEAD"]
    mark(index, b"".join(r for r in rest if r != c.ZERO_HASH), marks, jobs=jobs)
    mark_links(index, roots.roots, marks)
    step = index.pages // (4 * jobs) + _PAGES_LEAST
    parts = [range(at, min(at + step, index.pages)) for at in range(0, index.pages, step)]

    def work(pages: range | None) -> None:
        marks.add_kinds(index, _KEPT_KINDS, own=True, pages=pages)

    for _ in in_order(jobs if len(parts) > 1 else 1, parts or [None], work):
        pass
    return marks


def mark_links(index: Index, roots: Sequence[Root], marks: Marks) -> None:
    """Marks the `dir:` path keys of HEAD's folders and of the system folders.

    Raises WalkFault where folders share one another in too many places.
    """
    for root in roots:
        if root.kind not in ("HEAD", "system"):
            continue
        limit = _PLACES_MAX + _PLACES_PER_ENTRY * len(marks)
        if root.key is not None:
            marks.add_keys(index, root.key)
        for path, folder in _folders(index, root):
            for rows in list_places(index, folder, path.encode(), limit=limit):
                marks.add_keys(index, rows, PLACE)


def _folders(index: Index, root: Root) -> Iterator[tuple[str, bytes]]:
    """(path, key) of the root, or of the folders in the copy that stands for it."""
    path = "" if root.kind == "HEAD" else root.name
    if _has_node(index, root):
        yield path, root.root
        return
    node = decode_node(root.listing or b"")
    if isinstance(node, Listing | Leaf):
        for child in node.children:
            if child.kind == c.KIND_DIRECTORY:
                yield f"{path}/{child.name}", child.hash


def _has_node(index: Index, root: Root) -> bool:
    """Whether the root's node stands under its own key; if not, its path key has a copy."""
    return root.listing is None or index.find(root.root) is not None


def _mark_system(index: Index, root: Root, marks: Marks) -> None:
    walking = Walk(index, marks, path_keys=True)
    if _has_node(index, root):
        walking.add(c.ENTRY_DIRECTORY, root.root)
    else:
        for kind, keys in _below(root.listing or b""):
            walking.add(kind, keys)
    walking.run()


def _below(value: bytes) -> Iterator[tuple[int, bytes]]:
    """(entry type, keys) of what a directory node names."""
    node = decode_node(value)
    if isinstance(node, Internal):
        yield c.ENTRY_DIRECTORY, b"".join(node.keys)
    elif isinstance(node, Listing | Leaf):
        for child in node.children:
            yield child.kind, child.hash
