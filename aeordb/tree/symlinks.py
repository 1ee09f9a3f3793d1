"""Following symlinks inside one version: targets are paths of the tree, never of the disk."""

from __future__ import annotations

import posixpath

from aeordb.errors import NotFoundError, PathError, UsageError, quote
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.storage.protocols import Reader
from aeordb.tree.directory import find_child
from aeordb.tree.paths import ROOT, TreePath, join, parse_path, parts
from aeordb.tree.relocate import read_symlink
from aeordb.tree.walk import root_child

LINKS_MAX = 40


def follow(reader: Reader, root: bytes, path: TreePath) -> tuple[TreePath, Child]:
    """The path and child at which `path` ends when every symlink on the way is followed.

    A relative target starts at the link's folder. Raises NotFoundError, and UsageError after 40
    links (a loop).
    """
    for _ in range(LINKS_MAX + 1):
        place, child, rest = _first_link(reader, root, path)
        if child.kind != c.KIND_SYMLINK:
            return place, child
        target = read_symlink(reader, child, place).target
        folder = posixpath.dirname(place)
        joined = posixpath.normpath(posixpath.join(folder, target, *rest))
        try:
            path = parse_path(joined.replace("//", "/", 1))
        except PathError:
            raise NotFoundError(what="path", name=joined) from None
    raise UsageError(f"{quote(path)} leads through more than {LINKS_MAX} symlinks", path=path)


def _first_link(reader: Reader, root: bytes, path: TreePath) -> tuple[TreePath, Child, list[str]]:
    """The first symlink on the way, with the names behind it; else what stands at `path`."""
    child = root_child(root)
    place = ROOT
    names = parts(path)
    for i, name in enumerate(names):
        if child.kind == c.KIND_SYMLINK:
            return place, child, names[i:]
        found = find_child(reader, child.hash, name) if child.kind == c.KIND_DIRECTORY else None
        if found is None:
            raise NotFoundError(what="path", name=path)
        child = found
        place = join(place, name)
    return place, child, []
