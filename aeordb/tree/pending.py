"""The folders of a transaction that may change, over the tree that they change.

They are kept in memory and written once each, what lies deepest first; every changed folder's path
key gets its link (engine.md section 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aeordb.errors import DamagedError, NotFoundError, PathError, quote
from aeordb.format import constants as c
from aeordb.format.keys import directory_path_key
from aeordb.format.nodes import Child
from aeordb.storage.protocols import Writer
from aeordb.tree.directory import at_path, edit_directory, find_trail, list_children
from aeordb.tree.paths import ROOT, TreePath, join, parts, split
from aeordb.tree.splice import Trail
from aeordb.tree.walk import root_child, stored_place

_KIND_NAME: Final = {
    c.KIND_FILE: "a file",
    c.KIND_DIRECTORY: "a folder",
    c.KIND_SYMLINK: "a symlink",
}
_FOUND_MAX: Final = 64


def kind_name(kind: int) -> str:
    """The kind of a child, with its article."""
    return _KIND_NAME[kind]


class Folder:
    """A folder that may change: `edits` go over the listing `base` (None: there was none).

    A new folder stands in its parent's edits from the start, which keeps its place in their order.
    `inner` are the open folders right below; what they become replaces what `edits` and `base` say.
    """

    __slots__ = ("base", "created", "edits", "inner", "name", "old", "parent", "path", "updated")

    def __init__(self, path: TreePath, name: str, parent: Folder | None, old: Child | None) -> None:
        self.path = path
        self.name = name
        self.parent = parent
        self.old = old
        self.base = old.hash if old is not None else None
        # The times to be; None: of the old folder, or of when it is written.
        self.created: int | None = None
        self.updated: int | None = None
        self.edits: dict[str, Child | None] = {}
        self.inner: dict[str, Folder] = {}

    def child(self) -> Child:
        """The folder as it stood, or zeros: neither hash nor size is known before it is written."""
        old = self.old or Child(c.KIND_DIRECTORY, c.ZERO_HASH, 0, 0, 0, self.name)
        return old._replace(
            created=old.created if self.created is None else self.created,
            updated=old.updated if self.updated is None else self.updated,
        )


class OpenTree:
    """The tree of `base` (all zeros: of nothing) under the open folders' edits."""

    def __init__(self, writer: Writer, base: bytes) -> None:
        self._writer = writer
        # What was asked for last, by directory hash and name: a put asks several times.
        self._found: dict[tuple[bytes, str], tuple[Child | None, Trail | None]] = {}
        self._start(base)

    def _start(self, base: bytes) -> None:
        self.base = base
        """The root that the edits go over."""
        root = Folder(ROOT, "", None, None if base == c.ZERO_HASH else root_child(base))
        self.open: dict[TreePath, Folder] = {ROOT: root}
        """The open folders by path; those above one are open too."""

    # -- looking --------------------------------------------------------------------------

    def lookup(self, path: TreePath) -> Child | None:
        """What stands at `path` now, or None; symlinks are not followed.

        Of a folder with changes, hash, size and times may be older ones or zeros.
        """
        return self._reach(path)[0]

    def target(self, path: TreePath) -> Child | None:
        """The same, where something is to be put: PathError if something above `path` is there and
        no folder."""
        child, obstacle = self._reach(path)
        if obstacle is not None:
            above, kind = obstacle
            raise PathError(path=path, reason=f"{quote(above)} is {kind_name(kind)}, not a folder")
        return child

    def _reach(self, path: TreePath) -> tuple[Child | None, tuple[str, int] | None]:
        """What stands at `path`; and the path and kind of what stands above it and is no folder."""
        if path == ROOT:
            return root_child(self.open[ROOT].base or c.ZERO_HASH), None
        folder_path, name = split(path)
        folder = self.open.get(folder_path)
        if folder is not None:
            return self._child(folder, name), None
        folder = self.open[ROOT]
        names = parts(path)
        found: Child | None = None
        for depth, name in enumerate(names):
            if found is None:
                inner = folder.inner.get(name)
                if inner is not None:
                    folder = inner
                    continue
                found = self._child(folder, name)
            elif found.kind != c.KIND_DIRECTORY:
                return None, ("/" + "/".join(names[:depth]), found.kind)
            else:
                found = self._find(found.hash, name, path)
            if found is None:
                return None, None
        return folder.child() if found is None else found, None

    def children(self, path: TreePath) -> Iterator[Child]:
        """What the folder at `path` holds now, in the order of names.

        Raises NotFoundError, and PathError for what is no folder.
        """
        for _, child in self.listing(path, self.folder_child(path).hash):
            yield child

    def listing(self, path: TreePath, base: bytes) -> Iterator[tuple[TreePath, Child]]:
        """What the folder at `path`, whose hash before its edits is `base`, holds now."""
        folder = self.open.get(path)
        try:
            for child in self._merged(folder) if folder else list_children(self._writer, base):
                yield stored_place(path, child), child
        except DamagedError as error:
            raise at_path(error, path) from None

    def _merged(self, folder: Folder) -> Iterator[Child]:
        """The folder's base listing and its edits as one row of rising names."""
        base = list_children(self._writer, folder.base or c.ZERO_HASH)
        old = next(base, None)
        for name in sorted(folder.edits.keys() | folder.inner.keys()):
            while old is not None and old.name < name:
                yield old
                old = next(base, None)
            if old is not None and old.name == name:
                old = next(base, None)
            inner = folder.inner.get(name)
            new = inner.child() if inner is not None else folder.edits[name]
            if new is not None:
                yield new
        if old is not None:
            yield old
            yield from base

    def _child(self, folder: Folder, name: str) -> Child | None:
        inner = folder.inner.get(name)
        if inner is not None:
            return inner.child()
        if name in folder.edits:
            return folder.edits[name]
        if folder.base is None:
            return None
        return self._find(folder.base, name, folder.path)

    def _find(self, directory: bytes, name: str, path: TreePath) -> Child | None:
        found = self._found.get((directory, name))
        if found is not None:
            return found[0]
        found = None, None
        if directory != c.ZERO_HASH:
            try:
                found = find_trail(self._writer, directory, name)
            except DamagedError as error:
                raise at_path(error, path) from None
        if len(self._found) >= _FOUND_MAX:
            self._found.clear()
        self._found[directory, name] = found
        return found[0]

    def folder_child(self, path: TreePath) -> Child:
        """The folder at `path`; NotFoundError, PathError for what is no folder."""
        child = self.existing(path)
        if child.kind != c.KIND_DIRECTORY:
            raise PathError(path=path, reason=f"it is {kind_name(child.kind)}, not a folder")
        return child

    def existing(self, path: TreePath) -> Child:
        """What stands at `path`; NotFoundError."""
        child = self.lookup(path)
        if child is None:
            raise NotFoundError(what="path", name=path)
        return child

    # -- opening --------------------------------------------------------------------------

    def make(self, path: TreePath) -> Folder:
        """The open folder at `path`; it and those above it are made where nothing stands."""
        folder = self.open.get(path)
        if folder is not None:
            return folder
        folder = self.open[ROOT]
        for name in parts(path):
            inner = folder.inner.get(name)
            if inner is None:
                child = self._child(folder, name)
                assert child is None or child.kind == c.KIND_DIRECTORY
                inner = Folder(join(folder.path, name), name, folder, child)
                if child is None:
                    folder.edits[name] = inner.child()
                folder.inner[name] = inner
                self.open[inner.path] = inner
            folder = inner
        return folder

    def drop(self, path: TreePath) -> None:
        """Forgets the open folder at `path` and those below it."""
        for folder in self._opened(path):
            del self.open[folder.path]
            if folder.parent is not None:
                folder.parent.inner.pop(folder.name, None)

    def _opened(self, path: TreePath) -> list[Folder]:
        """The open folders at and below `path`, parents first."""
        found = [self.open[path]] if path in self.open else []
        for folder in found:
            found.extend(folder.inner.values())
        return found

    # -- writing --------------------------------------------------------------------------

    def seal(self, path: TreePath) -> None:
        """Writes the folder at `path` and all below it now, and takes them out of memory.

        For bulk puts that are done with a branch; it may be changed again, at the price of another
        set of nodes. The root stays open: only what lies below it is written.
        """
        now = self._writer.now()
        for folder in reversed(self._opened(path)):
            if folder.parent is not None:
                self._write(folder, now)

    def finish(self) -> bytes:
        """Writes every changed folder once, leaves first; returns the new root.

        Without a change it is the old one, and nothing is written. Go on from there if you like.
        """
        self.seal(ROOT)
        root = self.open[ROOT]
        if root.edits or root.base is None:
            new, _ = self._edited(root)
            if new != root.base:
                self._writer.append(c.ENTRY_DIRECTORY, directory_path_key(ROOT), new)
            self._start(new)
        return self.base

    def _edited(self, folder: Folder) -> tuple[bytes, int]:
        try:
            trail = None
            if len(folder.edits) == 1 and folder.base is not None:
                (name,) = folder.edits
                _, trail = self._found.get((folder.base, name), (None, None))
            return edit_directory(self._writer, folder.base, folder.edits, trail)
        except DamagedError as error:
            raise at_path(error, folder.path) from None

    def _write(self, folder: Folder, now: int) -> None:
        """Writes a folder with nothing open below it and enters it in its parent's edits."""
        old = folder.old
        key, size = folder.base, 0 if old is None else old.size
        if folder.edits or key is None:
            key, size = self._edited(folder)
        # Only now: had the edit failed, a new folder's place in the edits would be without a hash.
        assert folder.parent is not None
        del folder.parent.inner[folder.name]
        del self.open[folder.path]
        created, updated = folder.created, folder.updated
        if created is None:
            created = now if old is None else old.created
        if old is not None and key == old.hash:
            updated = old.updated if updated is None else updated
            if (created, updated) == (old.created, old.updated):
                return
        else:
            self._writer.append(c.ENTRY_DIRECTORY, directory_path_key(folder.path), key)
        updated = now if updated is None else updated
        folder.parent.edits[folder.name] = Child(
            c.KIND_DIRECTORY, key, size, created, updated, folder.name, "", now
        )
