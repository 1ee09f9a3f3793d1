"""System data of a backup: what comes in, by name, with the target's root key (engine: import).

What is system is what lies under a system root of the backup; snapshots count as system data, too.
Credentials and the signing key never come in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from aeordb.backup.check import TreeCheck
from aeordb.backup.files import read_record
from aeordb.backup.layers import Layers
from aeordb.errors import DamagedError, quote
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import snapshot_key
from aeordb.format.nodes import Child
from aeordb.format.records import FileRecord, SnapshotRecord
from aeordb.native.hashing import blake3
from aeordb.storage.protocols import Writer
from aeordb.storage.view import View
from aeordb.tree.directory import find_child
from aeordb.tree.paths import TreePath, split
from aeordb.tree.reading import read_file
from aeordb.tree.walk import walk
from aeordb.versions.names import FORK, SNAPSHOT, find_name, put_name
from aeordb.versions.system import SystemFile, put_system_files, system_directory

_CARRIED: Final = tuple(
    f"{c.SYSTEM_ROOT}/{name}" for name in ("users", "groups", "config", "snapshots")
)
_ROOTS: Final = (*c.SYSTEM_ROOTS, *_CARRIED)
_CREDENTIALS: Final = frozenset(("api-keys", "refresh-tokens", "magic-links", "email-config.json"))
_SIGNING_KEY: Final = "jwt_signing_key"

_FILES_MAX: Final = 100_000
_FILE_SIZE_MAX: Final = 16 << 20
_SNAPSHOT_MAX: Final = 1 << 20
"""A snapshot's entry, in bytes."""


@dataclass(slots=True)
class SystemData:
    """What is to come in, what was left out, and what the user should know."""

    files: list[SystemFile] = field(default_factory=list)
    snapshots: list[SnapshotRecord] = field(default_factory=list)
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.files or self.snapshots)

    def put(self, writer: Writer) -> None:
        """Writes it all."""
        put_system_files(writer, self.files)
        for snapshot in self.snapshots:
            put_name(writer, SNAPSHOT, snapshot)


class SystemImport:
    """Compares the system data of one backup with the database's."""

    def __init__(self, backup: View, database: View) -> None:
        self._backup = backup
        self._reader = Layers([backup])
        self._database = database
        self.data = SystemData()

    def skip(self) -> SystemData:
        """Without the root key: counts what is left out. Damage here harms nobody."""
        data = self.data
        try:
            for path, _, _ in self._listed():
                data.skipped += self._is_carried(path)
        except DamagedError:
            pass
        data.skipped += len(self._backup.records(c.KV_SNAPSHOT))
        if data.skipped:
            entries = (
                "1 system entry was"
                if data.skipped == 1
                else (f"{data.skipped:,} system entries were")
            )
            data.warnings.append(
                f"{entries} skipped: they come in only with the root key of this database "
                "(--root-key or AEORDB_ROOT_KEY)"
            )
        return data

    def take(self, check: TreeCheck) -> SystemData:
        """With the root key: what the database lacks. `check` looks at the snapshots' trees.

        Raises DamagedError.
        """
        for path, folder, child in self._listed():
            if self._is_carried(path):
                self._take_file(path, folder, child)
        for record in self._snapshots():
            self._take_snapshot(record, check)
        return self.data

    def _listed(self) -> Iterator[tuple[str, str, Child]]:
        """The files under the backup's system roots, each path once: (path, folder, child)."""
        seen: set[str] = set()
        steps = 0
        for root in _ROOTS:
            directory = system_directory(self._reader, root)
            if directory is None:
                continue
            for below, child in walk(self._reader, directory, hidden=True):
                steps += 1
                if steps > _FILES_MAX:
                    reason = f"more than {_FILES_MAX:,} system entries"
                    raise DamagedError(path=root, reason=reason)
                path = root + below
                if child.kind == c.KIND_FILE and path not in seen:
                    seen.add(path)
                    yield path, split(TreePath(path))[0], child

    def _is_carried(self, path: str) -> bool:
        """Whether a system file may come in at all; warns of what never does."""
        parts = path.split("/")
        if _SIGNING_KEY in parts:
            self._warn(f"the backup holds a signing key ({quote(path)}): it is left out")
        elif not _CREDENTIALS.isdisjoint(parts):
            self._warn(f"the backup holds credentials ({quote(path)}): they are left out")
        elif parts[1] == c.SYSTEM_ROOT[1:] and "/".join(parts[:3]) not in _CARRIED:
            self._warn(f"{quote(path)} is no part of a backup: it is left out")
        else:
            return True
        return False

    def _take_file(self, path: str, folder: str, child: Child) -> None:
        record = self._record(path, child)
        own = self._own(folder, child.name)
        if own is not None and own.content_hash == record.content_hash is not None:
            return
        data = read_file(self._reader, record)
        if own is None:
            content_type = record.content_type
            self.data.files.append(
                SystemFile(path, data, content_type, child.created, child.updated)
            )
        elif own.size != len(data) or read_file(self._database, own) != data:
            self._warn(f"{quote(path)} differs from the database's own, which is kept")

    def _record(self, path: str, child: Child) -> FileRecord:
        """The record of a system file of the backup: at its address, and in its place."""
        entry = self._reader.read_as(child.hash, c.ENTRY_FILE)
        fields = read_record(entry, child.hash, path)
        reason = ""
        if fields.path != path.encode() or blake3(fields.identity) != child.hash:
            reason = "the record of a system file is in the wrong place"
        elif fields.size != child.size or fields.size > _FILE_SIZE_MAX:
            reason = f"a system file of {fields.size} bytes, at most {_FILE_SIZE_MAX} are taken"
        if reason:
            raise DamagedError(
                key=child.hash,
                entry_type=c.ENTRY_FILE,
                offset=entry.offset,
                reason=reason,
                path=path,
            )
        return FileRecord.decode(entry.value, entry.version)

    def _own(self, folder: str, name: str) -> FileRecord | None:
        """The record of the database's file at the same path."""
        directory = system_directory(self._database, folder)
        child = None if directory is None else find_child(self._database, directory, name)
        if child is None or child.kind != c.KIND_FILE:
            return None
        entry = self._database.read_as(child.hash, c.ENTRY_FILE)
        return FileRecord.decode(entry.value, entry.version)

    def _snapshots(self) -> Iterator[SnapshotRecord]:
        for found in self._backup.records(c.KV_SNAPSHOT):
            reason = "it is too long"
            if found.length <= _SNAPSHOT_MAX:
                entry = self._backup.read_as(found.key, c.ENTRY_SNAPSHOT)
                try:
                    record = SnapshotRecord.decode(entry.value)
                    if snapshot_key(record.name) == found.key and record.name:
                        yield record
                        continue
                    reason = "it has another name than its key"
                except FormatError as fault:
                    reason = fault.reason
            raise DamagedError(
                key=found.key,
                entry_type=c.ENTRY_SNAPSHOT,
                offset=found.offset,
                reason=f"a snapshot of the backup: {reason}",
            )

    def _take_snapshot(self, record: SnapshotRecord, check: TreeCheck) -> None:
        own = find_name(self._database, SNAPSHOT, record.name)
        if own is None and find_name(self._database, FORK, record.name) is None:
            check.run(record.root)
            self.data.snapshots.append(record)
        elif own is None or own.root != record.root:
            self._warn(
                f"the snapshot {quote(record.name)} differs from the database's own, which is kept"
            )

    def _warn(self, text: str) -> None:
        if text not in self.data.warnings:
            self.data.warnings.append(text)
