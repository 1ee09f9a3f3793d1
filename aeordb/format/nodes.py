"""Directory nodes: flat listings, B-tree leaves and internal nodes, links (FORMAT.md 3.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.text import U16, Cursor

CHILD_HEAD = struct.Struct("<B32sQqqH")  # kind, hash, size, created, updated, length of name
CHILD_TAIL = struct.Struct("<QQ")  # virtual time, node id
NODE_HEAD = struct.Struct("<BH")  # node type, count
_pack_head, _pack_u16, _pack_tail = CHILD_HEAD.pack, U16.pack, CHILD_TAIL.pack
assert CHILD_HEAD.size + U16.size + CHILD_TAIL.size == c.CHILD_FIXED_LENGTH


class Child(NamedTuple):
    """One child entry. A tuple, not a dataclass: listings make thousands at once.

    `hash` is the identity key of a file or symlink, the content key of a directory; `size` in
    bytes; times in milliseconds.
    """

    kind: int
    hash: bytes
    size: int
    created: int
    updated: int
    name: str
    content_type: str = ""
    virtual_time: int = 0
    node_id: int = 0

    def encode(self) -> bytes:
        """The child entry's bytes."""
        return encode_child(*self)


@dataclass(frozen=True, slots=True)
class Listing:
    """A flat listing, in the order in which it is stored."""

    children: tuple[Child, ...]

    def encode(self) -> bytes:
        """The value; b"" for the empty directory."""
        return encode_listing(encode_child(*child) for child in self.children)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A B-tree leaf: children sorted by the bytes of their names."""

    children: tuple[Child, ...]

    def encode(self) -> bytes:
        """The value."""
        return encode_leaf([encode_child(*child) for child in self.children])


@dataclass(frozen=True, slots=True)
class Internal:
    """A B-tree's internal node: a name equal to `names[i]` lies below `keys[i + 1]`."""

    names: tuple[str, ...]
    keys: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The value."""
        return encode_internal(self.names, self.keys)


@dataclass(frozen=True, slots=True)
class Link:
    """The value of a directory's path key: the content key of its listing or root node."""

    key: bytes

    def encode(self) -> bytes:
        """The value."""
        if len(self.key) != c.HASH_LENGTH:
            raise FormatError(f"link of {len(self.key)} bytes, expected {c.HASH_LENGTH}")
        return self.key


Node = Listing | Leaf | Internal | Link


def encode_child(
    kind: int,
    key: bytes,
    size: int,
    created: int,
    updated: int,
    name: str,
    content_type: str = "",
    virtual_time: int = 0,
    node_id: int = 0,
) -> bytes:
    """One child entry's bytes from plain values; FormatError for what does not fit."""
    try:
        raw_name = name.encode()
        raw_type = content_type.encode()
        if kind not in c.CHILD_KINDS or len(key) != c.HASH_LENGTH or not raw_name:
            raise FormatError(f"child {name!r}: kind {kind}, hash of {len(key)} bytes")
        return (
            _pack_head(kind, key, size, created, updated, len(raw_name))
            + raw_name
            + _pack_u16(len(raw_type))
            + raw_type
            + _pack_tail(virtual_time, node_id)
        )
    except (struct.error, UnicodeEncodeError) as error:
        raise FormatError(f"child {name!r}: {error}") from None


def child_of_record(
    kind: int,
    key: bytes,
    size: int,
    created: int,
    updated: int,
    name: str,
    content_type: str = "",
) -> Child:
    """A child of which no listing is left; its virtual time is `updated` (milliseconds), as
    far as a field without a sign can hold that."""
    return Child(kind, key, size, created, updated, name, content_type, max(updated, 0))


def encode_listing(children: Iterable[bytes]) -> bytes:
    """A flat listing's value from encoded children, in their order."""
    return b"".join(children)


def leaf_head(count: int) -> bytes:
    """How a leaf of so many children begins."""
    return _node_head(c.NODE_LEAF, count)


def encode_leaf(children: Sequence[bytes]) -> bytes:
    """A leaf's value from encoded children, which must be sorted by the bytes of their names."""
    return _node_head(c.NODE_LEAF, len(children)) + b"".join(children)


def encode_internal(names: Sequence[str], keys: Sequence[bytes]) -> bytes:
    """An internal node's value: n sorted names and n + 1 child node keys."""
    if len(keys) != len(names) + 1 or any(len(key) != c.HASH_LENGTH for key in keys):
        raise FormatError(f"internal node: {len(keys)} keys for {len(names)} names")
    parts = [_node_head(c.NODE_INTERNAL, len(names))]
    try:
        for name in names:
            raw = name.encode()
            parts += (U16.pack(len(raw)), raw)
    except (struct.error, UnicodeEncodeError) as error:
        raise FormatError(f"internal node: {error}") from None
    return b"".join((*parts, *keys))


def _node_head(kind: int, count: int) -> bytes:
    if count > c.U16_MAX:
        raise FormatError(f"node of {count} entries, at most {c.U16_MAX}")
    return NODE_HEAD.pack(kind, count)


def decode_children(value: bytes, offset: int = 0, count: int | None = None) -> list[Child]:
    """The child entries from `offset` to the end of `value`; `count`, if given, must match."""
    head, u16, tail = CHILD_HEAD.unpack_from, U16.unpack_from, CHILD_TAIL.unpack_from
    kinds, new = c.CHILD_KINDS, tuple.__new__  # Child(...) takes twice the time
    children: list[Child] = []
    end = len(value)
    start = offset
    try:
        while offset < end:
            start = offset
            kind, key, size, created, updated, length = head(value, offset)
            offset += CHILD_HEAD.size
            name_end = offset + length
            (type_length,) = u16(value, name_end)
            type_end = name_end + 2 + type_length
            virtual_time, node_id = tail(value, type_end)
            if kind not in kinds:
                raise FormatError(f"child of kind {kind}", start)
            if not length:
                raise FormatError("child with an empty name", start)
            name = value[offset:name_end].decode()
            content_type = value[name_end + 2 : type_end].decode() if type_length else ""
            offset = type_end + CHILD_TAIL.size
            children.append(
                new(
                    Child,
                    (kind, key, size, created, updated, name, content_type, virtual_time, node_id),
                )
            )
    except struct.error:
        raise FormatError("child entry is cut", start) from None
    except UnicodeDecodeError:
        raise FormatError("child's name or content type is not UTF-8", start) from None
    if count is not None and count != len(children):
        raise FormatError(f"node states {count} children, {len(children)} are there", offset)
    return children


def decode_node(value: bytes, *, link: bool = False) -> Node:
    """A directory entry's value; `link` where the key was a path key: 32 bytes are then a link."""
    if link and len(value) == c.HASH_LENGTH:
        return Link(value)
    if not value or value[0] > c.NODE_INTERNAL:
        return Listing(tuple(decode_children(value)))
    if value[0] == c.NODE_LEAF:
        return decode_leaf(value)
    return decode_internal(value)


def decode_leaf(value: bytes) -> Leaf:
    """A leaf; FormatError unless its names rise strictly."""
    cursor = Cursor(value, "leaf")
    if cursor.take(1, "node type") != bytes((c.NODE_LEAF,)):
        raise FormatError("not a leaf", 0)
    children = decode_children(value, NODE_HEAD.size, cursor.u16("count"))
    # Code point order of str is byte order of UTF-8.
    for before, after in pairwise(children):
        if before.name >= after.name:
            raise FormatError(f"leaf: {after.name!r} stands behind {before.name!r}")
    return Leaf(tuple(children))


def decode_internal(value: bytes) -> Internal:
    """An internal node; FormatError unless its names rise strictly."""
    cursor = Cursor(value, "internal node")
    if cursor.take(1, "node type") != bytes((c.NODE_INTERNAL,)):
        raise FormatError("not an internal node", 0)
    count = cursor.u16("count")
    names = tuple(cursor.text("name") for _ in range(count))
    keys = tuple(cursor.take(c.HASH_LENGTH, "child node key") for _ in range(count + 1))
    cursor.end()
    for before, after in pairwise(names):
        if before >= after:
            raise FormatError(f"internal node: {after!r} stands behind {before!r}")
    return Internal(names, keys)
