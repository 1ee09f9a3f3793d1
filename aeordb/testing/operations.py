"""What can be done to a database, as data: the steps of a history.

An operation runs on a database and on a :class:`~aeordb.testing.model.Model` alike, and its repr
is the call that makes it, so that a history that a test found can be pasted into another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from aeordb.errors import AeorDBError


@dataclass(frozen=True)
class Operation:
    """One call: the method's name (`put`, `snapshots.create`) and its arguments."""

    method: str
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        given = [repr(value) for value in self.arguments]
        given += [f"{name}={value!r}" for name, value in self.options]
        return f"{self.method.replace('.', '_')}({', '.join(given)})"

    def run(self, database: Any) -> Any:
        """Does it, and commits; what the method returned."""
        if self.method == "transaction":
            return self._run_transaction(database)
        method = attrgetter(self.method)(database)
        return method(*self.arguments, **dict(self.options))

    def on(self, database: Any) -> Outcome:
        """Does it; what it returned, or how it was refused."""
        return outcome(lambda: self.run(database))

    def _run_transaction(self, database: Any) -> list[str]:
        """All edits in one commit, or none; a refused one leaves the others alone."""
        edits, commit = self.arguments
        with database.transaction() as tx:
            codes = [edit.on(tx).code for edit in edits]
            if not commit:
                tx.rollback()
        return codes


@dataclass(frozen=True)
class Outcome:
    """What came of an operation: what it returned, or the error that refused it."""

    result: Any = None
    error: AeorDBError | None = None

    @property
    def code(self) -> str:
        """The error's stable code, or "ok"."""
        return "ok" if self.error is None else self.error.code


def outcome(run: Callable[[], Any]) -> Outcome:
    """Runs something, and keeps what it returned or how it was refused."""
    try:
        return Outcome(run())
    except AeorDBError as error:
        # Its frames would keep views open that a gc waits for.
        error.__context__ = error.__cause__ = None
        return Outcome(error=error.with_traceback(None))


def put(path: str, data: bytes, content_type: str | None = None) -> Operation:
    """Stores a file."""
    options = () if content_type is None else (("content_type", content_type),)
    return Operation("put", (path, data), options)


def symlink(target: str, path: str) -> Operation:
    """Puts a symlink."""
    return Operation("symlink", (target, path))


def mkdir(path: str) -> Operation:
    """Makes a folder."""
    return Operation("mkdir", (path,))


def delete(path: str, recursive: bool = False) -> Operation:
    """Deletes a file, symlink or folder."""
    return Operation("delete", (path,), (("recursive", recursive),) if recursive else ())


def move(source: str, target: str) -> Operation:
    """Moves a file, symlink or folder."""
    return Operation("move", (source, target))


def transaction(edits: Sequence[Operation], commit: bool = True) -> Operation:
    """Edits that all happen in one commit, or none of them."""
    return Operation("transaction", (tuple(edits), commit))


def snapshots_create(name: str, at: str = "HEAD") -> Operation:
    """Names a version."""
    return Operation("snapshots.create", (name, at))


def snapshots_delete(name: str) -> Operation:
    """Takes a snapshot's name away."""
    return Operation("snapshots.delete", (name,))


def snapshots_rename(old: str, new: str) -> Operation:
    """Gives a snapshot another name."""
    return Operation("snapshots.rename", (old, new))


def snapshots_restore(name: str) -> Operation:
    """Makes HEAD what a snapshot is."""
    return Operation("snapshots.restore", (name,))


def forks_create(name: str, at: str = "HEAD") -> Operation:
    """Names a version as a fork."""
    return Operation("forks.create", (name, at))


def forks_delete(name: str) -> Operation:
    """Takes a fork's name away."""
    return Operation("forks.delete", (name,))


def forks_promote(name: str) -> Operation:
    """Makes HEAD what a fork is."""
    return Operation("forks.promote", (name,))


def promote(version: str) -> Operation:
    """Makes a version HEAD."""
    return Operation("promote", (version,))


def gc(compact: bool = False) -> Operation:
    """Frees what no version reaches."""
    return Operation("gc", (), (("compact", True),) if compact else ())
