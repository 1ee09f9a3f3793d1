"""Folders whose directory nodes a backup lacks, rebuilt from the records in it (engine: import).

AeorDB 0.9.5 leaves the nodes of large folders out of its backups, but not the records of what
lies in them. The rebuilt listings make a new version with its own hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from aeordb.backup.check import Checked
from aeordb.backup.files import read_record
from aeordb.backup.known import Known
from aeordb.backup.layers import NODE_MAX, Layers
from aeordb.backup.nodes import NodeWalk
from aeordb.backup.overlay import Overlay, OverlayWriter
from aeordb.backup.source import Source
from aeordb.errors import DamagedError, PathError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key, node_key, symlink_identity_key
from aeordb.format.nodes import Child, child_of_record
from aeordb.format.records import DeletionRecord, SymlinkRecord
from aeordb.native.hashing import blake3
from aeordb.storage.protocols import Entry
from aeordb.tree.directory import edit_directory, list_children
from aeordb.tree.paths import ROOT, TreePath, parse_path, split
from aeordb.tree.walk import find

_Names = dict[str, Child]


@dataclass(slots=True)
class Salvage:
    """Rebuilds the folders of one backup's version; `rebuilt`: each with its count of children."""

    source: Source
    overlay: Overlay
    layers: Layers
    base: bytes | None
    """The version whose listings a patch changes, if the database has it."""
    rebuilt: dict[str, int] = field(default_factory=dict)

    def run(self, root: bytes, broken: Iterable[str]) -> bytes:
        """A version like `root` in which the broken folders, and what else is found to be broken
        below them, are rebuilt; its root. Nothing but the overlay is written to."""
        folders = {TreePath(path) for path in broken} | {TreePath(p) for p in self.rebuilt}
        found = self._records(folders)
        folders |= self._without_listing(folders, found)
        listings: dict[TreePath, _Names] = {}
        for path in folders:
            listings[path] = self._base_listing(root, path)
        for gone in self._deletions():
            folder, name = split(gone)
            listings.get(folder, {}).pop(name, None)
        for folder, names in found.items():
            if folder in listings:
                listings[folder].update(names)
        for path in self._subfolders(folders, found):
            folder, name = split(path)
            if folder in listings and path not in folders:
                child = self._child_of_path(path, listings[folder].get(name))
                if child is not None:
                    listings[folder][name] = child
        return self._write(root, listings)

    def _records(self, folders: set[TreePath]) -> dict[TreePath, _Names]:
        """The files and symlinks of the backup in or below these folders, by their folders."""
        found: dict[TreePath, _Names] = {}
        times: dict[str, int] = {}
        for child, path, time in self._children():
            if time < times.get(path, time) or not _is_below(path, folders) or not _is_path(path):
                continue
            times[path] = time
            folder, name = split(TreePath(path))
            found.setdefault(folder, {})[name] = child
        return found

    def _children(self) -> Iterator[tuple[Child, str, int]]:
        """Each file and symlink record as a listing's child, its path, its entry's time."""
        for record in self.source.view.records(c.KV_FILE):
            entry = self._fetch(record.offset, record.length)
            if entry is None or entry.type != c.ENTRY_FILE:
                continue
            try:
                fields = read_record(entry, record.key, "")
                path, content_type = fields.path.decode(), fields.content_type.decode()
            except (DamagedError, UnicodeDecodeError):
                continue
            key = blake3(fields.identity)
            self._keep(key, entry)
            times = fields.created, fields.updated
            name = path.rpartition("/")[2]
            yield (
                child_of_record(c.KIND_FILE, key, fields.size, *times, name, content_type),
                path,
                entry.time,
            )
        for record in self.source.view.records(c.KV_SYMLINK):
            entry = self._fetch(record.offset, record.length)
            if entry is None or entry.type != c.ENTRY_SYMLINK:
                continue
            try:
                link = SymlinkRecord.decode(entry.value)
            except FormatError:
                continue
            key = symlink_identity_key(link.path, link.target)
            self._keep(key, entry)
            name = link.path.rpartition("/")[2]
            times = link.created, link.updated
            yield (
                child_of_record(c.KIND_SYMLINK, key, 0, *times, name),
                link.path,
                entry.time,
            )

    def _fetch(self, offset: int, length: int) -> Entry | None:
        """An entry of the backup; a damaged or huge one is none."""
        if length > NODE_MAX:
            return None
        try:
            return self.source.view.fetch(offset)
        except DamagedError:
            return None

    def _keep(self, key: bytes, entry: Entry) -> None:
        """A record that stands under another key alone (its path key) gets its own."""
        if not self.layers.has_many([key])[0]:
            self.overlay.append(entry.type, key, entry.value, version=entry.version)

    def _without_listing(
        self, folders: set[TreePath], found: Mapping[TreePath, _Names]
    ) -> set[TreePath]:
        """Folders between a broken one and a record of which the backup has no listing at all."""
        more = set()
        for path in self._subfolders(folders, found):
            if self._path_listing(path) is None:
                more.add(path)
        return more

    def _subfolders(
        self, folders: set[TreePath], found: Mapping[TreePath, _Names]
    ) -> set[TreePath]:
        """The folders below broken ones that records lie in or below."""
        inner: set[TreePath] = set()
        for path in found:
            while path not in inner and path != ROOT and _is_below(path, folders):
                inner.add(path)
                path = split(path)[0]
        return inner - folders

    def _path_listing(self, path: str) -> Entry | None:
        """The directory that stands under the backup's path key of a folder: its root node."""
        entry: Entry | None = self.source.view.read(directory_path_key(path))
        if entry is None or entry.type != c.ENTRY_DIRECTORY or len(entry.value) > NODE_MAX:
            return None
        if len(entry.value) == c.HASH_LENGTH:
            entry = self.layers.read(entry.value)
            return entry if entry is not None and entry.type == c.ENTRY_DIRECTORY else None
        key = node_key(entry.value)
        if not self.layers.has_many([key])[0]:
            self.overlay.append(c.ENTRY_DIRECTORY, key, entry.value)
        return entry

    def _child_of_path(self, path: TreePath, old: Child | None) -> Child | None:
        """A subfolder as its path key has it; times are those of the listing before."""
        entry = self._path_listing(path)
        if entry is None:
            return old
        key, size = node_key(entry.value), len(entry.value)
        if old is not None and old.kind == c.KIND_DIRECTORY:
            return old._replace(hash=key, size=size)
        return Child(c.KIND_DIRECTORY, key, size, 0, 0, split(path)[1], "", 0)

    def _base_listing(self, root: bytes, path: TreePath) -> _Names:
        """What is known of a folder's children without the records: those that the base lists,
        and over them those in such of its nodes as are there."""
        names: _Names = {}
        try:
            old = find(self.layers, self.base, path) if self.base is not None else None
            if old is not None and old.kind == c.KIND_DIRECTORY:
                names = {child.name: child for child in list_children(self.layers, old.hash)}
        except DamagedError:
            pass
        try:
            new = find(self.layers, root, path)
        except DamagedError:
            return names
        if new is not None and new.kind == c.KIND_DIRECTORY:
            walk = NodeWalk(self.layers, Checked(root, []), note=False)
            for children in walk.listings(path, new.hash, Known(self.layers, ()), None):
                names.update((child.name, child) for child in children)
        return names

    def _deletions(self) -> Iterator[TreePath]:
        """The paths that a patch says are gone."""
        for record in self.source.view.records(c.KV_DELETION):
            entry = self._fetch(record.offset, record.length)
            if entry is None or entry.type != c.ENTRY_DELETION:
                continue
            try:
                yield TreePath(DeletionRecord.decode(entry.value).path)
            except FormatError:
                continue

    def _write(self, root: bytes, listings: dict[TreePath, _Names]) -> bytes:
        """New nodes for the rebuilt folders, and for those above them; the new root."""
        edits: dict[TreePath, _Names] = {}
        writer = OverlayWriter(self.overlay, self.layers)
        while True:
            path = max({*listings, *edits}, key=_depth)
            changed = edits.pop(path, {})
            if path in listings:
                names = listings.pop(path) | changed
                self.rebuilt[path] = len(names)
                key, size = edit_directory(writer, None, dict(sorted(names.items())))
            else:
                folder = find(self.layers, root, path)
                assert folder is not None
                key, size = edit_directory(writer, folder.hash, changed)
            if path == ROOT:
                return key
            above, name = split(path)
            old = self._listed(root, path)
            child = old._replace(hash=key, size=size)
            edits.setdefault(above, {})[name] = child

    def _listed(self, root: bytes, path: TreePath) -> Child:
        """What the version's listing says of a folder, times above all; else what is known."""
        for version in (root, self.base):
            try:
                found = find(self.layers, version, path) if version is not None else None
            except DamagedError:
                continue
            if found is not None and found.kind == c.KIND_DIRECTORY:
                return found
        return Child(c.KIND_DIRECTORY, c.ZERO_HASH, 0, 0, 0, split(path)[1], "", 0)


def _depth(path: str) -> int:
    return 0 if path == ROOT else path.count("/")


def _is_path(path: str) -> bool:
    """Whether a record may say that it stands there."""
    try:
        return parse_path(path, file=True) == path
    except PathError:
        return False


def _is_below(path: str, folders: set[TreePath]) -> bool:
    """Whether a path lies below one of the folders."""
    if ROOT in folders:
        return True
    at = len(path)
    while (at := path.rfind("/", 0, at)) > 0:
        if path[:at] in folders:
            return True
    return False
