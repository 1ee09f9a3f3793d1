"""A database in dicts: the same calls and the same errors as :class:`aeordb.Database`.

It is what the state machine and the differ compare with, and will do as a stand-in for a database
in the tests of a program that uses one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal

from aeordb.errors import ExistsError, NotFoundError, UsageError
from aeordb.testing.tree import File, Tree, TreeEdits, TreeView

HEAD = "HEAD"
IMPORTED = "imported-"
_DIGITS = 12
_PREFIX_MIN = 8

NameKind = Literal["snapshot", "fork"]


@dataclass(frozen=True, slots=True)
class Version:
    """A tree, and the root that the database has for it (empty where nobody told)."""

    tree: Tree
    root: bytes = b""


@dataclass(frozen=True, slots=True)
class Named:
    """A version with a name. `is_automatic`: it was given by an import."""

    kind: NameKind
    version: Version
    created: int
    is_automatic: bool = False


class Model(TreeEdits):
    """HEAD, snapshots and forks as dicts.

    A dict knows no hashes: `saw_root` tells the model the root that the database calls HEAD, and
    by it versions are the same or not. `clock` gives the time in milliseconds.
    """

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        super().__init__({}, clock or (lambda: time.time_ns() // 1_000_000))
        self.root = b""
        self.names: dict[str, Named] = {}
        self.seen: dict[bytes, Tree] = {}
        self.snapshots = ModelNames(self, "snapshot")
        self.forks = ModelNames(self, "fork")

    @property
    def head(self) -> Tree:
        """The current version's tree."""
        return self.tree

    def saw_root(self, root: bytes) -> None:
        """Tells which root the database has for HEAD; one root must always be the same tree."""
        known = self.seen.setdefault(root, dict(self.tree))
        assert known == self.tree, f"the root {root.hex()} is two trees"
        self.root = root

    # -- reading --------------------------------------------------------------------------

    def at(self, version: str = HEAD) -> TreeView:
        """A version to read."""
        found = self.version(version)
        return TreeView(found.tree, found.root)

    def version(self, text: str = HEAD) -> Version:
        """HEAD, a snapshot, a fork, or a root seen before (in hex, or its beginning)."""
        if text == HEAD:
            return Version(self.tree, self.root)
        if text in self.names:
            return self.names[text].version
        if len(text) >= _PREFIX_MIN:
            for root, tree in self.seen.items():
                if root.hex().startswith(text.lower()):
                    return Version(tree, root)
        raise NotFoundError(what="version", name=text)

    def versions(self) -> dict[str, Version]:
        """HEAD and all that has a name."""
        named = {name: named.version for name, named in self.names.items()}
        return {HEAD: Version(self.tree, self.root)} | named

    def __getitem__(self, path: str) -> bytes:
        return self.at().read(path)

    def __setitem__(self, path: str, data: bytes) -> None:
        self.put(path, data)

    def __delitem__(self, path: str) -> None:
        self.delete(path)

    def __iter__(self) -> Iterator[str]:
        return (stat.path for stat in self.at().walk() if stat.kind == "file")

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and isinstance(self.tree.get(path), File)

    # -- writing --------------------------------------------------------------------------

    def transaction(self) -> ModelTransaction:
        """Changes that all happen, or none."""
        return ModelTransaction(self)

    def set_head(self, version: Version) -> None:
        """Makes a version the current one."""
        self.tree = dict(version.tree)
        self.root = version.root

    def promote(self, version: str) -> bytes:
        """Makes a version the current one; the automatic name of an import goes."""
        found = self.version(version)
        self.set_head(found)
        self._forget_imported(found.root)
        return found.root

    def gc(self, *, compact: bool = False) -> None:
        """What nothing names can no longer be asked for."""
        roots = {version.root for version in self.versions().values()}
        self.seen = {root: tree for root, tree in self.seen.items() if root in roots}

    def import_versions(self, versions: Sequence[Version], *, promote: bool = False) -> None:
        """What the import of an export, a patch or a chain of them does: their versions in order,
        the last of which becomes HEAD; or each without a name gets an automatic one."""
        versions = [Version(dict(version.tree), version.root) for version in versions]
        last = versions[-1]
        if promote:
            if last.root != self.root:
                self.set_head(last)
                self._forget_imported(last.root)
        else:
            known = {version.root for version in self.versions().values()}
            for version in versions:
                if version.root not in known:
                    known.add(version.root)
                    self._name_imported(version)
        for version in versions:
            self.seen[version.root] = dict(version.tree)

    def _name_imported(self, version: Version) -> None:
        digits = version.root.hex()
        for count in range(_DIGITS, len(digits) + 1):
            name = IMPORTED + digits[:count]
            if name not in self.names:
                self.names[name] = Named("snapshot", version, self.clock(), is_automatic=True)
                return

    def _forget_imported(self, root: bytes) -> None:
        digits = root.hex()
        for count in range(_DIGITS, len(digits) + 1):
            name = IMPORTED + digits[:count]
            named = self.names.get(name)
            if named is not None and named.version.root == root and named.is_automatic:
                del self.names[name]
                return


class ModelTransaction(TreeEdits):
    """A transaction of a :class:`Model`."""

    def __init__(self, model: Model) -> None:
        super().__init__(dict(model.tree), model.clock)
        self._model = model
        self._open = True

    def __enter__(self) -> ModelTransaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open and kind is None:
            self.commit()
        self._open = False

    def commit(self) -> None:
        """Makes the changes HEAD."""
        self.rollback()
        self._model.tree = self.tree

    def rollback(self) -> None:
        """Forgets the changes."""
        if not self._open:
            raise UsageError("the transaction is over")
        self._open = False


class ModelNames:
    """The snapshots, or the forks, of a :class:`Model`; both share one set of names."""

    def __init__(self, model: Model, kind: NameKind) -> None:
        self._model = model
        self._kind: NameKind = kind

    def create(self, name: str, at: str = HEAD) -> None:
        """Names a version."""
        self._check_free(name)
        found = self._model.version(at)
        version = Version(dict(found.tree), found.root)
        self._model.names[name] = Named(self._kind, version, self._model.clock())

    def get(self, name: str) -> Named:
        """What has the name."""
        found = self._model.names.get(name)
        if found is None or found.kind != self._kind:
            raise NotFoundError(what=self._kind, name=name)
        return found

    def list(self) -> list[str]:
        """The names, in their order."""
        return sorted(n for n, named in self._model.names.items() if named.kind == self._kind)

    def delete(self, name: str) -> None:
        """Takes a name away."""
        self.get(name)
        del self._model.names[name]

    def rename(self, old: str, new: str) -> None:
        """Gives a snapshot another name."""
        found = self.get(old)
        if old != new:
            self._check_free(new)
            self._model.names[new] = replace(self._model.names.pop(old), kind=found.kind)

    def restore(self, name: str) -> None:
        """Makes HEAD what the name says."""
        self._model.set_head(self.get(name).version)

    promote = restore

    def _check_free(self, name: str) -> None:
        if name in self._model.names:
            raise ExistsError(path=name)
