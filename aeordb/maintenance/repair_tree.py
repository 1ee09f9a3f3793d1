"""A version made complete again: what is lost leaves its listings, and listings that are lost are
rebuilt from the records of their paths (engine.md section 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.nodes import Child, Internal, Leaf, Listing, decode_node
from aeordb.maintenance.repair_records import Records
from aeordb.maintenance.repair_stock import Stock
from aeordb.native.faults import NodeFault
from aeordb.native.nodes import file_fields
from aeordb.tree.btree import HEIGHT_MAX
from aeordb.tree.directory import EMPTY, edit_directory
from aeordb.tree.paths import DEPTH_MAX, ROOT, TreePath, join, stored_name_fault
from aeordb.tree.walk import root_child

_Hole = tuple[str, str | None]
"""Names in [low, high) whose node is lost."""


@dataclass(slots=True)
class Mended:
    """What became of a version: `root` is the new one; `lost` are paths that are gone from it,
    `rebuilt` folders whose listing was made anew, with their number of children."""

    root: bytes
    lost: list[str] = field(default_factory=list)
    rebuilt: list[tuple[str, int]] = field(default_factory=list)


class _Folder:
    """A folder on the way: what it lists (and what records say that it listed), what changes."""

    __slots__ = ("child", "edits", "known", "path", "rebuilt", "remade", "todo")

    def __init__(self, path: TreePath, child: Child) -> None:
        self.path = path
        self.child = child
        self.known: dict[str, Child] = {}
        self.todo: Iterator[Child] = iter(())
        self.edits: dict[str, Child | None] = {}
        self.rebuilt = False  # nodes are lost
        self.remade = False  # it lists what no listing may


class TreeMender:
    """Mends one version after the other; what several of them share is looked at once."""

    def __init__(self, stock: Stock, records: Records) -> None:
        self._stock = stock
        self._records = records
        self._whole: set[bytes] = {EMPTY}
        self._result = Mended(EMPTY)
        self._before: int | None = None

    def run(self, root: bytes, path: TreePath = ROOT, before: int | None = None) -> Mended:
        """A version like `root` (a zero hash: nothing is known of its listing) that is complete.

        `path`: where it hangs. `before`: it is no newer than this entry time (milliseconds): what
        records say is taken as of then.
        """
        self._result = Mended(root)
        self._before = before
        if not self._stock.has_many([EMPTY])[0]:
            self._stock.append(c.ENTRY_DIRECTORY, EMPTY, b"")
        if root in self._whole:
            return self._result
        stack = [self._open(path, root_child(root))]
        while True:
            folder = stack[-1]
            child = next(folder.todo, None)
            if child is not None:
                below = self._take(folder, child, len(stack))
                if below is not None:
                    stack.append(below)
                continue
            stack.pop()
            made = self._close(folder)
            if not stack:
                self._result.root = made.hash
                return self._result
            if made.hash == c.ZERO_HASH:
                stack[-1].edits[made.name] = None
            elif made != folder.child:
                stack[-1].edits[made.name] = made

    def _open(self, path: TreePath, child: Child) -> _Folder:
        folder = _Folder(path, child)
        holes: list[_Hole] = []
        for listed in self._listed(path, child.hash, holes):
            if listed.name in folder.known or stored_name_fault(listed.name):
                folder.remade = True
                self._lose(path, listed.name)
            else:
                folder.known[listed.name] = listed
        if holes:
            folder.rebuilt = True
            for found in self._records.below(path, self._before):
                if found.name not in folder.known and any(_is_in(found.name, h) for h in holes):
                    folder.known[found.name] = found
            if self._before is None:
                self._add_folders(folder, holes)
        folder.todo = iter(list(folder.known.values()))
        return folder

    def _add_folders(self, folder: _Folder, holes: list[_Hole]) -> None:
        """Folders without files, which no record tells of, from an older listing of this one."""
        place = self._records.place_entry(folder.path)
        if place is None or len(place.value) != c.HASH_LENGTH or place.value == folder.child.hash:
            return
        for child in self._listed(folder.path, place.value, []):
            path = join(folder.path, child.name)
            if child.kind != c.KIND_DIRECTORY or child.name in folder.known:
                continue
            if stored_name_fault(child.name) or self._records.is_gone(path, place.time):
                continue
            if any(_is_in(child.name, hole) for hole in holes):
                key = self._records.place(path) or child.hash
                folder.known[child.name] = child._replace(hash=key, size=0)

    def _listed(self, path: str, key: bytes, holes: list[_Hole]) -> Iterator[Child]:
        """What is left of a folder's listing; ranges of names of lost nodes go to `holes`."""
        todo: list[tuple[bytes, str, str | None, int]] = [(key, "", None, 0)]
        while todo:
            key, low, high, height = todo.pop()
            entry = None
            if key != c.ZERO_HASH and height <= HEIGHT_MAX:
                entry = self._stock.get(key, c.ENTRY_DIRECTORY, path)
            try:
                node = None if entry is None else decode_node(entry.value)
            except FormatError:
                node = None
            if isinstance(node, Internal):
                lows, highs = (low, *node.names), (*node.names, high)
                places = zip(node.keys, lows, highs, strict=True)
                todo += [(below, first, last, height + 1) for below, first, last in places][::-1]
            elif isinstance(node, (Leaf, Listing)):
                yield from node.children
            else:
                holes.append((low, high))

    def _take(self, folder: _Folder, child: Child, depth: int) -> _Folder | None:
        """Looks at a child; the folder to go on with, if it is one that was not seen yet."""
        path = join(folder.path, child.name)
        if child.kind == c.KIND_DIRECTORY:
            if child.hash in self._whole:
                made = self._sized(child)
                if made != child:
                    folder.edits[child.name] = made
                return None
            if depth <= DEPTH_MAX:
                return self._open(path, child)
        elif self._is_there(child, path):
            return None
        folder.edits[child.name] = None
        self._lose(folder.path, child.name)
        return None

    def _is_there(self, child: Child, path: str) -> bool:
        """Whether a file or symlink can be read: its record, and each of its chunks."""
        if child.kind == c.KIND_SYMLINK:
            return self._stock.has(child.hash, c.ENTRY_SYMLINK, path)
        entry = self._stock.get(child.hash, c.ENTRY_FILE, path)
        if entry is None:
            return False
        try:
            said, _, size, *_, keys = file_fields(entry.value, entry.version)
        except NodeFault:
            return False
        # A record out of a backup may be a lie in what its key does not cover.
        if size != child.size or said != path.encode():
            return False
        return all(
            self._stock.has(keys[at : at + c.HASH_LENGTH], c.ENTRY_CHUNK)
            for at in range(0, len(keys), c.HASH_LENGTH)
        )

    def _close(self, folder: _Folder) -> Child:
        """The folder as it is to be listed; with a zero hash if nothing of it is left."""
        old = folder.child
        anew = folder.rebuilt or folder.remade
        if not folder.edits and not anew:
            self._whole.add(old.hash)
            return self._sized(old)
        names = folder.known
        for name, child in folder.edits.items():
            if child is None:
                names.pop(name, None)
            else:
                names[name] = child
        if folder.rebuilt:
            if names:
                self._result.rebuilt.append((folder.path, len(names)))
            elif old.hash == c.ZERO_HASH and old.name:
                return old  # no listing names it, and none of its files is left
            else:
                self._result.lost.append(folder.path)
        base, edits = (None, dict(sorted(names.items()))) if anew else (old.hash, folder.edits)
        key, size = edit_directory(self._stock, base, edits)
        self._whole.add(key)
        made = old._replace(hash=key, size=size)
        if old.hash == c.ZERO_HASH:
            time = max((child.updated for child in names.values()), default=0)
            made = _timed(made, time)
        return made

    def _sized(self, child: Child) -> Child:
        """The same, with size and times where only a path key told of the folder."""
        if child.size or child.hash == EMPTY or not child.name:
            return child
        entry = self._stock.read_as(child.hash, c.ENTRY_DIRECTORY)
        time = entry.time
        child = child._replace(size=len(entry.value))
        return child if child.updated else _timed(child, time)

    def _lose(self, folder: TreePath, name: str) -> None:
        self._result.lost.append(f"{folder.rstrip('/')}/{name}")


def _timed(child: Child, time: int) -> Child:
    # A virtual time has no sign.
    return child._replace(created=time, updated=time, virtual_time=max(time, 0))


def _is_in(name: str, hole: _Hole) -> bool:
    low, high = hole
    return low <= name and (high is None or name < high)
