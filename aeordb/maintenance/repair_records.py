"""What a damaged file still knows of paths and of lost entries: file and symlink records say their
path, each stands under several keys, and path keys may hold a folder's listing (FORMAT.md 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key, file_path_key, node_key, symlink_path_key
from aeordb.format.nodes import Child, child_of_record
from aeordb.format.records import FileRecord, SymlinkRecord
from aeordb.maintenance.repair_entries import (
    CONTENT,
    DELETED,
    FRAME,
    PLACE,
    Made,
    addresses,
    time_of,
)
from aeordb.maintenance.repair_source import Damaged
from aeordb.native.entries import Entry
from aeordb.native.faults import NativeFault
from aeordb.native.index import split_records
from aeordb.native.table import RECORD
from aeordb.tree.paths import ROOT, TreePath, join, split, stored_name_fault

_AT_ONCE = 4096
_HEAD = 512
_INTACT = frozenset((CONTENT, PLACE, DELETED))
_WITH_PATH = frozenset((c.KV_FILE, c.KV_SYMLINK, c.KV_DELETION))
_PATH_KEYS = {
    c.ENTRY_FILE: file_path_key,
    c.ENTRY_SYMLINK: symlink_path_key,
    c.ENTRY_DIRECTORY: directory_path_key,
}
_PASSES = 3
"""So many passes over all records for one folder each; the next is for all folders."""


class _Known(NamedTuple):
    """A record of a path: when it was written, and where it stands."""

    time: int
    offset: int


class Records:
    """The records of a source by what they say; each question reads all of them, once.

    `classes`: of each row of the source's table, as `check_rows` gives them.
    """

    def __init__(self, source: Damaged, classes: bytearray) -> None:
        self._source = source
        self._classes = classes
        self._covered: TreePath | None = None
        self._passes = 0
        self._folders: dict[str, dict[str, list[_Known]]] = {}
        self._inner: dict[str, dict[str, None]] = {}
        self._gone: dict[str, list[int]] = {}

    def place(self, path: str) -> bytes | None:
        """What the path key of a folder says: its listing's key; None if it is not there."""
        made = self.place_entry(path)
        if made is None:
            return None
        return made.value if len(made.value) == c.HASH_LENGTH else node_key(made.value)

    def place_entry(self, path: str) -> Entry | None:
        """The entry of a folder's path key, if it is intact."""
        key = directory_path_key(path)
        found = self._source.table.get(key)
        if found is None or found[0] & c.KV_DELETED:
            return None
        entry = self._fetch(found[1])
        return entry if entry is not None and entry.type == c.ENTRY_DIRECTORY else None

    def look(self, key: bytes, kind: int, path: str | None) -> Made | None:
        """An entry that is lost under its own key and stands under the key of its path, too: a
        file's or symlink's record, a listing of which the folder's path key has a copy."""
        if path is None or kind not in _PATH_KEYS:
            return None
        found = self._source.table.get(_PATH_KEYS[kind](path))
        entry = None if found is None else self._fetch(found[1])
        if entry is None or entry.type != kind:
            return None
        try:
            if key not in addresses(kind, entry.version, 0, entry.value)[:1]:
                return None
        except (FormatError, NativeFault, UnicodeDecodeError):
            return None
        return Made(kind, entry.version, entry.flags, 0, key, entry.value, 0)

    def below(self, folder: TreePath, before: int | None) -> Iterator[Child]:
        """The files, symlinks and folders that records say lie in this folder: as listings hold
        them. `before`: as of this entry time (milliseconds), None as of now.
        """
        self._cover(folder)
        for name, known in self._folders.get(folder, {}).items():
            path = join(folder, name)
            limit = [row for row in known if before is None or row.time <= before]
            if not limit or stored_name_fault(name):
                continue
            newest = max(limit)
            gone = self._gone.get(path, ())
            if any(newest.time < time and (before is None or time <= before) for time in gone):
                continue
            child = self._child(newest.offset, name)
            if child is not None:
                yield child
        yield from self._subfolders(folder, before)

    def is_gone(self, path: TreePath, since: int) -> bool:
        """Whether a deletion later than `since` (milliseconds) names the path."""
        self._cover(split(path)[0])
        return any(time > since for time in self._gone.get(path, ()))

    def _subfolders(self, folder: TreePath, before: int | None) -> Iterator[Child]:
        for name in sorted(self._inner.get(folder, ())):
            path = join(folder, name)
            if stored_name_fault(name) or path in c.SYSTEM_ROOTS:
                continue
            # Only the newest version's folders have path keys.
            key = self.place(path) if before is None else None
            yield Child(c.KIND_DIRECTORY, key or c.ZERO_HASH, 0, 0, 0, name, "", 0)

    def _child(self, offset: int, name: str) -> Child | None:
        entry = self._fetch(offset)
        if entry is None:
            return None
        try:
            return _child_of(entry, name)
        except FormatError:
            # Intact, and no record for all that: its writer did not know the format.
            return None

    def _cover(self, folder: TreePath) -> None:
        """Collects the records of all paths below a folder."""
        if self._covered is not None and _is_below(folder, self._covered):
            return
        self._passes += 1
        self._covered = folder if self._passes < _PASSES else ROOT
        self._folders, self._inner, self._gone = {}, {}, {}
        for kind, time, offset, path in self._paths():
            if not _is_below(path, self._covered):
                continue
            if kind == c.KV_DELETION:
                self._gone.setdefault(path, []).append(time)
                continue
            above, name = split(TreePath(path))
            self._note_folders(above)
            rows = self._folders.setdefault(above, {}).setdefault(name, [])
            rows.append(_Known(time, offset))

    def _note_folders(self, path: TreePath) -> None:
        while path != ROOT:
            above, name = split(path)
            names = self._inner.setdefault(above, {})
            if name in names:
                return
            names[name] = None
            path = above

    def _paths(self) -> Iterator[tuple[int, int, int, str]]:
        """(KV type, time, offset, path) of each intact record that begins with a path."""
        records = self._source.table.record_view()
        for start in range(0, len(records), RECORD * _AT_ONCE):
            part = split_records(records[start : start + RECORD * _AT_ONCE])
            for number, (_, kv, offset, length) in enumerate(part, start // RECORD):
                kind = kv & c.KV_TYPE_MASK
                if kind not in _WITH_PATH or self._classes[number] not in _INTACT:
                    continue
                image = self._source.map.copy(offset, min(length, _HEAD))
                end = FRAME + 2 + int.from_bytes(image[FRAME : FRAME + 2], "little")
                if end > len(image):
                    image = self._source.map.copy(offset, min(length, end))
                try:
                    path = image[FRAME + 2 : end].decode()
                except UnicodeDecodeError:
                    continue
                if path.startswith("/"):
                    yield kind, time_of(image), offset, path

    def _fetch(self, offset: int) -> Entry | None:
        try:
            return self._source.map.fetch(offset)
        except NativeFault:
            return None


def _child_of(entry: Entry, name: str) -> Child:
    key = addresses(entry.type, entry.version, 0, entry.value)[0]
    if entry.type == c.ENTRY_FILE:
        record = FileRecord.decode(entry.value, entry.version)
        times = record.created, record.updated
        return child_of_record(c.KIND_FILE, key, record.size, *times, name, record.content_type)
    link = SymlinkRecord.decode(entry.value)
    return child_of_record(c.KIND_SYMLINK, key, 0, link.created, link.updated, name)


def _is_below(path: str, folder: str) -> bool:
    return folder == ROOT or path == folder or path.startswith(folder + "/")
