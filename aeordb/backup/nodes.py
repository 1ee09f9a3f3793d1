"""A folder's directory nodes, checked as they are read: address, order, bounds, size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from aeordb.backup.known import Known
from aeordb.backup.layers import NOWHERE, Layers
from aeordb.errors import DamagedError, quote
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import node_key
from aeordb.format.nodes import Child, Internal, Leaf, Link, Listing, decode_node
from aeordb.storage.protocols import Entry
from aeordb.tree.btree import HEIGHT_MAX
from aeordb.tree.directory import sorted_listing

if TYPE_CHECKING:
    from aeordb.backup.check import Checked

_Place = tuple[bytes, str, str | None, int]
"""A node as its parent sees it: key, names below it lie in [low, high), levels above it."""


class NodeWalk:
    """Walks folders; notes what the database lacks of their nodes."""

    def __init__(self, layers: Layers, result: Checked, *, note: bool = True) -> None:
        """Without `note` only holes are noted."""
        self._layers = layers
        self._result = result
        self._notes = note

    def listings(
        self, path: str, root: bytes, known: Known, size: int | None
    ) -> Iterator[list[Child]]:
        """The folder's children in name order, a node at a time; holes are noted, other faults
        raise DamagedError. `size`: what the listing above says of it, None of a version's root.
        """
        todo: list[_Place] = [(root, "", None, 0)]
        while todo:
            key, low, high, height = todo.pop()
            where = self._layers.locate(key, c.KV_DIRECTORY)[0]
            if where != 0 and height and known.holds_node(key, low, high):
                continue
            if where == NOWHERE:
                self._result.holes.add(c.ENTRY_DIRECTORY, key, path)
                continue
            entry = self._layers.fetch(where, key, c.ENTRY_DIRECTORY)
            if node_key(entry.value) != key:
                self._refuse(key, entry, path, "its bytes have another address")
            if not height and size is not None and size != len(entry.value):
                reason = f"it has {len(entry.value)} bytes, the listing above says {size}"
                self._refuse(key, entry, path, reason)
            if self._notes:
                self._note(where, key, entry, height)
            node = self._decode(key, entry, path)
            if isinstance(node, Internal):
                if height >= HEIGHT_MAX:
                    self._refuse(key, entry, path, f"a B-tree of more than {HEIGHT_MAX} levels")
                todo += self._below(key, entry, path, node, low, high, height)
            elif isinstance(node, Leaf):
                names = node.children
                if names and (names[0].name < low or (high is not None and names[-1].name >= high)):
                    self._refuse(key, entry, path, "a leaf holds names that belong elsewhere")
                yield list(names)
            elif height:
                self._refuse(key, entry, path, "a flat listing inside a B-tree")
            else:
                yield sorted_listing(key, node)

    def _below(
        self,
        key: bytes,
        entry: Entry,
        path: str,
        node: Internal,
        low: str,
        high: str | None,
        height: int,
    ) -> list[_Place]:
        """The nodes below, the first one last. Their ranges are not empty and do not meet: so a
        node with separators stands once in a tree, and the walk ends."""
        names = node.names
        if names and (names[0] <= low or (high is not None and names[-1] >= high)):
            self._refuse(key, entry, path, "an internal node whose names belong elsewhere")
        lows = (low, *names)
        highs = (*names, high)
        places = [
            (below, first, behind, height + 1)
            for below, first, behind in zip(node.keys, lows, highs, strict=True)
        ]
        return places[::-1]

    def _decode(self, key: bytes, entry: Entry, path: str) -> Listing | Leaf | Internal:
        if entry.version != c.VALUE_VERSION:
            self._refuse(key, entry, path, f"of the unknown version {entry.version}")
        try:
            node = decode_node(entry.value)
        except FormatError as fault:
            self._refuse(key, entry, path, fault.reason)
        assert not isinstance(node, Link)
        return node

    def _note(self, where: int, key: bytes, entry: Entry, height: int) -> None:
        result = self._result
        result.entries += 1
        if where == self._layers.bottom:
            return
        result.newest = max(result.newest, entry.time)
        if where == 0 and not height:
            result.directories += 1
        if not self._layers.views[self._layers.bottom].has_many([key])[0]:
            result.wanted[where].entries.add(entry.offset, key)
        elif self._layers.intact(key, c.ENTRY_DIRECTORY) is None:
            result.wanted[where].renewed.add(entry.offset, key)

    def _refuse(self, key: bytes, entry: Entry, path: str, reason: str) -> NoReturn:
        raise DamagedError(
            key=key,
            entry_type=c.ENTRY_DIRECTORY,
            offset=entry.offset,
            reason=f"a directory node of {quote(path[:1_000])}: {reason}",
            path=path[:1_000],
        )
