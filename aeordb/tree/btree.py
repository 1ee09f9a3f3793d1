"""The nodes of large directories: read, built in bulk, and edited (FORMAT.md 3.2).

An edit reads and writes only the nodes on the way to the names that change. Leaves come out as
AeorDB makes them insert by insert; internal nodes have any legal shape, and all leaves of a tree
stay at one depth.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import BTREE_PREFIX
from aeordb.format.nodes import (
    Child,
    Internal,
    Leaf,
    Link,
    Listing,
    decode_node,
    encode_child,
    encode_internal,
    encode_leaf,
)
from aeordb.native.hashing import blake3_many
from aeordb.storage.protocols import Reader, Writer

HEIGHT_MAX: Final = 32
"""No honest tree is higher: 2^32 children in nodes of two."""

_FLUSH_BYTES: Final = 1 << 20

Edit = tuple[str, int, Child | None]
"""(name, place in the order of the edits, the new child or None): sorted by name."""


def read_node(reader: Reader, key: bytes) -> Listing | Leaf | Internal:
    """The directory node of this key; DamagedError if it is missing or does not decode."""
    entry = reader.read_as(key, c.ENTRY_DIRECTORY)
    return decode(key, entry.value, entry.offset)


def decode(key: bytes, value: bytes, offset: int | None) -> Listing | Leaf | Internal:
    """The node whose value was read under `key`, at `offset` if that is known; DamagedError if it
    does not decode."""
    try:
        node = decode_node(value)
    except FormatError as fault:
        raise damaged_node(key, fault.reason, offset) from None
    assert not isinstance(node, Link)
    return node


def damaged_node(key: bytes, reason: str, offset: int | None = None) -> DamagedError:
    """The error for a directory node that breaks a rule."""
    return DamagedError(key=key, entry_type=c.ENTRY_DIRECTORY, offset=offset, reason=reason)


class Node(NamedTuple):
    """A node as its parent sees it: no name below it is smaller than `low` ("": no bound)."""

    low: str
    key: bytes


def child_nodes(node: Internal, low: str) -> list[Node]:
    """The nodes below an internal one, in order."""
    return [Node(*pair) for pair in zip((low, *node.names), node.keys, strict=True)]


class _New(NamedTuple):
    """A node that is made but has no key before the next flush: the number it was added under."""

    low: str
    number: int


_Ref = Node | _New


class NodeSink:
    """Takes new nodes, makes their keys many at a time, appends those that the file lacks."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._keys: list[bytes] = []
        self._lengths: list[int] = []
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def add(self, low: str, value: bytes) -> _New:
        """Takes a node's value."""
        number = len(self._lengths)
        self._lengths.append(len(value))
        self._pending.append(value)
        self._pending_bytes += len(value)
        if self._pending_bytes >= _FLUSH_BYTES:
            self.flush()
        return _New(low, number)

    def flush(self) -> None:
        """Appends all that was taken."""
        if not self._pending:
            return
        keys = blake3_many(self._pending, BTREE_PREFIX)
        self._writer.append_new(
            [
                (c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, c.COMPRESSION_NONE, key, value)
                for key, value in zip(keys, self._pending, strict=True)
            ]
        )
        self._keys += keys
        self._pending = []
        self._pending_bytes = 0

    def key(self, ref: _Ref) -> bytes:
        """The key of a node, appended by now."""
        if isinstance(ref, Node):
            return ref.key
        if ref.number >= len(self._keys):
            self.flush()
        return self._keys[ref.number]

    def length(self, ref: _New) -> int:
        """The length of a new node's value in bytes."""
        return self._lengths[ref.number]


def build(writer: Writer, children: Sequence[Child]) -> tuple[bytes, int]:
    """A new tree of children sorted by name, at least one: (key, length) of its root node."""
    sink = NodeSink(writer)
    return _grow(sink, _leaves(sink, "", children), c.INTERNAL_MAX_BULK + 1)


def edit(
    writer: Writer, key: bytes, root: Leaf | Internal, edits: Sequence[Edit]
) -> tuple[bytes, int] | None:
    """The tree under `root` with `edits`: (key, length) of the new root node.

    An unchanged tree gives the same key, an emptied one None. `edits` are sorted by name.
    """
    editor = _Editor(writer)
    place = Node("", key)
    fanout = c.INTERNAL_MAX_INSERT + 1
    if isinstance(root, Leaf):
        refs = editor.leaf(place, root, edits)
    else:
        refs = editor.internal(place, root, edits, 1)
        fanout = _fanout(len(root.keys))
    if not refs:
        return None
    if len(refs) == 1 and isinstance(refs[0], Node):
        editor.sink.flush()
        return refs[0].key, len(writer.read_as(refs[0].key, c.ENTRY_DIRECTORY).value)
    return _grow(editor.sink, refs, fanout)


def _leaves(sink: NodeSink, low: str, children: Sequence[Child]) -> list[_Ref]:
    """Full leaves of sorted children; the first keeps the lower bound of what it replaces."""
    step = c.LEAF_MAX_BULK
    return [
        _add_leaf(sink, children[i].name if i else low, children[i : i + step])
        for i in range(0, len(children), step)
    ]


def _add_leaf(sink: NodeSink, low: str, children: Sequence[Child]) -> _Ref:
    return sink.add(low, encode_leaf([encode_child(*child) for child in children]))


def _grow(sink: NodeSink, refs: Sequence[_Ref], fanout: int) -> tuple[bytes, int]:
    """Internal nodes over `refs` until one root is left."""
    while len(refs) > 1:
        refs = _pack(sink, refs, fanout)
    (root,) = refs
    assert isinstance(root, _New)
    return sink.key(root), sink.length(root)


def _pack(sink: NodeSink, refs: Sequence[_Ref], fanout: int) -> list[_Ref]:
    """Internal nodes of at most `fanout` children over `refs` (two or more), evenly filled."""
    count = -(-len(refs) // fanout)
    bounds = [len(refs) * i // count for i in range(count + 1)]
    packed: list[_Ref] = []
    for start, end in pairwise(bounds):
        part = refs[start:end]
        keys = [sink.key(ref) for ref in part]
        packed.append(sink.add(part[0].low, encode_internal([ref.low for ref in part[1:]], keys)))
    return packed


class _Slot(NamedTuple):
    """What an internal node's child has become: `nodes` are its replacements at its own level,
    or, with `inner`, the children of the internal node that is to replace it."""

    nodes: list[_Ref]
    inner: bool
    fanout: int = 0


class _Editor:
    """One edit of one tree."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.sink = NodeSink(writer)

    def leaf(self, place: Node, leaf: Leaf, edits: Sequence[Edit]) -> list[_Ref]:
        """The leaves that replace this one: itself if unchanged, none if emptied."""
        in_order = sorted(edits, key=itemgetter(1))
        old = leaf.children
        if len(edits) > c.LEAF_MAX_BULK:
            merged = {child.name: child for child in old}
            for name, _, child in in_order:
                if child is None:
                    merged.pop(name, None)
                else:
                    merged[name] = child
            new = tuple(merged[name] for name in sorted(merged))
            return [place] if new == old else _leaves(self.sink, place.low, new)
        runs = _insert_each(place.low, old, in_order)
        if len(runs) == 1 and tuple(runs[0][1]) == old:
            return [place]
        return [_add_leaf(self.sink, low, children) for low, children in runs if children]

    def internal(
        self, place: Node, node: Internal, edits: Sequence[Edit], height: int
    ) -> list[_Ref]:
        """The new children of this internal node, or [place] if nothing below it changed.

        A single other node means: it stands alone now, and its parent must take it in.
        """
        if height > HEIGHT_MAX:
            raise damaged_node(place.key, f"a B-tree of more than {HEIGHT_MAX} levels")
        slots: list[_Slot] = []
        changed = False
        places = child_nodes(node, place.low)
        start = 0
        for number, child in enumerate(places):
            end = len(edits)
            if number < len(node.names):
                end = bisect_left(edits, node.names[number], start, key=itemgetter(0))
            slot = _Slot([child], inner=False)
            if end > start:
                slot = self._child(child, edits[start:end], height)
                changed = changed or slot.nodes != [child]
            slots.append(slot)
            start = end
        if not changed:
            return [place]
        return self._close(slots)

    def _child(self, place: Node, edits: Sequence[Edit], height: int) -> _Slot:
        node = read_node(self._writer, place.key)
        if isinstance(node, Leaf):
            return _Slot(self.leaf(place, node, edits), inner=False)
        if isinstance(node, Listing):
            raise damaged_node(place.key, "a flat listing inside a B-tree")
        nodes = self.internal(place, node, edits, height + 1)
        if nodes == [place]:
            return _Slot(nodes, inner=False)
        return _Slot(nodes, inner=True, fanout=_fanout(len(node.keys)))

    def _close(self, slots: list[_Slot]) -> list[_Ref]:
        """Packs the children of changed internal nodes; a lone one joins its neighbour."""
        done: list[_Slot] = []
        for number, slot in enumerate(slots):
            if slot.inner and len(slot.nodes) == 1:
                if done and (before := self._opened(done[-1])):
                    done[-1] = before._replace(nodes=[*before.nodes, *slot.nodes])
                    continue
                if number + 1 < len(slots) and (after := self._opened(slots[number + 1])):
                    slots[number + 1] = after._replace(nodes=[*slot.nodes, *after.nodes])
                    continue
            if slot.nodes:
                done.append(slot)
        refs: list[_Ref] = []
        for slot in done:
            if slot.inner and len(slot.nodes) > 1:
                refs += _pack(self.sink, slot.nodes, slot.fanout)
            else:
                refs += slot.nodes
        return refs

    def _opened(self, slot: _Slot) -> _Slot | None:
        """The slot with its internal node's children; None if it is no internal node."""
        if slot.inner:
            return slot
        if len(slot.nodes) != 1 or not isinstance(slot.nodes[0], Node):
            return None
        place = slot.nodes[0]
        node = read_node(self._writer, place.key)
        if not isinstance(node, Internal):
            return None
        return _Slot(list(child_nodes(node, place.low)), inner=True, fanout=_fanout(len(node.keys)))


def _fanout(old: int) -> int:
    """How many children an edited internal node may have: a full one of a bulk build stays one."""
    return min(max(old, c.INTERNAL_MAX_INSERT + 1), c.INTERNAL_MAX_BULK + 1)


def _insert_each(
    low: str, old: Sequence[Child], edits: Sequence[Edit]
) -> list[tuple[str, list[Child]]]:
    """A leaf after `edits`, one by one: (lower bound, children) of each leaf it has become.

    A leaf that an insert brings to 40 splits in halves, the smaller one first; replacing and
    deleting leave its bounds alone.
    """
    lows = [low]
    names = [[child.name for child in old]]
    runs = [list(old)]
    for name, _, child in edits:
        at = max(bisect_right(lows, name) - 1, 0)
        run, known = runs[at], names[at]
        i = bisect_left(known, name)
        if i < len(known) and known[i] == name:
            if child is None:
                del run[i], known[i]
            else:
                run[i] = child
        elif child is not None:
            run.insert(i, child)
            known.insert(i, name)
            if len(run) > c.LEAF_MAX_INSERT:
                half = len(run) // 2
                lows.insert(at + 1, known[half])
                runs[at : at + 1] = [run[:half], run[half:]]
                names[at : at + 1] = [known[:half], known[half:]]
    return list(zip(lows, runs, strict=True))


def iterate(reader: Reader, key: bytes, root: Leaf | Internal) -> Iterator[Child]:
    """The children in name order, one node at a time; DamagedError where names do not rise."""
    stack: list[tuple[Iterator[Node], bytes]] = []
    node: Listing | Leaf | Internal = root
    low = last = ""
    while True:
        if isinstance(node, Internal):
            if len(stack) >= HEIGHT_MAX:
                raise damaged_node(key, f"a B-tree of more than {HEIGHT_MAX} levels")
            stack.append((iter(child_nodes(node, low)), key))
        elif isinstance(node, Leaf):
            for child in node.children:
                if child.name <= last or child.name < low:
                    raise damaged_node(key, f"the name {child.name!r} is in the wrong leaf")
                last = child.name
                yield child
        else:
            raise damaged_node(key, "a flat listing inside a B-tree")
        while stack:
            place = next(stack[-1][0], None)
            if place is not None:
                break
            stack.pop()
        else:
            return
        low, key = place
        node = read_node(reader, key)
