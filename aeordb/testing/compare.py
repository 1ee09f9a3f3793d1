"""Whether a database holds what a model says: walks, listings, contents, names, differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from aeordb.database.results import Snapshot, Stat
from aeordb.testing.model import HEAD, Model
from aeordb.testing.operations import Outcome
from aeordb.testing.tree import File, Tree, TreeView


def check_view(view: Any, expected: TreeView, *, contents: bool = False) -> None:
    """Raises AssertionError unless a version of a database is this tree.

    Compares names, kinds, sizes, times (not those of folders), content types and hashes; with
    `contents` also each path by itself, every folder's listing, and every file's bytes.
    """
    same(view.walk(hidden=True), expected.walk(hidden=True))
    if not contents:
        return
    same(view.walk(), expected.walk())
    folders = ["/", *(s.path for s in expected.walk(hidden=True) if s.kind == "folder")]
    for folder in folders:
        same(view.list(folder), expected.list(folder))
    for path, node in _some(expected.tree).items():
        same([view.stat(path)], [expected.stat(path)])
        if isinstance(node, File):
            assert view.read(path) == node.data, f"{path!r} reads back as something else"


def _some(tree: Tree) -> Tree:
    """All of a small tree, a part of a large one."""
    step = 1 + len(tree) // 100
    return dict(itertools.islice(tree.items(), 0, None, step))


def check_database(database: Any, model: Model) -> None:
    """Raises AssertionError unless HEAD, snapshots, forks and all their trees are the model's."""
    for names, expected in ((database.snapshots, model.snapshots), (database.forks, model.forks)):
        found = names.list()
        assert sorted(item.name for item in found) == expected.list()
        for item in found:
            named = expected.get(item.name)
            assert item.root == named.version.root, f"{item.name!r} is another version"
            assert item.created == named.created, f"{item.name!r} was made at another time"
    for name in model.versions():
        check_view(database.at(name), model.at(name), contents=True)
    if isinstance(database, Mapping):
        assert list(database) == list(model)
    assert database.head == database.resolve(HEAD)


def check_diff(database: Any, model: Model, base: str, target: str) -> None:
    """Raises AssertionError unless the database's diff is the model's."""
    expected = model.at(base).diff(model.at(target))
    changes = list(database.diff(base, target))
    found = sorted((change.kind, change.path) for change in changes)
    assert found == sorted(expected), "the difference of two versions is another one"
    for change in changes:
        for stat, tree in ((change.old, model.at(base)), (change.new, model.at(target))):
            if stat is not None:
                wanted = replace(tree.stat(change.path), hash=None)
                same([stat], [wanted])


def check_result(found: object, expected: object) -> None:
    """Raises AssertionError where an operation's answer is not the model's, if that has one."""
    if isinstance(expected, Stat) and isinstance(found, Stat):
        same([found], [expected])
    elif isinstance(expected, (int, list)):
        assert found == expected, f"the answer is {found!r}, not {expected!r}"
    elif isinstance(found, Snapshot):
        assert len(found.root) == 32


def same(found: Iterable[Stat], expected: Iterable[Stat]) -> None:
    """Raises AssertionError with the first path that differs; the times of folders may."""
    for one, other in itertools.zip_longest(found, expected):
        assert timeless(one) == timeless(other), f"found {one!r}, expected {other!r}"


def timeless(stat: Stat | None) -> Stat | None:
    """The stat of a folder without its times, any other as it is."""
    if stat is None or stat.kind != "folder":
        return stat
    return replace(stat, created=0, updated=0)


def agree(found: Outcome, expected: Outcome, what: object) -> None:
    """Raises AssertionError unless both are refused by one class of error, or neither."""
    assert type(found.error) is type(expected.error), (
        f"{what}: {found.error!r}, where the model has {expected.error!r}"
    )


def listed(found: Any) -> Any:
    """What a call answers, in a form that compares."""
    if isinstance(found, (bytes, bool)):
        return found
    stats = [found] if isinstance(found, Stat) else list(found)
    return [timeless(stat) for stat in stats]
