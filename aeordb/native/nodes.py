"""Directory nodes and records, parsed by the helper; the codecs of `format` are its oracle.

Names and paths stay bytes here: whether they are UTF-8 and legal is for the layers above to say.
"""

from itertools import pairwise
from typing import Any

from ._native import ffi, lib
from .faults import NodeFault

FLAT, LEAF, INTERNAL = 2, 0, 1
"""Kinds of nodes (FORMAT.md, Directories)."""

ChildFields = tuple[int, bytes, int, int, int, bytes, bytes, int, int]
"""(kind, hash, size, created, updated, name, content type, virtual time, node id)"""

FileFields = tuple[bytes, bytes, int, int, int, bytes | None, bytes, bytes]
"""(path, content type, size, created, updated, content hash, metadata, chunk keys joined)"""


def node_kind(value: bytes) -> int:
    """FLAT, LEAF or INTERNAL."""
    return int(lib.aeor_node_kind(value, len(value)))


Spot = tuple[ChildFields | None, int, int, int]
"""Of a name in a flat listing or leaf: its child, where that begins and ends, and how many children
there are. A name that is not there has None, and begins and ends where it is to be put in: behind
the others, or in the order of a leaf."""


def dir_find(value: bytes, name: bytes) -> Spot | int:
    """The spot of that name; in an internal node, where the key of the B-tree node below stands.

    Raises NodeFault for a node that is malformed anywhere.
    """
    child: Any = ffi.new("struct aeor_child *")
    spot: Any = ffi.new("struct aeor_spot *")
    bad_at: Any = ffi.new("uint64_t *")
    code = lib.aeor_node_find(value, len(value), name, len(name), child, spot, bad_at)
    if code == lib.AEOR_ABSENT:
        return None, spot.start, spot.end, spot.count
    at = child.hash_at
    if code == lib.AEOR_BELOW:
        return int(at)
    if code != lib.AEOR_OK:
        raise NodeFault(bad_at[0], code)
    kind_at, kind_length = child.type_at, child.type_length
    fields = (
        child.kind,
        value[at : at + 32],
        child.size,
        child.created,
        child.updated,
        name,
        value[kind_at : kind_at + kind_length],
        child.virtual_time,
        child.node_id,
    )
    return fields, spot.start, spot.end, spot.count


def children(value: bytes) -> list[ChildFields]:
    """All children of a flat listing (in its order) or of a leaf (by name).

    Raises NodeFault for a malformed or an internal node.
    """
    count, bad_at = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    _check(lib.aeor_node_children(value, len(value), ffi.NULL, 0, count, bad_at), bad_at)
    number = count[0]
    columns: Any = ffi.new("uint64_t[]", 11 * number)
    _check(lib.aeor_node_children(value, len(value), columns, number, count, bad_at), bad_at)
    signed = ffi.cast("int64_t *", columns)
    plain = [_column(signed if part in (3, 4) else columns, part, number) for part in range(11)]
    return [
        (
            kind,
            value[hash_at : hash_at + 32],
            size,
            created,
            updated,
            value[name_at : name_at + name_length],
            value[type_at : type_at + type_length],
            virtual_time,
            node_id,
        )
        for (
            kind,
            hash_at,
            size,
            created,
            updated,
            name_at,
            name_length,
            type_at,
            type_length,
            virtual_time,
            node_id,
        ) in zip(*plain, strict=True)
    ]


def child_values(value: bytes) -> list[bytes]:
    """The bytes of each child of a flat listing, in its order; NodeFault if it is malformed."""
    count, bad_at = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    _check(lib.aeor_node_children(value, len(value), ffi.NULL, 0, count, bad_at), bad_at)
    number = count[0]
    columns: Any = ffi.new("uint64_t[]", 11 * number)
    _check(lib.aeor_node_children(value, len(value), columns, number, count, bad_at), bad_at)
    # A child begins with its kind, a byte before its hash.
    bounds = [at - 1 for at in _column(columns, 1, number)] + [len(value)]
    return [value[start:end] for start, end in pairwise(bounds)]


def internal(value: bytes) -> tuple[list[bytes], list[bytes]]:
    """(separators, keys of the nodes below) of an internal B-tree node; NodeFault if malformed."""
    count, keys_at, bad_at = (ffi.new("uint64_t *") for _ in range(3))
    _check(lib.aeor_node_internal(value, len(value), ffi.NULL, 0, count, keys_at, bad_at), bad_at)
    number = count[0]
    columns: Any = ffi.new("uint64_t[]", 2 * number)
    _check(
        lib.aeor_node_internal(value, len(value), columns, number, count, keys_at, bad_at), bad_at
    )
    starts, lengths = _column(columns, 0, number), _column(columns, 1, number)
    names = [value[at : at + size] for at, size in zip(starts, lengths, strict=True)]
    start = keys_at[0]
    return names, [value[at : at + 32] for at in range(start, start + 32 * (number + 1), 32)]


def file_fields(value: bytes, version: int) -> FileFields:
    """The fields of a file record; the content hash is None in version 0.  NodeFault."""
    fields = _fields(2, version, value)
    return (
        _part(value, fields.name_at, fields.name_length),
        _part(value, fields.text_at, fields.text_length),
        fields.size,
        fields.created,
        fields.updated,
        _part(value, fields.hash_at, 32) if fields.hash_at else None,
        _part(value, fields.metadata_at, fields.metadata_length),
        _part(value, fields.keys_at, 32 * fields.key_count),
    )


def symlink_fields(value: bytes) -> tuple[bytes, bytes, int, int]:
    """(path, target, created, updated) of a symlink record.  NodeFault."""
    fields = _fields(8, 0, value)
    path = _part(value, fields.name_at, fields.name_length)
    return path, _part(value, fields.text_at, fields.text_length), fields.created, fields.updated


def deletion_fields(value: bytes) -> tuple[bytes, int, bytes]:
    """(path or key text, time, reason) of a deletion record.  NodeFault."""
    fields = _fields(4, 0, value)
    path = _part(value, fields.name_at, fields.name_length)
    return path, fields.created, _part(value, fields.text_at, fields.text_length)


def snapshot_fields(value: bytes) -> tuple[bytes, bytes, int, bytes]:
    """(name, root, created, metadata) of a snapshot.  NodeFault."""
    fields = _fields(5, 0, value)
    name, root = _part(value, fields.name_at, fields.name_length), _part(value, fields.hash_at, 32)
    return name, root, fields.created, _part(value, fields.metadata_at, fields.metadata_length)


def fork_fields(value: bytes) -> tuple[bytes, bytes, int]:
    """(name, root, created) of a fork.  NodeFault."""
    fields = _fields(7, 0, value)
    name, root = _part(value, fields.name_at, fields.name_length), _part(value, fields.hash_at, 32)
    return name, root, fields.created


def _fields(entry_type: int, version: int, value: bytes) -> Any:
    fields, bad_at = ffi.new("struct aeor_record_fields *"), ffi.new("uint64_t *")
    code = lib.aeor_record_fields(entry_type, version, value, len(value), fields, bad_at)
    _check(code, bad_at)
    return fields


def _part(value: bytes, at: int, length: int) -> bytes:
    return value[at : at + length]


def _column(columns: Any, part: int, number: int) -> list[int]:
    column: Any = ffi.unpack(columns + part * number, number) if number else []
    return list(column)


def _check(code: int, bad_at: Any) -> None:
    if code != lib.AEOR_OK:
        raise NodeFault(bad_at[0], code)
