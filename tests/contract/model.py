"""What a database must do, in a dict: paths to nodes, names to trees, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aeordb.errors import (
    AeorDBError,
    ExistsError,
    NotFoundError,
    PathError,
    UsageError,
)

FOLDER = ("folder", b"")
Node = tuple[str, bytes]
Tree = dict[str, Node]


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def below(tree: Tree, path: str) -> list[str]:
    return [p for p in tree if p.startswith(path + "/")]


@dataclass
class Model:
    """HEAD and the named versions; each method raises the class of error that a database must."""

    head: Tree = field(default_factory=dict)
    snapshots: dict[str, Tree] = field(default_factory=dict)
    forks: dict[str, Tree] = field(default_factory=dict)

    def versions(self) -> dict[str, Tree]:
        return {"HEAD": self.head} | self.forks | self.snapshots

    def _make_parents(self, path: str) -> None:
        folder = parent(path)
        missing = []
        while folder and folder not in self.head:
            missing.append(folder)
            folder = parent(folder)
        if folder and self.head[folder] != FOLDER:
            raise PathError(path=path, reason="no folder above")
        self.head.update(dict.fromkeys(missing, FOLDER))

    def _place(self, path: str, node: Node) -> None:
        if self.head.get(path) == FOLDER:
            raise ExistsError(path=path)
        self._make_parents(path)
        self.head[path] = node

    def put(self, path: str, data: bytes) -> None:
        self._place(path, ("file", data))

    def symlink(self, target: str, path: str) -> None:
        self._place(path, ("symlink", target.encode()))

    def mkdir(self, path: str) -> None:
        if self.head.get(path, FOLDER) != FOLDER:
            raise ExistsError(path=path)
        self._make_parents(path)
        self.head[path] = FOLDER

    def delete(self, path: str, recursive: bool) -> int:
        if path not in self.head:
            raise NotFoundError(name=path)
        inner = below(self.head, path)
        if inner and not recursive:
            raise UsageError("not empty")
        for gone in [path, *inner]:
            del self.head[gone]
        return 1 + len(inner)

    def move(self, source: str, target: str) -> None:
        if source not in self.head:
            raise NotFoundError(name=source)
        if source == target:
            return
        if target.startswith(source + "/"):
            raise PathError(path=target, reason="into itself")
        node = self.head[source]
        if self.head.get(target) == FOLDER or (node == FOLDER and target in self.head):
            raise ExistsError(path=target)
        # A parent of the target may be the very file that moves: it is no folder, so refused.
        self._make_parents(target)
        for old in below(self.head, source):
            self.head[target + old[len(source) :]] = self.head.pop(old)
        self.head[target] = self.head.pop(source)

    def name(self, names: dict[str, Tree], name: str) -> None:
        if name in self.snapshots or name in self.forks:
            raise ExistsError(path=name)
        names[name] = dict(self.head)

    def named(self, names: dict[str, Tree], name: str) -> Tree:
        if name not in names:
            raise NotFoundError(name=name)
        return names[name]

    def rename(self, old: str, new: str) -> None:
        self.named(self.snapshots, old)
        if old != new:
            if new in self.snapshots or new in self.forks:
                raise ExistsError(path=new)
            self.snapshots[new] = self.snapshots.pop(old)


def both(expected: Callable[[], object], done: Callable[[], object]) -> object:
    """Runs a step on the model and on the database: the same error class, or none, in both."""
    _, refused = _try(expected)
    answer, error = _try(done)
    assert type(error) is type(refused), f"{error!r}, the model says {refused!r}"
    return answer


def _try(step: Callable[[], object]) -> tuple[object, AeorDBError | None]:
    try:
        return step(), None
    except AeorDBError as error:
        return None, error
