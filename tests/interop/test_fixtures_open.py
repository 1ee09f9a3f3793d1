"""Every file made by AeorDB 0.9.5 opens here and reads as it was put in."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.errors import AeorDBError, DamagedError, IncompleteError, NotADatabaseError
from tests.kit.fixtures import COMPLETE, PATCHES, manifest, versions
from tests.kit.layout import h
from tests.kit.oracle import Oracle

Copy = Callable[[str], Path]


def rows_of(view: Any) -> list[list[object]]:
    """A version through the library, in the manifests' form; every file is read to its end."""
    rows: list[list[object]] = []
    for stat in view.walk("/"):
        if stat.kind == "folder":
            continue
        if stat.kind == "symlink":
            rows.append([stat.path, "symlink", 0, stat.target])
            continue
        with view.open(stat.path) as file:
            data = file.read()
        assert stat.size == len(data), stat.path
        assert stat.hash == h(data).hex(), stat.path
        rows.append([stat.path, "file", len(data), h(data).hex()])
    return sorted(rows)


def named(database: Any) -> Iterable[tuple[str, Any]]:
    """HEAD, the snapshots and the forks, under the names that the manifests give them."""
    yield "HEAD", database.at("HEAD")
    for snapshot in database.snapshots.list():
        yield f"snapshot {snapshot.name}", database.at(snapshot.name)
    for fork in database.forks.list():
        yield f"fork {fork.name}", database.at(fork.name)


@pytest.mark.parametrize("name", COMPLETE)
def test_every_version_reads_as_it_was_put_in(name: str, fixture_copy: Copy) -> None:
    path = fixture_copy(name)
    before = path.read_bytes()
    with aeordb.open(path, "r") as database:
        found = dict(named(database))
        for version, rows in versions(name).items():
            assert rows_of(found[version]) == rows, version
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", COMPLETE)
def test_names_and_roots_are_those_of_the_file(name: str, fixture_copy: Copy) -> None:
    path = fixture_copy(name)
    oracle = Oracle(path)
    with aeordb.open(path, "r") as database:
        assert database.head == oracle.head
        assert {s.name: s.root for s in database.snapshots.list()} == oracle.snapshots
        assert {f.name: f.root for f in database.forks.list()} == oracle.forks
        for kind in ("snapshots", "forks"):
            for label, version in manifest(name).get(kind, {}).items():
                assert database.resolve(label).hex() == version["hash"]
                assert database.resolve(version["hash"][:8]).hex() == version["hash"]


@pytest.mark.parametrize("name", COMPLETE)
def test_the_mapping_is_the_live_files(name: str, fixture_copy: Copy) -> None:
    files = {row[0]: row for row in versions(name)["HEAD"] if row[1] == "file"}
    with aeordb.open(fixture_copy(name), "r") as database:
        assert set(database) == set(files)
        assert len(database) == len(files)
        for path in list(files)[:50]:
            assert path in database
            assert h(database[path]).hex() == files[path][3]
        assert "/no/such/file" not in database


@pytest.mark.parametrize("name", ["btree", "files", "system"])
def test_a_diff_of_two_versions_is_the_difference_of_their_lists(
    name: str, fixture_copy: Copy
) -> None:
    said = versions(name)
    with aeordb.open(fixture_copy(name), "r") as database:
        for base in said:
            for target in said:
                old = {row[0]: row for row in said[base]}
                new = {row[0]: row for row in said[target]}
                expected = dict.fromkeys(new.keys() - old.keys(), "added")
                expected |= dict.fromkeys(old.keys() - new.keys(), "deleted")
                expected |= {
                    path: "modified" for path in old.keys() & new.keys() if old[path] != new[path]
                }
                ends = [label.split(" ", 1)[-1] for label in (base, target)]
                found = {
                    change.path: change.kind
                    for change in database.diff(*ends)
                    if not is_folder(change) and ".aeordb-" not in change.path
                }
                # A touch, or a delete and a put of the same bytes, is a change of times alone.
                touched = {p for p in found.keys() - expected.keys() if found[p] == "modified"}
                assert {p: k for p, k in found.items() if p not in touched} == expected
                assert touched <= old.keys() & new.keys()


def is_folder(change: Any) -> bool:
    return (change.new or change.old).kind == "folder"


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_is_refused_as_a_database(name: str, fixture_copy: Copy) -> None:
    path = fixture_copy(name)
    for mode in ("r", "r+", "a"):
        with pytest.raises(NotADatabaseError, match="patch"):
            aeordb.open(path, mode)


def test_what_aeordb_left_out_of_an_export_is_named(fixture_copy: Copy) -> None:
    """Its folder of 600 lacks the nodes below the root: an error, never an empty folder."""
    with aeordb.open(fixture_copy("btree.export-at600"), "r") as database:
        with pytest.raises((DamagedError, IncompleteError)) as caught:
            list(database.walk("/"))
        assert "/many" in str(caught.value)
        with pytest.raises(AeorDBError):
            list(database.list("/many"))
