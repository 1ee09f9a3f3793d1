"""One transaction's changes of a tree: an old root and edits give a new root.

With every changed path go the entries under its path keys, from which AeorDB reads (engine.md
section 1): a link for a folder, the record for a file or symlink, a deletion entry for what is
gone, which hides only what is older than itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from aeordb.errors import ExistsError, PathError, UsageError, quote
from aeordb.format import constants as c
from aeordb.format.keys import file_path_key, symlink_path_key
from aeordb.format.nodes import Child
from aeordb.format.records import SymlinkRecord
from aeordb.storage.protocols import Writer
from aeordb.tree import relocate
from aeordb.tree.paths import ROOT, TreePath, check_writable, is_hidden, is_within, split
from aeordb.tree.pending import OpenTree, kind_name
from aeordb.tree.removal import Removals

__all__ = ["TreeEdit", "kind_name"]

_RECORD_TYPE: Final = {c.KIND_FILE: c.ENTRY_FILE, c.KIND_SYMLINK: c.ENTRY_SYMLINK}
_RECORD_VERSION: Final = {c.KIND_FILE: c.FILE_RECORD_VERSION, c.KIND_SYMLINK: c.VALUE_VERSION}


class TreeEdit:
    """The tree of `base` (all zeros: of nothing) with the changes that were made here.

    Paths must come from parse_path; records must hold the path they are put at. Every method
    checks before it changes anything, so that a refused call leaves the rest of the transaction
    as it was. Damage that a move meets halfway is the exception: `finish` then refuses.
    """

    def __init__(self, writer: Writer, base: bytes) -> None:
        self._writer = writer
        self._tree = OpenTree(writer, base)
        self._failed = False
        # The last path that check_put let pass, until something changes.
        self._checked: tuple[TreePath, Child | None] | None = None

    @property
    def base(self) -> bytes:
        """The root that the changes go over."""
        return self._tree.base

    def lookup(self, path: TreePath) -> Child | None:
        """What stands at `path` now, or None; symlinks are not followed.

        Of a folder with changes, hash, size and times may be older ones or zeros.
        """
        return self._tree.lookup(path)

    def children(self, path: TreePath) -> Iterator[Child]:
        """What the folder at `path` holds now, in the order of names.

        Raises NotFoundError, and PathError for what is no folder.
        """
        return self._tree.children(path)

    def check_put(self, path: TreePath) -> Child | None:
        """What a file or symlink put at `path` would replace; raises what put_child would.

        Call it before storing something large. Its `created` is the one to keep.
        """
        if self._checked is not None and self._checked[0] == path:
            return self._checked[1]
        check_writable(path)
        if path == ROOT:
            raise PathError(path=path, reason="the root is a folder")
        child = self._tree.target(path)
        if child is not None and child.kind == c.KIND_DIRECTORY:
            raise ExistsError(
                f"{quote(path)} is a folder",
                path=path,
                hint="Delete or move the folder first, or choose another path.",
            )
        self._checked = path, child
        return child

    def put_child(self, path: TreePath, child: Child, record: bytes | None = None) -> None:
        """Puts a file or symlink at `path`, making the folders above it.

        Its record is in the log under the identity key already; `record`, the same bytes, is
        appended here under the path key. Without it the caller has done that too. Raises PathError
        for a system root and for a parent that is no folder, ExistsError where a folder stands.
        """
        old = self.check_put(path)
        self._checked = None
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
        self._tree.make(folder_path).edits[name] = child

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
        child = self._tree.target(path)
        if child is not None and child.kind != c.KIND_DIRECTORY:
            raise ExistsError(f"{quote(path)} is {kind_name(child.kind)}", path=path)
        self._checked = None
        folder = self._tree.make(path)
        if path != ROOT and (created is not None or updated is not None):
            folder.created = folder.created if created is None else created
            folder.updated = folder.updated if updated is None else updated

    def delete(self, path: TreePath, *, recursive: bool = False) -> int:
        """Deletes a file, symlink or folder; returns how many paths are gone.

        A folder with content goes only with `recursive`; hidden names alone do not keep it. Raises
        NotFoundError, UsageError for a folder with content, PathError for root and system roots.
        """
        check_writable(path)
        if path == ROOT:
            raise PathError(path=path, reason="the root cannot be deleted")
        child = self._tree.existing(path)
        if child.kind == c.KIND_DIRECTORY and not recursive:
            for inner in self._tree.children(path):
                if not is_hidden(inner.name):
                    raise UsageError(
                        f"the folder {quote(path)} is not empty",
                        path=path,
                        hint="Say that what is in it is to go too: recursive (rm -r).",
                    )
        return self._delete(path, child)

    def _delete(self, path: TreePath, child: Child) -> int:
        self._checked = None
        count = self._remove(self._subtree(path, child))
        self._tree.drop(path)
        folder_path, name = split(path)
        self._tree.make(folder_path).edits[name] = None
        return count

    def _subtree(self, path: TreePath, child: Child) -> Iterator[tuple[TreePath, int]]:
        """Each path that stands at and below `path`, with its kind."""
        yield path, child.kind
        stack = [self._tree.listing(path, child.hash)] if child.kind == c.KIND_DIRECTORY else []
        while stack:
            place = next(stack[-1], None)
            if place is None:
                stack.pop()
                continue
            path, child = place
            yield path, child.kind
            if child.kind == c.KIND_DIRECTORY:
                stack.append(self._tree.listing(path, child.hash))

    def _remove(self, gone: Iterable[tuple[TreePath, int]]) -> int:
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
        child = self._tree.existing(source)
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
        if self._tree.target(target) is not None:
            raise ExistsError(path=target)
        self._checked = None
        self.seal(source)
        child = self._tree.folder_child(source)
        relocate.check_paths(self._writer, child, source, target)
        folder_path, name = split(target)
        self._failed = True
        moved = relocate.copy_folder(self._writer, child, source, target)
        self._tree.make(folder_path).edits[name] = moved
        self._delete(source, child)
        self._failed = False

    def seal(self, path: TreePath) -> None:
        """Writes the folder at `path` and all below it now, and takes them out of memory.

        For bulk puts that are done with a branch, or with a part of a huge folder; it may be
        changed again, at the price of another set of nodes. Of the root, what lies below it.
        """
        self._tree.seal(path)

    def finish(self) -> bytes:
        """Writes every changed folder once, leaves first; returns the new root.

        Without a change it is the old one, and nothing is written. Go on from there if you like.
        """
        if self._failed:
            raise UsageError("this transaction broke off in the middle of a move: roll it back")
        return self._tree.finish()
