"""What a privileged export adds: all snapshots, and the system data less every secret.

Never exported, root key or not: credentials (API keys, refresh tokens, magic links, the mail
account) and the key that signs tokens (FORMAT.md 6). A listing that names one of them is written
anew without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aeordb.backup.plan import Row
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.keys import directory_path_key
from aeordb.format.nodes import Child, child_of_record
from aeordb.storage.protocols import Buffer, Entry, NewEntry
from aeordb.storage.view import View
from aeordb.tree.directory import edit_directory, list_children
from aeordb.tree.paths import stored_name_fault
from aeordb.versions.names import SNAPSHOT, list_names
from aeordb.versions.system import system_directory

SECRETS: Final = frozenset(
    (
        "api-keys",
        "refresh-tokens",
        "magic-links",
        "email-config.json",
        "jwt_signing_key",
    )
)
SUBTREES: Final = ("users", "groups", "snapshots", "config")

_DEPTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Privileged:
    """`snapshots` are the snapshots' roots; `folders` and `records` (by entry type) are keys of
    system data to be carried with all they lead to, `nodes` those to be carried alone; `rows` are
    entries made anew: listings without secrets, path keys, the snapshots' own."""

    snapshots: list[bytes] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    records: dict[int, list[bytes]] = field(default_factory=dict)
    nodes: list[bytes] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    new_folders: int = 0

    @property
    def has_data(self) -> bool:
        """Whether there is anything beside the version."""
        return bool(self.snapshots or self.rows)

    @property
    def roots(self) -> list[bytes]:
        """Where damage can be looked for."""
        return [*self.snapshots, *self.folders]


NOTHING: Final = Privileged()


def collect(view: View) -> Privileged:
    """The snapshots and the system data of a database. Raises DamagedError."""
    found = _Collector(view)
    roots = [found.system_root(), found.config_root()]
    snapshots = []
    for named in list_names(view, SNAPSHOT):
        key = SNAPSHOT.key(named.name)
        entry = view.read(key)
        if entry is None:
            continue  # Deleted a moment ago.
        snapshots.append(named.root)
        row = (c.ENTRY_SNAPSHOT, entry.version, entry.flags, key, entry.value, entry.time)
        found.rows[key] = row
    whole = [root.key for root in roots if root is not None and not root.is_new]
    return Privileged(
        snapshots=snapshots,
        folders=found.folders + whole,
        records=found.records,
        nodes=found.nodes,
        rows=list(found.rows.values()),
        new_folders=found.new_folders,
    )


@dataclass(frozen=True, slots=True)
class _Folder:
    """A system folder as it is exported: its key, the length of its node, its entry's time."""

    key: bytes
    size: int
    time: int
    is_new: bool


class _Collector:
    """Goes through the system folders, from below, and makes those anew that list a secret."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.folders: list[bytes] = []
        self.records: dict[int, list[bytes]] = {}
        self.nodes: list[bytes] = []
        self.rows: dict[bytes, Row] = {}
        self.new_folders = 0

    def config_root(self) -> _Folder | None:
        """`/.aeordb-config`."""
        key = system_directory(self._view, c.CONFIG_ROOT)
        return None if key is None else self._folder(key, c.CONFIG_ROOT)

    def system_root(self) -> _Folder | None:
        """`/.aeordb-system` with the subtrees that are exported, wherever these hang."""
        key = system_directory(self._view, c.SYSTEM_ROOT)
        listed = {}
        if key is not None:
            listed = {child.name: child for child in list_children(self._view, key)}
        children = []
        for name in SUBTREES:
            path = f"{c.SYSTEM_ROOT}/{name}"
            below = system_directory(self._view, path)
            child = listed.get(name)
            if below is None and child is not None and child.kind == c.KIND_DIRECTORY:
                below = child.hash
            if below is not None:
                folder = self._folder(below, path)
                children.append((_child(name, child, folder), folder))
        if not children:
            return None
        if {child.name: child for child, _ in children} == listed:
            assert key is not None
            entry = self._view.read_as(key, c.ENTRY_DIRECTORY)
            return self._link(c.SYSTEM_ROOT, _Folder(key, len(entry.value), entry.time, False))
        time = max(folder.time for _, folder in children)
        return self._make(c.SYSTEM_ROOT, children, time)

    def _folder(self, key: bytes, path: str, depth: int = 0) -> _Folder:
        if depth > _DEPTH_MAX:
            raise DamagedError(
                key=key, entry_type=c.ENTRY_DIRECTORY, reason="too deep a folder", path=path
            )
        entry = self._view.read_as(key, c.ENTRY_DIRECTORY)
        kept: list[tuple[Child, _Folder | None]] = []
        changed = False
        for child in list_children(self._view, key):
            if child.name in SECRETS or stored_name_fault(child.name):
                changed = True
                continue
            folder = None
            if child.kind == c.KIND_DIRECTORY:
                folder = self._folder(child.hash, f"{path}/{child.name}", depth + 1)
                changed = changed or folder.is_new
                child = _child(child.name, child, folder)
            kept.append((child, folder))
        if changed:
            return self._make(path, kept, entry.time)
        return self._link(path, _Folder(key, len(entry.value), entry.time, False))

    def _make(
        self, path: str, children: Sequence[tuple[Child, _Folder | None]], time: int
    ) -> _Folder:
        """A new listing; what it holds and what is not new itself is carried."""
        for child, folder in children:
            if folder is None:
                self.records.setdefault(child.kind, []).append(child.hash)
            elif not folder.is_new:
                self.folders.append(folder.key)
        nodes = _Nodes()
        key, size = edit_directory(nodes, None, {child.name: child for child, _ in children})
        for node, value in nodes.made.items():
            if self._view.read(node) is None:
                self.rows.setdefault(node, _row(node, value, time))
            else:
                self.nodes.append(node)  # As the empty listing, which many folders share.
        self.new_folders += 1
        return self._link(path, _Folder(key, size, time, True))

    def _link(self, path: str, folder: _Folder) -> _Folder:
        key = directory_path_key(path)
        self.rows[key] = _row(key, folder.key, folder.time)
        return folder


def _row(key: bytes, value: bytes, time: int) -> Row:
    return c.ENTRY_DIRECTORY, c.VALUE_VERSION, c.ENTRY_FLAG_SYSTEM, key, value, time


def _child(name: str, listed: Child | None, folder: _Folder) -> Child:
    """How a listing names the folder; its times stay, where it was listed before."""
    if listed is None:
        time = folder.time
        return child_of_record(c.KIND_DIRECTORY, folder.key, folder.size, time, time, name)
    return listed._replace(hash=folder.key, size=folder.size)


class _Nodes:
    """Takes the nodes of new directories, as the writer that `edit_directory` wants."""

    head = c.ZERO_HASH

    def __init__(self) -> None:
        self.made: dict[bytes, bytes] = {}

    def append(
        self,
        entry_type: int,
        key: bytes,
        value: Buffer,
        *,
        version: int = 0,
        flags: int = 0,
        compression: int = 0,
    ) -> None:
        self.made[key] = bytes(value)

    def append_many(self, entries: Iterable[tuple[int, int, int, int, bytes, Buffer]]) -> None:
        for *_, key, value in entries:
            self.made[key] = bytes(value)

    def append_new(self, entries: Sequence[NewEntry]) -> None:
        self.append_many(entries)

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        return [key in self.made for key in keys]

    def read(self, key: bytes) -> Entry | None:
        return None

    def read_as(self, key: bytes, entry_type: int) -> Entry:
        raise AssertionError("a new directory reads nothing")

    def tombstone(self, key: bytes) -> None:
        raise AssertionError("a new directory deletes nothing")

    def entry_time(self) -> int:
        return 0

    def now(self) -> int:
        return 0
