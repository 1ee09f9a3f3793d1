"""A few edits of a directory made in the bytes of its nodes: what most single puts need.

Where nodes must be taken apart the answer is None, and nothing was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.keys import btree_key, directory_content_key
from aeordb.format.nodes import NODE_HEAD, Child, encode_child, leaf_head
from aeordb.native.nodes import FLAT, dir_find, node_kind
from aeordb.storage.protocols import Writer


class Trail(NamedTuple):
    """The way to a name in a directory: internal nodes, each with the place of the key of the node
    below; then the listing or leaf, and where in it, of `child_count`, the name's child is or is
    to be put.
    """

    above: list[tuple[bytes, int]]
    node: bytes
    start: int
    end: int
    child_count: int

    @property
    def root(self) -> bytes:
        """The directory's first node."""
        return self.above[0][0] if self.above else self.node


def splice_listing(
    writer: Writer, key: bytes, value: bytes, edits: Mapping[str, Child | None]
) -> tuple[bytes, int] | None:
    """A few edits of a flat listing's bytes; None where it must be taken apart."""
    new = value
    for name, child in edits.items():
        spot = dir_find(new, name.encode())
        if isinstance(spot, int):
            return None
        old, start, end, count = spot
        if old is None and child is not None and count + 1 >= c.BTREE_THRESHOLD:
            return None
        new = new[:start] + (b"" if child is None else encode_child(*child)) + new[end:]
    return (key, len(value)) if new == value else write_listing(writer, new)


def splice(
    writer: Writer, key: bytes, trail: Trail, child: Child | None
) -> tuple[bytes, int] | None:
    """One edit made in the bytes of the nodes on the way to it: (key, length) of the new root.

    None where nodes must be taken apart: a listing that becomes a B-tree, a leaf that splits or is
    emptied, and what is no leaf below an internal node.
    """
    above, node, start, end, count = trail
    put = b"" if child is None else encode_child(*child)
    count += bool(put) - (end > start)
    if node[start:end] == put:
        return key, len(trail.root)
    if node_kind(node) == FLAT:
        if above or (start == end and count >= c.BTREE_THRESHOLD):
            return None
        return write_listing(writer, node[:start] + put + node[end:])
    if not count or (start == end and count > c.LEAF_MAX_INSERT):
        return None
    node = leaf_head(count) + node[NODE_HEAD.size : start] + put + node[end:]
    new = [(btree_key(node), node)]
    for parent, at in reversed(above):
        node = parent[:at] + new[-1][0] + parent[at + c.HASH_LENGTH :]
        new.append((btree_key(node), node))
    head = c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, c.COMPRESSION_NONE
    writer.append_new([(*head, *node) for node in new])
    return new[-1][0], len(new[-1][1])


def write_listing(writer: Writer, value: bytes) -> tuple[bytes, int]:
    """Appends a flat listing, if the file lacks it: its key and length."""
    key = directory_content_key(value)
    writer.append_new([(c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, c.COMPRESSION_NONE, key, value)])
    return key, len(value)
