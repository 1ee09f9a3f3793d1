"""The whole tree of a version, checked over a backup and the database before a byte is written.

Every node, record and symlink must be there, intact, at the address that its content gives, and
in its place: a record's path is its path in the tree, so a subtree with records has one path.
Nothing else that a backup says is believed (engine: import).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from aeordb.backup.files import FileCheck
from aeordb.backup.holes import Holes
from aeordb.backup.known import Known
from aeordb.backup.layers import NOWHERE, Layers
from aeordb.backup.nodes import NodeWalk
from aeordb.backup.symlinks import SymlinkCheck
from aeordb.backup.wanted import Wanted
from aeordb.errors import DamagedError, quote
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.native.hashing import blake3
from aeordb.native.table import Table
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.tree.directory import EMPTY
from aeordb.tree.paths import DEPTH_MAX, ROOT, TreePath, join

# Folders without files may stand at many paths; so many paths through such folders are no tree.
_SHARED_PATHS_MAX = 1 << 20
_DAY_MS = 86_400_000


@dataclass(slots=True)
class Checked:
    """What a check found: the counts are of what the first layer holds, each entry once."""

    root: bytes
    wanted: list[Wanted]
    holes: Holes = field(default_factory=Holes)
    files: int = 0
    symlinks: int = 0
    directories: int = 0
    entries: int = 0
    healing: list[bytes] = field(default_factory=list)
    """Keys of file records that only the database has, of chunks that only a backup has."""
    newest: int = 0
    """The highest entry time met in a backup, in milliseconds."""


class _Folder:
    """A folder that is being walked: what is left to do, and what its parent has to know."""

    __slots__ = (
        "height",
        "key",
        "known",
        "listings",
        "path",
        "paths",
        "records",
        "subfolders",
        "suffix",
        "taken",
    )

    def __init__(self, path: TreePath, key: bytes, known: Known) -> None:
        self.path = path
        self.key = key
        self.known = known
        self.listings: Iterator[list[Child]] = iter(())
        self.subfolders: list[Child] = []
        self.records = False  # a file or symlink lies below it: it has this one path
        self.taken = False  # part of it was not walked: another path must be looked at anew
        self.height = 0  # levels of folders below it
        self.suffix = 0  # the longest path below it, in bytes
        self.paths = 0  # the paths of folders below it

    def add(self, name_length: int, height: int, suffix: int, paths: int) -> None:
        """Notes a subfolder."""
        self.height = max(self.height, height + 1)
        self.suffix = max(self.suffix, suffix + name_length + 1)
        self.paths += paths + 1


class TreeCheck:
    """One check of one version; `layers` are the backup, those before it, the database."""

    def __init__(
        self,
        layers: Layers,
        known: Known,
        wanted: list[Wanted],
        *,
        many: bool = False,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """`wanted`: for each layer but the database what it is to give; filled here. `many`: there
        will be several versions, of which each file is counted once."""
        self._layers = layers
        self._known = known
        self._progress = progress
        self.result = Checked(b"", wanted)
        self._nodes = NodeWalk(layers, self.result)
        self._files = FileCheck(layers, self.result, many)
        self._symlinks = SymlinkCheck(layers, self.result)
        # Of each folder walked: (whether it has records; then its path's mark, else the number of
        # paths below it; height and suffix).
        self._walked = Table()
        self._shared = 0
        self._empty = False

    def run(self, root: bytes) -> Checked:
        """Checks a version's tree; holes are counted in the result, all else that is wrong raises
        DamagedError. May be called for several versions: what they share is looked at once."""
        self.result.root = root
        top = _Folder(ROOT, root, self._known)
        where = self._layers.locate(root, c.KV_DIRECTORY)[0]
        if self._walked.get(root) is not None or (where != 0 and root in self._known):
            return self.result
        stack: list[_Folder] = []
        if root == EMPTY:
            self._note_empty(ROOT)
        else:
            self._open(stack, top, None)
        while stack:
            folder = stack[-1]
            if folder.subfolders:
                self._enter(stack, folder, folder.subfolders.pop())
                continue
            children = next(folder.listings, None)
            if children is not None:
                self._children(folder, children)
                continue
            stack.pop()
            self._close(folder, stack[-1] if stack else None)
        return self.result

    def _open(self, stack: list[_Folder], folder: _Folder, size: int | None) -> None:
        folder.listings = self._nodes.listings(folder.path, folder.key, folder.known, size)
        stack.append(folder)

    def _children(self, folder: _Folder, children: list[Child]) -> None:
        """Checks one node's children: names, files, symlinks; its folders come next."""
        groups: dict[int, list[Child]] = {kind: [] for kind in c.CHILD_KINDS}
        top = folder.path == ROOT
        for child in children:
            name = child.name
            if "/" in name or "\0" in name or name in (".", ".."):
                self._refuse(child, folder.path, f"a listing holds the illegal name {quote(name)}")
            if top and "/" + name in c.SYSTEM_ROOTS:
                self._refuse(child, folder.path, f"a version holds the system folder {quote(name)}")
            groups[child.kind].append(child)
        # A path is as long as its bytes say; only a long one need be counted.
        longest = max((len(child.name) for child in children), default=0)
        if 4 * (len(folder.path) + longest) >= c.PATH_MAX:
            for child in children:
                if len(join(folder.path, child.name).encode()) > c.PATH_MAX:
                    self._refuse(child, folder.path, f"a path of more than {c.PATH_MAX:,} bytes")
        if groups[c.KIND_FILE] or groups[c.KIND_SYMLINK]:
            folder.records = True
            if folder.path.count("/") >= DEPTH_MAX and not top:
                self._too_deep(folder.path)
        if groups[c.KIND_FILE]:
            self._files.check(folder.path, folder.known, groups[c.KIND_FILE])
        if groups[c.KIND_SYMLINK]:
            self._symlinks.check(folder.path, folder.known, groups[c.KIND_SYMLINK])
        folder.subfolders = groups[c.KIND_DIRECTORY][::-1]
        self._progress.advance(0, len(children))

    def _enter(self, stack: list[_Folder], folder: _Folder, child: Child) -> None:
        path = join(folder.path, child.name)
        length = len(child.name.encode())
        if len(stack) > DEPTH_MAX:
            self._too_deep(path)
        if child.hash == EMPTY:
            if child.size:
                self._refuse(child, path, f"an empty folder of {child.size} bytes")
            self._note_empty(path)
            folder.add(length, 0, 0, 0)
            return
        before = self._walked.get(child.hash)
        if before is not None:
            self._again(stack, folder, child, path, before)
            return
        where = self._layers.locate(child.hash, c.KV_DIRECTORY)[0]
        if where != 0 and folder.known.holds(child):
            # Complete where it stands; whether it has records is not known.
            folder.taken = True
            folder.add(length, 0, 0, 0)
            return
        if where == NOWHERE:
            self.result.holes.add(c.ENTRY_DIRECTORY, child.hash, path)
            return
        self._open(stack, _Folder(path, child.hash, folder.known.child(child.name)), child.size)

    def _again(
        self,
        stack: Sequence[_Folder],
        folder: _Folder,
        child: Child,
        path: TreePath,
        before: tuple[int, int, int],
    ) -> None:
        """A folder that was walked already stands at another path, too."""
        records, paths, shape = before
        height, suffix = shape >> 20, shape & 0xFFFFF
        if records:
            # In another version it may well stand again, at the one path that its records name.
            if paths != _path_mark(path):
                self._refuse(child, path, "a folder with files stands at two paths")
            folder.records = True
            folder.add(len(child.name.encode()), height, suffix, 0)
            return
        self._shared += paths + 1
        if self._shared > _SHARED_PATHS_MAX:
            self._refuse(child, path, "folders that are shared make more paths than a tree has")
        if len(stack) + height > DEPTH_MAX:
            self._too_deep(path)
        if len(path.encode()) + suffix > c.PATH_MAX:
            self._refuse(child, path, f"paths of more than {c.PATH_MAX:,} bytes")
        folder.add(len(child.name.encode()), height, suffix, paths)

    def _close(self, folder: _Folder, parent: _Folder | None) -> None:
        shape = folder.height << 20 | folder.suffix
        if not folder.taken or folder.records:
            paths = _path_mark(folder.path) if folder.records else folder.paths
            self._walked.put(folder.key, int(folder.records), paths, shape)
        if parent is not None:
            name = folder.path.rpartition("/")[2]
            parent.add(len(name.encode()), folder.height, folder.suffix, folder.paths)
            parent.records |= folder.records
            parent.taken |= folder.taken

    def _note_empty(self, path: str) -> None:
        """The empty folder: one entry for all that there are."""
        if not self._empty:
            self._empty = True
            for _ in self._nodes.listings(path, EMPTY, self._known, 0):
                pass

    def check_times(self) -> None:
        """Entries from the future would make all later times of the database lie there."""
        result = self.result
        limit = latest_time(result.entries)
        if result.newest > limit:
            days = (result.newest - limit) // _DAY_MS + 1
            raise DamagedError(
                reason=f"the backup's entries are from the future: {days:,} days from now",
                hint="Is the clock of this machine right, or was that of the other one wrong?",
            )

    def _too_deep(self, path: str) -> NoReturn:
        reason = f"folders nest more than {DEPTH_MAX:,} levels deep"
        raise DamagedError(entry_type=c.ENTRY_DIRECTORY, reason=reason, path=_short(path))

    def _refuse(self, child: Child, path: str, reason: str) -> NoReturn:
        raise DamagedError(
            key=child.hash, entry_type=c.ENTRY_DIRECTORY, reason=reason, path=_short(path)
        )


def latest_time(entries: int) -> int:
    """No honest backup of so many entries has a later one: a day from now and a millisecond for
    each, in milliseconds."""
    return time.time_ns() // 1_000_000 + _DAY_MS + entries


def _path_mark(path: str) -> int:
    """Stands for a path where there is no room for it."""
    return int.from_bytes(blake3(path.encode())[:8], "little")


def _short(path: str) -> str:
    """A path for a message: hostile ones are long."""
    return path if len(path) <= 1_000 else path[:1_000] + ".."
