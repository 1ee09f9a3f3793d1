"""A version in a dict: paths to what stands there, the edits of it, and what a reader sees."""

from __future__ import annotations

import fnmatch
import io
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from aeordb.database.results import Stat
from aeordb.errors import ExistsError, NotFoundError, PathError, UsageError
from aeordb.native.hashing import blake3
from aeordb.tree.content_types import guess

HIDDEN = ".aeordb-"
_LINKS_MAX = 40


@dataclass(frozen=True, slots=True)
class File:
    """A file. Times in milliseconds; without a content type, the one that its name says."""

    data: bytes
    content_type: str | None = None
    created: int = 0
    updated: int = 0


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symlink; its target need not exist."""

    target: str
    created: int = 0
    updated: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder. What lies in it are the paths that begin with its own."""


Node = File | Symlink | Folder
Tree = dict[str, Node]
"""Every path of a version but the root, folders included, as `/a/b`."""

FOLDER = Folder()


def normal(path: str) -> str:
    """A path as a tree has it; of the root the empty string."""
    return "/" + path.strip("/") if path.strip("/") else ""


def parent(path: str) -> str:
    """The folder above; of what lies in the root the empty string."""
    return path.rpartition("/")[0]


def below(tree: Tree, path: str) -> list[str]:
    """The paths inside a folder, at any depth."""
    return [place for place in tree if place.startswith(path + "/")]


def in_order(tree: Tree) -> list[str]:
    """The paths in the order of a walk: byte order of names, a folder before its content."""
    return sorted(tree, key=lambda path: [name.encode() for name in path.split("/")])


def is_hidden(path: str) -> bool:
    """Whether listings leave the path out unless asked."""
    return any(name.startswith(HIDDEN) for name in path.split("/"))


def stat_of(path: str, node: Node) -> Stat:
    """What a database says of a path; the times of folders are 0."""
    match node:
        case File(data, content_type, created, updated):
            kind = guess(path) if content_type is None else content_type
            digest = blake3(data).hex()
            return Stat(path, "file", len(data), created, updated, kind or None, digest)
        case Symlink(target, created, updated):
            return Stat(path, "symlink", 0, created, updated, target=target)
    return Stat(path, "folder", 0, 0, 0)


class TreeEdits:
    """The edits of a tree; each raises the class of error that a database must raise."""

    def __init__(self, tree: Tree, clock: Callable[[], int]) -> None:
        self.tree = tree
        self.clock = clock

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> Stat:
        """Stores a file, and makes the folders above it."""
        path, now = normal(path), self.clock()
        born = self._born(path)
        if content_type is None:
            content_type = guess(path)
        self.tree[path] = File(bytes(data), content_type, now if born is None else born, now)
        return stat_of(path, self.tree[path])

    def symlink(self, target: str, path: str) -> None:
        """Puts a symlink."""
        path, now = normal(path), self.clock()
        born = self._born(path)
        self.tree[path] = Symlink(target, now if born is None else born, now)

    def mkdir(self, path: str) -> None:
        """Makes a folder and those above it; one that is there stays."""
        path = normal(path)
        if not path:
            return
        if self.tree.get(path, FOLDER) != FOLDER:
            raise ExistsError(path=path)
        self._make_parents(path)
        self.tree[path] = FOLDER

    def delete(self, path: str, *, recursive: bool = False) -> int:
        """Deletes; how many paths are gone. Hidden names alone do not keep a folder."""
        path = normal(path)
        if not path:
            raise PathError(path="/", reason="the root")
        if path not in self.tree:
            raise NotFoundError(name=path)
        inner = below(self.tree, path)
        seen = [p for p in inner if parent(p) == path and not is_hidden(p[len(path) :])]
        if seen and not recursive:
            raise UsageError("not empty")
        for gone in (path, *inner):
            del self.tree[gone]
        return 1 + len(inner)

    def move(self, source: str, target: str) -> None:
        """Moves a file, symlink or folder, with its times."""
        source, target = normal(source), normal(target)
        if source not in self.tree:
            raise NotFoundError(name=source)
        if source == target:
            return
        if target.startswith(source + "/"):
            raise PathError(path=target, reason="into itself")
        node = self.tree[source]
        if self.tree.get(target) == FOLDER or (node == FOLDER and target in self.tree):
            raise ExistsError(path=target)
        self._make_parents(target)
        for old in below(self.tree, source):
            self.tree[target + old[len(source) :]] = self.tree.pop(old)
        self.tree[target] = self.tree.pop(source)

    def exists(self, path: str) -> bool:
        """Whether anything stands at the path."""
        return not normal(path) or normal(path) in self.tree

    def stat(self, path: str) -> Stat:
        """What stands at a path."""
        return TreeView(self.tree).stat(path)

    def _born(self, path: str) -> int | None:
        """When what a file or symlink at `path` replaces was created; makes the parents."""
        old = self.tree.get(path)
        if old == FOLDER:
            raise ExistsError(path=path)
        self._make_parents(path)
        return old.created if isinstance(old, (File, Symlink)) else None

    def _make_parents(self, path: str) -> None:
        folder, missing = parent(path), []
        while folder and folder not in self.tree:
            missing.append(folder)
            folder = parent(folder)
        if folder and self.tree[folder] != FOLDER:
            raise PathError(path=path, reason="no folder above")
        self.tree.update(dict.fromkeys(missing, FOLDER))


Stats = list[Stat]
Names = list[str]


class TreeView:
    """A tree read as :class:`aeordb.View` reads a version."""

    def __init__(self, tree: Tree, root: bytes = b"") -> None:
        self.tree = tree
        self.root = root

    def stat(self, path: str) -> Stat:
        """What stands at a path; a symlink is not followed."""
        path = normal(path)
        if not path:
            return Stat("/", "folder", 0, 0, 0)
        if path not in self.tree:
            raise NotFoundError(name=path)
        return stat_of(path, self.tree[path])

    def exists(self, path: str) -> bool:
        """Whether anything stands at the path."""
        return not normal(path) or normal(path) in self.tree

    def read(self, path: str) -> bytes:
        """A file's content; symlinks are followed."""
        place = normal(path)
        for _ in range(_LINKS_MAX + 1):
            link, rest = self._first_link(place)
            if link is None:
                node = self.tree.get(place, FOLDER if not place else None)
                if node is None:
                    raise NotFoundError(name=place)
                if not isinstance(node, File):
                    raise UsageError(f"{place} is a folder")
                return node.data
            target = self.tree[link]
            assert isinstance(target, Symlink)
            joined = posixpath.join(parent(link) or "/", target.target, *rest)
            place = normal(posixpath.normpath(joined))
        raise UsageError("too many symlinks")

    def open(self, path: str) -> BinaryIO:
        """A file as a file object."""
        return io.BytesIO(self.read(path))

    def list(self, path: str = "/", *, hidden: bool = False) -> Iterator[Stat]:
        """What lies in a folder; of a file or symlink, itself."""
        folder = normal(path)
        found = self.walk(path, hidden=hidden)
        return (s for s in found if s.path == folder or parent(s.path) == folder)

    def walk(self, path: str = "/", *, hidden: bool = False) -> Iterator[Stat]:
        """All that lies below a folder; of a file or symlink, itself."""
        top = normal(path)
        if top and top not in self.tree:
            raise NotFoundError(name=path)
        if self.tree.get(top, FOLDER) != FOLDER:
            yield stat_of(top, self.tree[top])
            return
        inner = {p: self.tree[p] for p in below(self.tree, top)}
        for place in in_order(inner):
            if hidden or not is_hidden(place[len(top) :]):
                yield stat_of(place, inner[place])

    def glob(self, pattern: str) -> Stats:
        """Paths that match, in the order of a walk: `*`, `?`, `[...]` in a name, `**` for any
        folders between."""
        wanted = [name for name in pattern.split("/") if name]
        return [s for s in self.walk() if _matches(s.path.split("/")[1:], wanted)]

    def diff(self, target: TreeView) -> set[tuple[str, str]]:
        """What leads to another tree: kinds (added, modified, deleted) and paths."""
        old, new = self.tree, target.tree
        changes = {("added", path) for path in new if path not in old}
        changes |= {("deleted", path) for path in old if path not in new}
        for path in old.keys() & new.keys():
            if type(old[path]) is not type(new[path]):
                changes |= {("deleted", path), ("added", path)}
            elif old[path] != new[path]:
                changes.add(("modified", path))
        return changes

    def _first_link(self, path: str) -> tuple[str | None, Names]:
        """The first symlink on the way to a path, and the names behind it."""
        names = path.split("/")[1:]
        for i in range(1, len(names) + 1):
            place = "/" + "/".join(names[:i])
            if isinstance(self.tree.get(place), Symlink):
                return place, names[i:]
        return None, []


def _matches(names: list[str], wanted: list[str]) -> bool:
    if not wanted or not names:
        return not wanted and not names
    if wanted[0] == "**":
        rest = wanted[1:]
        if not rest:
            return True
        return _matches(names, rest) or _matches(names[1:], wanted)
    return fnmatch.fnmatchcase(names[0], wanted[0]) and _matches(names[1:], wanted[1:])
