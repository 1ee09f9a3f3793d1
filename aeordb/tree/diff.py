"""What differs between two versions: their trees side by side, equal hashes skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.nodes import Child, Internal, Leaf, Listing, decode_children
from aeordb.native.faults import NodeFault
from aeordb.native.nodes import FLAT, child_values, node_kind
from aeordb.storage.protocols import Reader
from aeordb.tree import btree
from aeordb.tree.btree import Node
from aeordb.tree.directory import at_path, list_children, sorted_listing
from aeordb.tree.paths import ROOT, TreePath
from aeordb.tree.walk import root_child, stored_place

ChangeKind = Literal["added", "modified", "deleted"]

_FACTS: Final = attrgetter("hash", "size", "created", "updated", "content_type")

_Pair = tuple[Child | None, Child | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs. `old` is what the base holds there, `new` what the target does."""

    kind: ChangeKind
    path: TreePath
    old: Child | None
    new: Child | None


def diff(
    reader: Reader,
    base: bytes,
    target: bytes,
    *,
    target_reader: Reader | None = None,
    folders: bool = False,
) -> Iterator[Change]:
    """The changes that lead from the root `base` to the root `target`, in the order of a walk.

    Files and symlinks that were added, deleted or modified (in content, times or content type),
    and folders that were added or deleted, each with all below it. With `folders` also each folder
    whose listing changed, the root first. Where the kind of a path changed, its deletion comes
    before its addition. `target_reader`: where the target is, if not in `reader`.

    Costs what changed times the depth: equal hashes and equal B-tree nodes are not read. Raises
    DamagedError with the path that led to the damage.
    """
    if base == target:
        return
    if folders:
        yield Change("modified", ROOT, root_child(base), root_child(target))
    readers = (reader, target_reader or reader)
    stack = [(ROOT, _pairs(readers, base, target))]
    while stack:
        folder, pairs = stack[-1]
        try:
            pair = next(pairs, None)
        except DamagedError as error:
            raise at_path(error, folder) from None
        if pair is None:
            stack.pop()
            continue
        old, new = pair
        if old is not None and new is not None and old.kind != new.kind:
            # What is put on the stack first comes out last.
            stack += [(folder, iter([(None, new)])), (folder, iter([(old, None)]))]
            continue
        child = new or old
        assert child is not None
        path = stored_place(folder, child)
        if old is None:
            yield Change("added", path, None, new)
        elif new is None:
            yield Change("deleted", path, old, None)
        elif old.kind == c.KIND_DIRECTORY:
            if old.hash == new.hash:
                continue
            if folders:
                yield Change("modified", path, old, new)
        elif _FACTS(old) != _FACTS(new):
            # An equal identity key says nothing of the times: these stand in the listing.
            yield Change("modified", path, old, new)
        if child.kind == c.KIND_DIRECTORY:
            inner = _pairs(readers, old.hash if old else None, new.hash if new else None)
            stack.append((path, inner))


def _pairs(readers: tuple[Reader, Reader], old: bytes | None, new: bytes | None) -> Iterator[_Pair]:
    """The children of two directories by name; those below equal B-tree nodes are left out."""
    if old is None or new is None:
        for side, directory in enumerate((old, new)):
            if directory is not None:
                for child in list_children(readers[side], directory):
                    yield (child, None) if side == 0 else (None, child)
        return
    different = _different(readers, old, new)
    if different is not None:
        yield from different
        return
    yield from _merge(_Stream(readers[0], old), _Stream(readers[1], new))


def _different(readers: tuple[Reader, Reader], old: bytes, new: bytes) -> list[_Pair] | None:
    """The pairs of two flat listings that are not the same bytes; the others are never decoded.

    None where that is not enough: a B-tree, or a name that may stand twice.
    """
    if c.ZERO_HASH in (old, new):
        return None
    values = [
        reader.read_as(key, c.ENTRY_DIRECTORY).value
        for reader, key in zip(readers, (old, new), strict=True)
    ]
    if any(node_kind(value) != FLAT for value in values):
        return None
    try:
        rows = [child_values(value) for value in values]
    except NodeFault:
        return None
    sets = [set(row) for row in rows]
    sides: list[dict[str, Child]] = []
    for value, row, own, other in zip(values, rows, sets, sets[::-1], strict=True):
        try:
            children = decode_children(b"".join([raw for raw in row if raw not in other]))
        except FormatError:
            return None
        if len(own) != len(row) or any(_stands_twice(value, child.name) for child in children):
            return None
        sides.append({child.name: child for child in children})
    olds, news = sides
    return [(olds.get(name), news.get(name)) for name in sorted(olds.keys() | news.keys())]


def _stands_twice(value: bytes, name: str) -> bool:
    """Whether a listing may hold the name twice; where the name is part of another, too."""
    raw = name.encode()
    return value.count(len(raw).to_bytes(2, "little") + raw) != 1


def _merge(a: _Stream, b: _Stream) -> Iterator[_Pair]:
    while a.head is not None or b.head is not None:
        x, y = a.head, b.head
        if isinstance(x, Node) and isinstance(y, Node):
            if x.key == y.key:
                a.advance()
                b.advance()
            else:
                _expand(a, b, x.low, y.low)
        elif isinstance(x, Node) and not (isinstance(y, Child) and y.name < x.low):
            a.expand()
        elif isinstance(y, Node) and not (isinstance(x, Child) and x.name < y.low):
            b.expand()
        else:
            # A node is left closed as long as the other side's children come before it.
            old = x if isinstance(x, Child) else None
            new = y if isinstance(y, Child) else None
            if old is not None and new is not None and old.name != new.name:
                old, new = (old, None) if old.name < new.name else (None, new)
            yield old, new
            if old is not None:
                a.advance()
            if new is not None:
                b.advance()


def _expand(a: _Stream, b: _Stream, low_a: str, low_b: str) -> None:
    """Opens one of two different nodes, or both, so that equal nodes below them can still meet."""
    if low_a != low_b:
        (a if low_a < low_b else b).expand()
    elif a.depth != b.depth:
        (a if a.depth < b.depth else b).expand()
    elif isinstance(a.node(), Internal) != isinstance(b.node(), Internal):
        (a if isinstance(a.node(), Internal) else b).expand()
    else:
        a.expand()
        b.expand()


class _Stream:
    """A directory as a row of children and of B-tree nodes that are not opened yet."""

    def __init__(self, reader: Reader, directory: bytes) -> None:
        self._reader = reader
        self._directory = directory
        self._stack: list[Iterator[Node] | Iterator[Child]] = []
        self._node: Listing | Leaf | Internal | None = None
        self._last = ""
        self.head: Node | Child | None = None
        if directory != c.ZERO_HASH:
            self.head = Node("", directory)

    @property
    def depth(self) -> int:
        """How many internal nodes lie above the head."""
        return len(self._stack)

    def node(self) -> Listing | Leaf | Internal:
        """What is in the node at the head."""
        assert isinstance(self.head, Node)
        if self._node is None:
            self._node = btree.read_node(self._reader, self.head.key)
        return self._node

    def expand(self) -> None:
        """Puts what is in the node at the head in its place."""
        assert isinstance(self.head, Node)
        low, key = self.head
        node = self.node()
        if isinstance(node, Internal):
            if self.depth >= btree.HEIGHT_MAX:
                raise btree.damaged_node(key, f"a B-tree of more than {btree.HEIGHT_MAX} levels")
            self._stack.append(iter(btree.child_nodes(node, low)))
        elif isinstance(node, Leaf):
            if node.children and node.children[0].name < low:
                raise btree.damaged_node(key, "a leaf holds names that belong before it")
            self._stack.append(iter(node.children))
        elif self._stack:
            raise btree.damaged_node(key, "a flat listing inside a B-tree")
        else:
            self._stack.append(iter(sorted_listing(key, node)))
        self.advance()

    def advance(self) -> None:
        """Goes to the next child or node; `head` is None behind the last."""
        self._node = None
        while self._stack:
            self.head = next(self._stack[-1], None)
            if isinstance(self.head, Child):
                if self.head.name <= self._last:
                    raise btree.damaged_node(
                        self._directory, f"the name {self.head.name!r} is in the wrong leaf"
                    )
                self._last = self.head.name
                return
            if self.head is not None:
                return
            self._stack.pop()
        self.head = None
