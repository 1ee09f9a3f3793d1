"""Directories: one child found, all listed, many edited at once (FORMAT.md 3.2).

A directory is named by its hash: the content key of a flat listing or the key of a B-tree's root
node. Below 256 children it is a flat listing, from there on a B-tree until it is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from operator import attrgetter
from typing import Final

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.keys import directory_content_key
from aeordb.format.nodes import Child, Listing, encode_child, encode_listing
from aeordb.native.faults import NodeFault
from aeordb.native.nodes import FLAT, dir_find, node_kind
from aeordb.storage.protocols import Reader, Writer
from aeordb.tree import btree
from aeordb.tree.splice import Trail, splice, splice_listing, write_listing

EMPTY: Final = directory_content_key(b"")
"""The hash of the empty directory."""

# So many edits of a listing are made in its bytes; more are worth taking it apart.
_FEW: Final = 8


def find_child(reader: Reader, directory: bytes, name: str) -> Child | None:
    """The child of this name, or None: one verified read for each level of the B-tree.

    Raises DamagedError for a node that is missing or breaks a rule.
    """
    return None if directory == c.ZERO_HASH else find_trail(reader, directory, name)[0]


def find_trail(reader: Reader, directory: bytes, name: str) -> tuple[Child | None, Trail]:
    """The same of a directory that is there, with the way to it, or to where it would be."""
    raw = name.encode()
    key = directory
    above: list[tuple[bytes, int]] = []
    while len(above) <= btree.HEIGHT_MAX:
        entry = reader.read_as(key, c.ENTRY_DIRECTORY)
        value = entry.value
        try:
            found = dir_find(value, raw)
            if not isinstance(found, int):
                fields, start, end, count = found
                child = None
                if fields is not None:
                    child = Child(*fields[:5], name, fields[6].decode(), *fields[7:])
                return child, Trail(above, value, start, end, count)
        except NodeFault as fault:
            raise btree.damaged_node(key, fault.reason, entry.offset) from None
        except UnicodeDecodeError:
            reason = "a child's content type is not UTF-8"
            raise btree.damaged_node(key, reason, entry.offset) from None
        above.append((value, found))
        key = value[found : found + c.HASH_LENGTH]
    raise btree.damaged_node(directory, f"a B-tree of more than {btree.HEIGHT_MAX} levels")


def list_children(reader: Reader, directory: bytes) -> Iterator[Child]:
    """All children in the order of their names' bytes, lazily: a B-tree node by node.

    Raises DamagedError for a node that is missing or breaks a rule, and for a name that stands
    twice. Whether a path may hold the names is asked where paths are made of them.
    """
    if directory == c.ZERO_HASH:
        return
    root = btree.read_node(reader, directory)
    if isinstance(root, Listing):
        yield from sorted_listing(directory, root)
    else:
        yield from btree.iterate(reader, directory, root)


def sorted_listing(key: bytes, listing: Listing) -> list[Child]:
    """A flat listing's children by name; DamagedError for a name that stands twice."""
    # Code point order of str is byte order of UTF-8.
    children = sorted(listing.children, key=attrgetter("name"))
    for before, after in pairwise(children):
        if before.name == after.name:
            raise btree.damaged_node(key, f"the name {after.name!r} stands twice")
    return children


def count_children(reader: Reader, directory: bytes) -> int:
    """How many children a directory has; reads all its nodes."""
    return sum(1 for _ in list_children(reader, directory))


def is_empty(reader: Reader, directory: bytes) -> bool:
    """True if the directory has no children; reads one node of each level at most."""
    return next(list_children(reader, directory), None) is None


def edit_directory(
    writer: Writer,
    directory: bytes | None,
    edits: Mapping[str, Child | None],
    trail: Trail | None = None,
) -> tuple[bytes, int]:
    """A directory after `edits` (name to child, None: gone): its hash and its `size` in listings.

    `directory` None makes a new one. Each new node is appended once, those that the file has are
    not; without a change the old hash comes back. Edits count as made one after the other, in
    their order: a listing keeps its order with new names behind, leaves split as for AeorDB's
    inserts. What becomes a B-tree here, and more than 40 edits of a leaf, is built in full leaves.
    `trail`: of the name, where there is a single edit and `find_trail` was asked before.
    """
    for name, child in edits.items():
        if child is not None and child.name != name:
            raise ValueError(f"the edit of {name!r} holds the child {child.name!r}")
    if directory is None or directory == c.ZERO_HASH:
        return _edit_listing(writer, None, Listing(()), edits)
    if len(edits) == 1:
        ((name, child),) = edits.items()
        if trail is None:
            _, trail = find_trail(writer, directory, name)
        done = splice(writer, directory, trail, child)
        value, offset = trail.root, None
    else:
        done = None
        entry = writer.read_as(directory, c.ENTRY_DIRECTORY)
        value, offset = entry.value, entry.offset
        if len(edits) <= _FEW and node_kind(value) == FLAT:
            try:
                done = splice_listing(writer, directory, value, edits)
            except NodeFault as fault:
                raise btree.damaged_node(directory, fault.reason, offset) from None
    if done is not None:
        return done
    root = btree.decode(directory, value, offset)
    if isinstance(root, Listing):
        return _edit_listing(writer, directory, root, edits)
    if not edits:
        return directory, len(value)
    in_name_order = sorted(
        ((name, number, child) for number, (name, child) in enumerate(edits.items())),
        key=lambda edit: edit[0],
    )
    found = btree.edit(writer, directory, root, in_name_order)
    return write_listing(writer, b"") if found is None else found


def _edit_listing(
    writer: Writer, key: bytes | None, listing: Listing, edits: Mapping[str, Child | None]
) -> tuple[bytes, int]:
    children = {child.name: child for child in listing.children}
    if key is not None and len(children) < len(listing.children):
        sorted_listing(key, listing)  # says which name stands twice
    for name, child in edits.items():
        if child is None:
            children.pop(name, None)
        else:
            children[name] = child
    new = tuple(children.values())
    if len(new) >= c.BTREE_THRESHOLD and (key is None or new != listing.children):
        return btree.build(writer, sorted(new, key=attrgetter("name")))
    value = encode_listing([encode_child(*child) for child in new])
    if key is not None and new == listing.children:
        return key, len(value)
    return write_listing(writer, value)


def at_path(error: DamagedError, path: str) -> DamagedError:
    """The same error with the path that led to the damage, if it does not name one already."""
    if error.path is not None:
        return error
    return DamagedError(
        key=error.key,
        entry_type=error.entry_type,
        offset=error.offset,
        reason=error.reason,
        path=path,
        hint=error.hint,
    )
