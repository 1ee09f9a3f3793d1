"""`db.snapshots` and `db.forks`: names for versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aeordb.database.results import Fork, Snapshot
from aeordb.database.transaction import Transaction
from aeordb.format.records import ForkRecord, SnapshotRecord
from aeordb.versions.names import (
    FORK,
    SNAPSHOT,
    Named,
    check_free,
    check_new_name,
    delete_name,
    get_name,
    list_names,
    put_name,
)

if TYPE_CHECKING:
    from aeordb.database.database import Database


class Snapshots:
    """Fixed names for versions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self, name: str, at: str = "HEAD", *, metadata: dict[str, str] | None = None
    ) -> Snapshot:
        """Names a version. Raises ExistsError, PathError (the name), NotFoundError (the version).

        `metadata`: strings kept with it, such as author and description.
        """
        check_new_name(name)

        def run(tx: Transaction) -> Snapshot:
            check_free(tx.writer, name, SNAPSHOT, FORK)
            root = self._db.resolve_in(tx, at)
            text = json.dumps(
                {"type": "manual", **(metadata or {})}, sort_keys=True, separators=(",", ":")
            )
            record = SnapshotRecord(name, root, tx.writer.now(), text.encode())
            put_name(tx.writer, SNAPSHOT, record)
            return _snapshot(record)

        return self._db.run(run)

    def get(self, name: str) -> Snapshot:
        """The snapshot of this name. Raises NotFoundError."""
        return _snapshot(get_name(self._db.reader(), SNAPSHOT, name))

    def list(self) -> list[Snapshot]:
        """All snapshots, by name. Reads the whole index."""
        return [_snapshot(named) for named in list_names(self._db.reader(), SNAPSHOT)]

    def delete(self, name: str) -> Snapshot:
        """Takes the name away; gc then frees what only it held. Raises NotFoundError."""
        return self._db.run(lambda tx: _snapshot(delete_name(tx.writer, SNAPSHOT, name)))

    def rename(self, old: str, new: str) -> Snapshot:
        """Gives a snapshot another name, in one commit. Raises NotFoundError, ExistsError."""
        check_new_name(new)

        def run(tx: Transaction) -> Snapshot:
            found = get_name(tx.writer, SNAPSHOT, old)
            assert isinstance(found, SnapshotRecord)
            if old == new:
                return _snapshot(found)
            check_free(tx.writer, new, SNAPSHOT, FORK)
            record = SnapshotRecord(new, found.root, found.created, found.metadata)
            put_name(tx.writer, SNAPSHOT, record)
            delete_name(tx.writer, SNAPSHOT, old)
            return _snapshot(record)

        return self._db.run(run)

    def restore(self, name: str) -> bytes:
        """Makes the snapshot's version the current one; the new HEAD. Raises NotFoundError."""

        def run(tx: Transaction) -> bytes:
            root = get_name(tx.writer, SNAPSHOT, name).root
            tx.promote(root)
            return root

        return self._db.run_alone(run)


class Forks:
    """Movable names for versions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, name: str, at: str = "HEAD") -> Fork:
        """Names a version. Raises ExistsError, PathError (the name), NotFoundError."""
        check_new_name(name)

        def run(tx: Transaction) -> Fork:
            check_free(tx.writer, name, SNAPSHOT, FORK)
            record = ForkRecord(name, self._db.resolve_in(tx, at), tx.writer.now())
            put_name(tx.writer, FORK, record)
            return _fork(record)

        return self._db.run(run)

    def get(self, name: str) -> Fork:
        """The fork of this name. Raises NotFoundError."""
        return _fork(get_name(self._db.reader(), FORK, name))

    def list(self) -> list[Fork]:
        """All forks, by name. Reads the whole index."""
        return [_fork(named) for named in list_names(self._db.reader(), FORK)]

    def delete(self, name: str) -> Fork:
        """Takes the name away. Raises NotFoundError."""
        return self._db.run(lambda tx: _fork(delete_name(tx.writer, FORK, name)))

    def promote(self, name: str) -> bytes:
        """Makes the fork's version the current one; the new HEAD. Raises NotFoundError."""

        def run(tx: Transaction) -> bytes:
            root = get_name(tx.writer, FORK, name).root
            tx.promote(root)
            return root

        return self._db.run_alone(run)


def _snapshot(named: Named) -> Snapshot:
    assert isinstance(named, SnapshotRecord)
    try:
        metadata = json.loads(named.metadata) if named.metadata else {}
    except ValueError:
        metadata = {}
    if not isinstance(metadata, dict):
        metadata = {}
    return Snapshot(named.name, named.root, named.created, metadata)


def _fork(named: Named) -> Fork:
    return Fork(named.name, named.root, named.created)
