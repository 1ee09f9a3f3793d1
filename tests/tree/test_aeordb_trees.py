"""AeorDB's own history of each directory, replayed edit by edit: the same nodes come out."""

from __future__ import annotations

from itertools import permutations

import pytest

from aeordb.format import constants as c
from aeordb.format.nodes import Child, Leaf
from aeordb.tree import btree
from aeordb.tree.diff import diff
from aeordb.tree.directory import edit_directory, list_children
from aeordb.tree.walk import walk
from tests.kit.fixtures import COMPLETE, fixture_path, versions
from tests.kit.layout import Entry, h
from tests.kit.oracle import Oracle
from tests.kit.values import file_record, path_key
from tests.tree.fake import FakeWriter


def load(name: str) -> tuple[FakeWriter, dict[bytes, list[bytes]]]:
    """All directory nodes in a fixture's log, and each path key's links in the order of time."""
    entries = [entry for entry in Oracle(fixture_path(name)).scan() if entry.intact]
    entries.sort(key=lambda entry: entry.time)
    writer = FakeWriter()
    links: dict[bytes, list[bytes]] = {key: [] for key in folders(entries)}
    for entry in entries:
        if entry.type != c.ENTRY_DIRECTORY:
            continue
        if entry.key in links:
            if len(entry.value) == c.HASH_LENGTH:
                links[entry.key].append(entry.value)
        else:
            writer.append(entry.type, entry.key, entry.value)
    return writer, links


def folders(entries: list[Entry]) -> set[bytes]:
    """The path keys of all folders that ever held a file."""
    found = {path_key(c.ENTRY_DIRECTORY, "/")}
    for entry in entries:
        if entry.type == c.ENTRY_FILE and entry.version == 1:
            path = file_record(entry.value, entry.version).path
            while path:
                path = path.rpartition("/")[0]
                found.add(path_key(c.ENTRY_DIRECTORY, path or "/"))
    return found


def children(writer: FakeWriter, directory: bytes) -> dict[str, Child]:
    return {child.name: child for child in list_children(writer, directory)}


def everything(name: str) -> tuple[FakeWriter, Oracle]:
    """All live entries of a fixture."""
    oracle = Oracle(fixture_path(name))
    writer = FakeWriter()
    for location in oracle.index.values():
        entry = oracle.entry_at(location)
        writer.append(entry.type, entry.key, entry.value, version=entry.version)
    return writer, oracle


def rows(writer: FakeWriter, root: bytes) -> list[list[object]]:
    """A version as the manifests have it, less the contents."""
    names = {c.KIND_FILE: "file", c.KIND_SYMLINK: "symlink"}
    return [
        [path, names[child.kind], child.size]
        for path, child in walk(writer, root)
        if child.kind in names
    ]


@pytest.mark.parametrize("name", sorted(set(COMPLETE) - {"grown"}))
def test_every_version_walks_and_differs_as_its_manifest_says(name: str) -> None:
    writer, oracle = everything(name)
    roots = {"HEAD": oracle.head}
    roots |= {f"snapshot {label}": root for label, root in oracle.snapshots.items()}
    roots |= {f"fork {label}": root for label, root in oracle.forks.items()}
    known = versions(name)
    for label, wanted in known.items():
        assert rows(writer, roots[label]) == sorted(
            (row[:3] for row in wanted), key=lambda row: str(row[0]).split("/")
        )
    for base, target in permutations(known, 2):
        found = {
            (change.kind, change.path)
            for change in diff(writer, roots[base], roots[target])
            if ".aeordb-" not in change.path
        }
        assert found == naive(writer, roots[base], roots[target])


def naive(writer: FakeWriter, base: bytes, target: bytes) -> set[tuple[str, str]]:
    """(kind, path) of every change, from two whole walks; folders only added or deleted."""
    old, new = dict(walk(writer, base)), dict(walk(writer, target))
    found = {("deleted", str(path)) for path in old.keys() - new.keys()}
    found |= {("added", str(path)) for path in new.keys() - old.keys()}
    for path in old.keys() & new.keys():
        one, two = (child._replace(virtual_time=0) for child in (old[path], new[path]))
        if one != two and one.kind != c.KIND_DIRECTORY:
            found.add(("modified", str(path)))
    return found


@pytest.mark.parametrize("name", ["btree", "files", "killed", "system", "zstd"])
def test_each_edit_gives_the_nodes_that_aeordb_wrote(name: str) -> None:
    writer, links = load(name)
    replayed = 0
    for history in links.values():
        if not history:
            continue
        directory = history[0]
        old = children(writer, directory)
        for target in history[1:]:
            new = children(writer, target)
            edits: dict[str, Child | None] = dict.fromkeys(old.keys() - new.keys())
            edits.update((key, new[key]) for key in new if old.get(key) != new[key])
            if len(edits) == 1:
                appends = len(writer.log)
                assert edit_directory(writer, directory, edits)[0] == target
                assert len(writer.log) == appends, "a node that AeorDB did not write"
                replayed += 1
            directory, old = target, new
    assert replayed > 20


def test_the_btree_fixture_grows_and_shrinks_as_a_whole() -> None:
    """All links of /many in one run, from 255 children over 600 to 100: never out of step."""
    writer, links = load("btree")
    history = links[h(b"dir:/many")]
    counts = []
    for directory in history:
        node = btree.read_node(writer, directory)
        counts.append(0 if isinstance(node, Leaf) else len(children(writer, directory)))
    assert max(counts) == 600
    assert counts[-1] == 100
