"""The two sides of what differs between versions, as marks: the candidates for a patch.

What the target reaches and the base does not lies on the target's side of the differences; the
other way round need not hold, since a moved folder's chunks are on both sides. Keys wait in small
lists and become bits, so that a large difference takes no more memory than a small one.
"""

from __future__ import annotations

from collections.abc import Iterable

from aeordb.format import constants as c
from aeordb.format.nodes import Child, Internal
from aeordb.native.index import Index
from aeordb.native.nodes import INTERNAL, node_kind
from aeordb.native.walk import Marks, Walk
from aeordb.storage.view import View
from aeordb.tree import btree
from aeordb.tree.diff import Change

_FLUSH = 4096


class _Side:
    """One side's marks, and the keys that wait to get their bits."""

    def __init__(self, index: Index) -> None:
        self.marks = Marks(index)
        self.folders = Marks(index)
        self._index = index
        self._follow: dict[int, list[bytes]] = {kind: [] for kind in c.CHILD_KINDS}
        self._roots: list[bytes] = []
        self._nodes: list[bytes] = []
        self._waiting = 0

    def follow(self, child: Child) -> None:
        """A file with its chunks, a symlink, a folder with all below it."""
        self._follow[child.kind].append(child.hash)
        self._wait(1)

    def alone(self, root: bytes, nodes: Iterable[bytes]) -> None:
        """Nodes of a folder without what they hold; `root` is the folder's first."""
        before = len(self._nodes)
        self._roots.append(root)
        self._nodes += nodes
        self._wait(1 + len(self._nodes) - before)

    def _wait(self, count: int) -> None:
        self._waiting += count
        if self._waiting >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Gives all that wait their bits."""
        walk = Walk(self._index, self.marks, self.folders)
        for kind, keys in self._follow.items():
            walk.add(kind, b"".join(keys))
            keys.clear()
        walk.add(c.ENTRY_DIRECTORY, b"".join(self._roots), alone=True)
        walk.run()
        nodes = Walk(self._index, self.marks)
        nodes.add(c.ENTRY_DIRECTORY, b"".join(self._nodes), alone=True)
        self._roots.clear()
        self._nodes.clear()
        self._waiting = 0


class Changed:
    """What is on either side of the changes that are added; for one index."""

    def __init__(self, view: View, index: Index) -> None:
        self.touched = Marks(index)
        self._view = view
        self._index = index
        self._base, self._target = _Side(index), _Side(index)

    @property
    def folders(self) -> Marks:
        """The target's changed folders, without the B-tree nodes below their roots."""
        return self._target.folders

    def add(self, change: Change) -> None:
        """Takes one change, of a file, a symlink or a folder."""
        old, new = change.old, change.new
        if old is not None and new is not None:
            if old.hash == new.hash:
                # Only the times differ, which the newest record under this key has.
                Walk(self._index, self.touched).add(new.kind, new.hash, alone=True)
                return
            if new.kind == c.KIND_DIRECTORY:
                gone, made = _different_nodes(self._view, old.hash, new.hash)
                self._base.alone(old.hash, gone)
                self._target.alone(new.hash, made)
                return
        if old is not None:
            self._base.follow(old)
        if new is not None:
            self._target.follow(new)

    def new(self) -> Marks:
        """The target's side without the base's."""
        self._base.flush()
        self._target.flush()
        self._target.marks.remove(self._base.marks)
        return self._target.marks


def _different_nodes(view: View, old: bytes, new: bytes) -> tuple[set[bytes], set[bytes]]:
    """The nodes of two directories less those that both have at one depth."""
    gone: set[bytes] = set()
    made: set[bytes] = set()
    olds, news = {old}, {new}
    while olds or news:
        olds, news = olds - news - gone, news - olds - made
        gone |= olds
        made |= news
        olds, news = _below(view, olds), _below(view, news)
    return gone, made


def _below(view: View, keys: Iterable[bytes]) -> set[bytes]:
    below: set[bytes] = set()
    for key in keys:
        entry = view.read_as(key, c.ENTRY_DIRECTORY)
        # Leaves and listings have no nodes below them: taking these apart would cost the most.
        if node_kind(entry.value) == INTERNAL:
            node = btree.decode(key, entry.value, entry.offset)
            assert isinstance(node, Internal)
            below.update(node.keys)
    return below
