"""What the database reaches at a path: there, a node that a backup lacks is taken as complete."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.nodes import Child, Internal, Leaf, Listing
from aeordb.storage.protocols import Reader
from aeordb.tree import btree
from aeordb.tree.directory import find_child


class Known:
    """The folders that stand at one path in the versions that the database names.

    Each is looked up when it is asked for, the first version first: what a complete backup holds
    costs nothing here. Damage in the database means: not there.
    """

    __slots__ = ("_at", "_below", "_listing", "_name", "_parent", "_reader", "_roots")

    def __init__(self, reader: Reader, roots: Sequence[bytes]) -> None:
        self._reader = reader
        self._roots = tuple(dict.fromkeys(roots))
        self._parent: Known | None = None
        self._name = ""
        self._at: dict[int, bytes | None] = dict(enumerate(self._roots))
        self._below: dict[bytes, bytes | None] = {}
        self._listing: tuple[bytes, dict[str, Child] | None] | None = None

    def child(self, name: str) -> Known:
        """The same of the folder `name` in this one."""
        known = Known(self._reader, ())
        known._roots = self._roots
        known._parent = self
        known._name = name
        return known

    def __iter__(self) -> Iterator[bytes]:
        """The folders' hashes, each once."""
        seen: set[bytes] = set()
        for number in range(len(self._roots)):
            folder = self._folder(number)
            if folder is not None and folder not in seen:
                seen.add(folder)
                yield folder

    def holds(self, child: Child) -> bool:
        """Whether one of the folders lists this child: kind, hash, size and content type."""
        for folder in self:
            found = self.find(folder, child.name)
            if (
                found is not None
                and found.hash == child.hash
                and found.kind == child.kind
                and found.size == child.size
                and found.content_type == child.content_type
            ):
                return True
        return False

    def holds_node(self, key: bytes, low: str, high: str | None) -> bool:
        """Whether one of the folders has this B-tree node, whose names all lie in [low, high)."""
        try:
            ends = self._ends(key)
        except DamagedError:
            return False
        if ends is None or ends[0] < low or (high is not None and ends[1] >= high):
            return False
        return any(self._has_node(folder, key, ends[0]) for folder in self)

    def find(self, folder: bytes, name: str) -> Child | None:
        """The child of this name in one of the folders."""
        try:
            if self._listing is None or self._listing[0] != folder:
                node = btree.read_node(self._reader, folder)
                flat = node.children if isinstance(node, Listing) else None
                names = None if flat is None else {child.name: child for child in flat}
                self._listing = folder, names
            if self._listing[1] is not None:
                return self._listing[1].get(name)
            return find_child(self._reader, folder, name)
        except DamagedError:
            return None

    def _folder(self, number: int) -> bytes | None:
        """The folder in version `number`: from the nearest folder above that is known, down."""
        way: list[Known] = []
        known: Known = self
        while number not in known._at:
            way.append(known)
            assert known._parent is not None
            known = known._parent
        for below in reversed(way):
            above = known._at[number]
            if above is not None and above not in below._below:
                child = known.find(above, below._name)
                there = child is not None and child.kind == c.KIND_DIRECTORY
                below._below[above] = child.hash if child is not None and there else None
            below._at[number] = below._below[above] if above is not None else None
            known = below
        return self._at[number]

    def _ends(self, key: bytes) -> tuple[str, str] | None:
        """The first and the last name below a node, or None if it has none."""
        ends = []
        for last in (False, True):
            place = key
            for _ in range(btree.HEIGHT_MAX + 1):
                node = btree.read_node(self._reader, place)
                if not isinstance(node, Internal):
                    break
                place = node.keys[-1 if last else 0]
            if not isinstance(node, Leaf) or not node.children:
                return None
            ends.append(node.children[-1 if last else 0].name)
        return ends[0], ends[1]

    def _has_node(self, folder: bytes, key: bytes, name: str) -> bool:
        """Whether `key` is on the way to `name` in a folder's B-tree."""
        place = folder
        try:
            for _ in range(btree.HEIGHT_MAX + 1):
                if place == key:
                    return True
                node = btree.read_node(self._reader, place)
                if not isinstance(node, Internal):
                    return False
                place = node.keys[bisect_right(node.names, name)]
        except DamagedError:
            pass
        return False
