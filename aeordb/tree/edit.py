"""One transaction's changes of a tree: an old root and edits give a new root.

Changed folders are kept in memory and written once each, what lies deepest first. With every
changed path go the entries under its path keys, from which AeorDB reads (engine.md section 1):
a link for a folder, the record for a file or symlink, a deletion entry for what is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aeordb.errors import DamagedError, ExistsError, NotFoundError, PathError, UsageError, quote
from aeordb.format import constants as c
from aeordb.format.keys import (
    directory_path_key,
    file_path_key,
    symlink_path_key,
)
from aeordb.format.nodes import Child
from aeordb.format.records import SymlinkRecord
from aeordb.storage.protocols import Writer
from aeordb.tree import relocate
from aeordb.tree.directory import at_path, edit_directory, find_child, list_children
from aeordb.tree.paths import (
    ROOT,
    TreePath,
    check_writable,
    is_hidden,
    is_within,
    join,
    parts,
    split,
)
from aeordb.tree.removal import Removals
from aeordb.tree.walk import root_child, stored_place

_RECORD_TYPE: Final = {c.KIND_FILE: c.ENTRY_FILE, c.KIND_SYMLINK: c.ENTRY_SYMLINK}
_RECORD_VERSION: Final = {c.KIND_FILE: c.FILE_RECORD_VERSION, c.KIND_SYMLINK: c.VALUE_VERSION}
_KIND_NAME: Final = {
    c.KIND_FILE: "a file",
    c.KIND_DIRECTORY: "a folder",
    c.KIND_SYMLINK: "a symlink",
}


def kind_name(kind: int) -> str:
    """The kind of a child, with its article."""
    return _KIND_NAME[kind]


class _Folder:
    """A folder that may change: `edits` go over the listing `base` (None: there was none).

    A new folder stands in its parent's edits from the start, which keeps its place in their order.
    `inner` are the open folders right below; what they become replaces what `edits` and `base` say.
    """

    __slots__ = ("base", "created", "edits", "inner", "parent", "path", "touched", "updated")

    def __init__(self, path: TreePath, parent: _Folder | None, child: Child | None) -> None:
        self.path = path
        self.parent = parent
        self.base = child.hash if child is not None else None
        self.created = child.created if child is not None else None
        self.updated: int | None = None
        self.touched = False
        self.edits: dict[str, Child | None] = {}
        self.inner: dict[str, _Folder] = {}

    @property
    def name(self) -> str:
        return split(self.path)[1]

    def child(self) -> Child:
        """The folder as it stands in a listing; no hash is known before it is written."""
        return Child(
            c.KIND_DIRECTORY,
            c.ZERO_HASH if self.base is None else self.base,
            0,
            self.created or 0,
            self.updated or self.created or 0,
            self.name,
        )


class TreeEdit:
    """The tree of `base` (all zeros: of nothing) with the changes that were made here.

    Paths must come from parse_path; records must hold the path they are put at. Every method
    checks before it changes anything, so that a refused call leaves the rest of the transaction
    as it was. Damage that a move meets halfway is the exception: `finish` then refuses.
    """

    def __init__(self, writer: Writer, base: bytes) -> None:
        self._writer = writer
        self._failed = False
        self._start(base)

    def _start(self, base: bytes) -> None:
        self._base = base
        root = _Folder(ROOT, None, None if base == c.ZERO_HASH else root_child(base))
        # Parents stand before what lies below them: backwards, this is leaves first.
        self._open: dict[TreePath, _Folder] = {ROOT: root}

    @property
    def base(self) -> bytes:
        """The root that the changes go over."""
        return self._base

    # -- looking --------------------------------------------------------------------------

    def lookup(self, path: TreePath) -> Child | None:
        """What stands at `path` now, or None; symlinks are not followed.

        Of a folder with changes, hash, size and times may be older ones or zeros.
        """
        if path == ROOT:
            return root_child(self._open[ROOT].base or c.ZERO_HASH)
        folder_path, name = split(path)
        folder = self._open.get(folder_path)
        if folder is not None:
            return self._child(folder, name)
        folder = self._open[ROOT]
        names = iter(parts(path))
        found: Child | None = None
        for name in names:
            if name in folder.inner:
                folder = folder.inner[name]
                continue
            found = self._child(folder, name)
            break
        else:
            return folder.child()
        for name in names:
            if found is None or found.kind != c.KIND_DIRECTORY:
                return None
            found = self._find(found.hash, name, path)
        return found

    def children(self, path: TreePath) -> Iterator[Child]:
        """What the folder at `path` holds now, in the order of names.

        Raises NotFoundError, and PathError for what is no folder.
        """
        for _, child in self._listing(path):
            yield child

    def _listing(self, path: TreePath) -> Iterator[tuple[TreePath, Child]]:
        folder = self._open.get(path)
        if folder is not None:
            listing = self._merged(folder)
        else:
            listing = list_children(self._writer, self._folder_child(path).hash)
        try:
            for child in listing:
                yield stored_place(path, child), child
        except DamagedError as error:
            raise at_path(error, path) from None

    def _merged(self, folder: _Folder) -> Iterator[Child]:
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

    def _child(self, folder: _Folder, name: str) -> Child | None:
        inner = folder.inner.get(name)
        if inner is not None:
            return inner.child()
        if name in folder.edits:
            return folder.edits[name]
        if folder.base is None:
            return None
        return self._find(folder.base, name, folder.path)

    def _find(self, directory: bytes, name: str, path: TreePath) -> Child | None:
        try:
            return find_child(self._writer, directory, name)
        except DamagedError as error:
            raise at_path(error, path) from None

    def _folder_child(self, path: TreePath) -> Child:
        child = self._existing(path)
        if child.kind != c.KIND_DIRECTORY:
            raise PathError(path=path, reason=f"it is {kind_name(child.kind)}, not a folder")
        return child

    def _existing(self, path: TreePath) -> Child:
        child = self.lookup(path)
        if child is None:
            raise NotFoundError(what="path", name=path)
        return child

    # -- changing -------------------------------------------------------------------------

    def check_put(self, path: TreePath) -> Child | None:
        """What a file or symlink put at `path` would replace; raises what put_child would.

        Call it before storing something large. Its `created` is the one to keep.
        """
        check_writable(path)
        if path == ROOT:
            raise PathError(path=path, reason="the root is a folder")
        child = self.lookup(path)
        if child is None:
            self._check_parents(path)
        elif child.kind == c.KIND_DIRECTORY:
            raise ExistsError(
                f"{quote(path)} is a folder",
                path=path,
                hint="Delete or move the folder first, or choose another path.",
            )
        return child

    def put_child(self, path: TreePath, child: Child, record: bytes | None = None) -> None:
        """Puts a file or symlink at `path`, making the folders above it.

        Its record is in the log under the identity key already; `record`, the same bytes, is
        appended here under the path key. Without it the caller has done that too. Raises PathError
        for a system root and for a parent that is no folder, ExistsError where a folder stands.
        """
        old = self.check_put(path)
        folder_path, name = split(path)
        if child.kind not in _RECORD_TYPE or child.name != name:
            raise ValueError(f"no file or symlink called {name!r}: {child!r}")
        if old is not None and old.kind != child.kind:
            self._remove([(path, old.kind)])
            if record is None:
                # What the caller appended is older than the deletion: a rebuild would drop it.
                record = self._writer.read_as(child.hash, _RECORD_TYPE[child.kind]).value
        if record is not None:
            key = file_path_key(path) if child.kind == c.KIND_FILE else symlink_path_key(path)
            version = _RECORD_VERSION[child.kind]
            self._writer.append(_RECORD_TYPE[child.kind], key, record, version=version)
        self._make(folder_path).edits[name] = child

    def symlink(
        self,
        path: TreePath,
        target: str,
        *,
        created: int | None = None,
        updated: int | None = None,
    ) -> Child:
        """Puts a symlink at `path`; `target` is kept as it is and need not exist.

        Times in milliseconds: of an existing symlink or file the creation stays. Raises what
        put_child does, and PathError for an empty or impossible target.
        """
        old = self.check_put(path)
        reason = relocate.target_fault(target)
        if reason:
            raise PathError(path=target, reason=f"as a symlink's target {reason}")
        now = self._writer.now()
        created = created if created is not None else old.created if old is not None else now
        updated = now if updated is None else updated
        child, record = relocate.append_symlink(
            self._writer, SymlinkRecord(path, target, created, updated)
        )
        self.put_child(path, child, record)
        return child

    def mkdir(
        self, path: TreePath, *, created: int | None = None, updated: int | None = None
    ) -> None:
        """Makes a folder and those above it; one that is there stays, with its content.

        `created` and `updated` set its times, in milliseconds. Raises PathError for a system root
        and for a parent that is no folder, ExistsError where a file or symlink stands.
        """
        check_writable(path)
        child = self.lookup(path)
        if child is None:
            self._check_parents(path)
        elif child.kind != c.KIND_DIRECTORY:
            raise ExistsError(f"{quote(path)} is {kind_name(child.kind)}", path=path)
        folder = self._make(path)
        if path != ROOT and (created is not None or updated is not None):
            folder.created = folder.created if created is None else created
            folder.updated = folder.updated if updated is None else updated
            folder.touched = True

    def delete(self, path: TreePath, *, recursive: bool = False) -> int:
        """Deletes a file, symlink or folder; returns how many paths are gone.

        A folder with content goes only with `recursive`; hidden names alone do not keep it. Raises
        NotFoundError, UsageError for a folder with content, PathError for root and system roots.
        """
        check_writable(path)
        if path == ROOT:
            raise PathError(path=path, reason="the root cannot be deleted")
        child = self._existing(path)
        if child.kind == c.KIND_DIRECTORY and not recursive:
            for _, inner in self._listing(path):
                if not is_hidden(inner.name):
                    raise UsageError(
                        f"the folder {quote(path)} is not empty",
                        path=path,
                        hint="Say that what is in it is to go too: recursive (rm -r).",
                    )
        return self._delete(path, child)

    def _delete(self, path: TreePath, child: Child) -> int:
        count = self._remove(self._subtree(path, child))
        self._drop(path)
        folder_path, name = split(path)
        self._make(folder_path).edits[name] = None
        return count

    def _subtree(self, path: TreePath, child: Child) -> Iterator[tuple[TreePath, int]]:
        """Each path that stands at and below `path`, with its kind."""
        yield path, child.kind
        stack = [self._listing(path)] if child.kind == c.KIND_DIRECTORY else []
        while stack:
            place = next(stack[-1], None)
            if place is None:
                stack.pop()
                continue
            yield place[0], place[1].kind
            if place[1].kind == c.KIND_DIRECTORY:
                stack.append(self._listing(place[0]))

    def _remove(self, gone: Iterator[tuple[TreePath, int]] | list[tuple[TreePath, int]]) -> int:
        removals = Removals(self._writer)
        for path, kind in gone:
            removals.add(path, kind)
        removals.flush()
        return removals.count

    def move(self, source: TreePath, target: TreePath) -> None:
        """Moves a file, symlink or folder to the new path `target`, keeping its times.

        The records below are rewritten: they hold their paths. A file or symlink at `target` is
        replaced. Raises NotFoundError; ExistsError where a folder stands at `target`, or anything
        where a folder is moved; PathError for a folder moved into itself and for what gets too
        long or too deep.
        """
        check_writable(source)
        check_writable(target)
        child = self._existing(source)
        if source == target:
            return
        if source == ROOT or is_within(target, source):
            raise PathError(path=target, reason=f"it lies inside {quote(source)}, which is to move")
        if child.kind == c.KIND_DIRECTORY:
            self._move_folder(source, target)
            return
        self.check_put(target)
        moved, record = relocate.append_moved(self._writer, child, source, target)
        self.put_child(target, moved, record)
        self._delete(source, child)

    def _move_folder(self, source: TreePath, target: TreePath) -> None:
        if self.lookup(target) is not None:
            raise ExistsError(path=target)
        self._check_parents(target)
        self.seal(source)
        child = self._folder_child(source)
        relocate.check_paths(self._writer, child, source, target)
        folder_path, name = split(target)
        self._failed = True
        moved = relocate.copy_folder(self._writer, child, source, target)
        self._make(folder_path).edits[name] = moved
        self._delete(source, child)
        self._failed = False

    def _check_parents(self, path: TreePath) -> None:
        """PathError if something above `path` is there and no folder."""
        above, _ = split(path)
        while above != ROOT and above not in self._open:
            child = self.lookup(above)
            if child is not None:
                if child.kind != c.KIND_DIRECTORY:
                    raise PathError(
                        path=path, reason=f"{quote(above)} is {kind_name(child.kind)}, not a folder"
                    )
                return
            above, _ = split(above)

    def _make(self, path: TreePath) -> _Folder:
        """The open folder at `path`; it and those above it are made where nothing stands."""
        folder = self._open.get(path)
        if folder is not None:
            return folder
        folder = self._open[ROOT]
        for name in parts(path):
            inner = folder.inner.get(name)
            if inner is None:
                child = self._child(folder, name)
                assert child is None or child.kind == c.KIND_DIRECTORY
                inner = _Folder(join(folder.path, name), folder, child)
                if child is None:
                    folder.edits[name] = inner.child()
                folder.inner[name] = inner
                self._open[inner.path] = inner
            folder = inner
        return folder

    def _drop(self, path: TreePath) -> None:
        """Forgets the open folder at `path` and those below it."""
        for folder in self._opened(path):
            del self._open[folder.path]
            if folder.parent is not None:
                folder.parent.inner.pop(folder.name, None)

    def _opened(self, path: TreePath) -> list[_Folder]:
        """The open folders at and below `path`, parents first."""
        found = [self._open[path]] if path in self._open else []
        for folder in found:
            found.extend(folder.inner.values())
        return found

    # -- writing --------------------------------------------------------------------------

    def seal(self, path: TreePath) -> None:
        """Writes the folder at `path` and all below it now, and takes them out of memory.

        For bulk puts that are done with a branch; it may be changed again, at the price of another
        set of nodes. The root stays open: only what lies below it is written.
        """
        for folder in reversed(self._opened(path)):
            if folder.parent is not None:
                self._write(folder)
                del self._open[folder.path]

    def finish(self) -> bytes:
        """Writes every changed folder once, leaves first; returns the new root.

        Without a change it is the old one, and nothing is written. Go on from there if you like.
        """
        if self._failed:
            raise UsageError("this transaction broke off in the middle of a move: roll it back")
        self.seal(ROOT)
        root = self._open[ROOT]
        if root.edits or root.base is None:
            new, _ = edit_directory(self._writer, root.base, root.edits)
            if new != root.base:
                self._writer.append(c.ENTRY_DIRECTORY, directory_path_key(ROOT), new)
            self._start(new)
        return self._base

    def _write(self, folder: _Folder) -> None:
        """Writes a folder with nothing open below it and enters it in its parent's edits."""
        assert folder.parent is not None
        del folder.parent.inner[folder.name]
        if not folder.edits and folder.base is not None and not folder.touched:
            return
        try:
            key, size = edit_directory(self._writer, folder.base, folder.edits)
        except DamagedError as error:
            raise at_path(error, folder.path) from None
        if key == folder.base and not folder.touched:
            return
        if key != folder.base:
            self._writer.append(c.ENTRY_DIRECTORY, directory_path_key(folder.path), key)
        now = self._writer.now()
        folder.parent.edits[folder.name] = Child(
            c.KIND_DIRECTORY,
            key,
            size,
            now if folder.created is None else folder.created,
            now if folder.updated is None else folder.updated,
            folder.name,
            "",
            now,
        )
