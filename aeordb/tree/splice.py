"""A few edits of a directory made in the bytes of its nodes: what most single puts need.

Where nodes must be taken apart the answer is None, and nothing was written.
"""

from __future__ import annotations

from collections.abc import Mapping

from aeordb.format import constants as c
from aeordb.format.keys import btree_key, directory_content_key
from aeordb.format.nodes import NODE_HEAD, Child, encode_child, leaf_head
from aeordb.native.faults import NodeFault
from aeordb.native.nodes import INTERNAL, LEAF, child_span, key_below, node_kind
from aeordb.storage.protocols import Writer
from aeordb.tree.btree import HEIGHT_MAX


def splice_listing(
    writer: Writer, key: bytes, value: bytes, edits: Mapping[str, Child | None]
) -> tuple[bytes, int] | None:
    """A few edits of a flat listing's bytes; None where it must be taken apart."""
    new = value
    try:
        for name, child in edits.items():
            start, end, count = child_span(new, name.encode())
            if start == end and child is not None and count + 1 >= c.BTREE_THRESHOLD:
                return None
            new = new[:start] + (b"" if child is None else encode_child(*child)) + new[end:]
    except NodeFault:
        return None
    return (key, len(value)) if new == value else write_listing(writer, new)


def splice_tree(
    writer: Writer, key: bytes, value: bytes, name: str, child: Child | None
) -> tuple[bytes, int] | None:
    """One edit made in the bytes of the nodes on the way to it: (key, length) of the new root.

    None where nodes must be taken apart: a leaf that splits or is emptied, or a broken rule.
    """
    raw = name.encode()
    above: list[tuple[bytes, int]] = []
    node = value
    try:
        while node_kind(node) == INTERNAL:
            at = key_below(node, raw)
            above.append((node, at))
            if len(above) > HEIGHT_MAX:
                return None
            node = writer.read_as(node[at : at + c.HASH_LENGTH], c.ENTRY_DIRECTORY).value
        if node_kind(node) != LEAF:
            return None
        start, end, count = child_span(node, raw)
    except NodeFault:
        return None
    put = b"" if child is None else encode_child(*child)
    count += bool(put) - (end > start)
    if node[start:end] == put:
        return key, len(value)
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
