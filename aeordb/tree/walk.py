"""All that lies below a folder of a version, in name order."""

from __future__ import annotations

from collections.abc import Iterator

from aeordb.errors import DamagedError, NotFoundError
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.storage.protocols import Reader
from aeordb.tree.directory import at_path, find_child, list_children
from aeordb.tree.paths import (
    DEPTH_MAX,
    ROOT,
    TreePath,
    is_hidden,
    join,
    parts,
    stored_name_fault,
)


def find(reader: Reader, root: bytes, path: TreePath) -> Child | None:
    """What stands at a path, or None. The root is a child with an empty name and no times.

    Symlinks are not followed: nothing lies below one. Raises DamagedError with the path.
    """
    child = root_child(root)
    for name in parts(path):
        if child.kind != c.KIND_DIRECTORY:
            return None
        try:
            found = find_child(reader, child.hash, name)
        except DamagedError as error:
            raise at_path(error, path) from None
        if found is None:
            return None
        child = found
    return child


def root_child(root: bytes) -> Child:
    """The root as a child entry; no listing holds it, so its size and times are 0."""
    return Child(c.KIND_DIRECTORY, root, 0, 0, 0, "")


def walk(
    reader: Reader,
    root: bytes,
    path: TreePath = ROOT,
    *,
    hidden: bool = False,
    recursive: bool = True,
) -> Iterator[tuple[TreePath, Child]]:
    """What lies below the folder at `path`, each folder before its content, names in byte order.

    `hidden`: also names that begin with `.aeordb-`. Without `recursive` the folder's children
    alone. A file or symlink at `path` gives itself. Memory: one B-tree node for each level.
    Raises NotFoundError, and DamagedError with the path that led to the damage.
    """
    start = find(reader, root, path)
    if start is None:
        raise NotFoundError(what="path", name=path)
    if start.kind != c.KIND_DIRECTORY:
        yield path, start
        return
    stack = [(path, list_children(reader, start.hash))]
    while stack:
        folder, children = stack[-1]
        try:
            child = next(children, None)
        except DamagedError as error:
            raise at_path(error, folder) from None
        if child is None:
            stack.pop()
            continue
        if not hidden and is_hidden(child.name):
            continue
        place = stored_place(folder, child)
        yield place, child
        if recursive and child.kind == c.KIND_DIRECTORY:
            stack.append((place, list_children(reader, child.hash)))


def stored_place(folder: TreePath, child: Child) -> TreePath:
    """The path of a child that a listing holds; DamagedError where no path may be."""
    path = join(folder, child.name)
    reason = stored_name_fault(child.name)
    if path.count("/") > DEPTH_MAX:
        reason = f"folders nest more than {DEPTH_MAX:,} levels deep"
    elif len(path) > c.PATH_MAX:
        reason = f"a path of more than {c.PATH_MAX:,} bytes"
    if reason:
        raise DamagedError(key=child.hash, entry_type=c.ENTRY_DIRECTORY, reason=reason, path=folder)
    return path
