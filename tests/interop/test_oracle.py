"""The independent reader against the lists of what was put into the fixtures."""

import pytest

from tests.kit.fixtures import COMPLETE, INCOMPLETE, PATCHES, fixture_path, manifest, versions
from tests.kit.layout import DELETION, DIRECTORY, FILE, SYMLINK, MalformedError
from tests.kit.oracle import Oracle
from tests.kit.values import (
    chunk_bytes,
    deletion_record,
    file_record,
    path_key,
    path_keys_of_deletion,
    raw_key,
    symlink_record,
)


def roots(oracle: Oracle) -> dict[str, bytes]:
    """The root of each version, under the names that the manifests give them."""
    found = {"HEAD": oracle.head}
    found |= {f"snapshot {name}": root for name, root in oracle.snapshots.items()}
    found |= {f"fork {name}": root for name, root in oracle.forks.items()}
    return found


@pytest.mark.parametrize("name", COMPLETE)
def test_every_version_reads_as_it_was_put_in(name: str) -> None:
    oracle = Oracle(fixture_path(name))
    known = roots(oracle)
    for version, rows in versions(name).items():
        assert oracle.tree(known[version]) == rows, version
    for kind in ("snapshots", "forks"):
        for label, version in manifest(name).get(kind, {}).items():
            assert known[f"{kind[:-1]} {label}"].hex() == version["hash"]


@pytest.mark.parametrize("name", COMPLETE)
def test_a_scan_of_the_log_finds_every_version_too(name: str) -> None:
    """What AeorDB falls back to must give the same versions, save snapshots deleted by a gc."""
    oracle = Oracle(fixture_path(name), rebuild=True)
    known = roots(oracle)
    for version, rows in versions(name).items():
        assert oracle.tree(known[version]) == rows, version


def test_only_the_file_with_a_stale_hot_tail_needs_a_rebuild() -> None:
    for name in COMPLETE:
        oracle = Oracle(fixture_path(name))
        assert oracle.index
        assert oracle.rebuilt == (name == "dirty"), name


def test_an_export_by_aeordb_lacks_the_nodes_below_a_large_folders_root() -> None:
    oracle = Oracle(fixture_path("btree.export-at600"))
    with pytest.raises(MalformedError, match="missing at /many"):
        oracle.tree()
    for path, _, size, digest in manifest("btree.export-at600")["HEAD"]:
        record = oracle.file_record(path_key(FILE, path))
        assert (record.size, record.content_hash.hex()) == (size, digest)
        assert len(oracle.content(record)) == size


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_holds_what_its_target_adds(name: str) -> None:
    said, oracle = manifest(name), Oracle(fixture_path(name))
    assert oracle.is_patch
    assert oracle.head == oracle.slot.target
    base = {row[0]: row for row in said["base"]}
    target = {row[0]: row for row in said["target"]}
    chunks = {e.key: chunk_bytes(e) for e in oracle.scan() if e.type == 1}
    found, gone = {}, set()
    for entry in oracle.scan():
        assert entry.intact
        if entry.type == FILE:
            record = file_record(entry.value, entry.version)
            assert entry.key in (record.identity_key, path_key(FILE, record.path))
            found[record.path] = record.content_hash.hex()
        elif entry.type == SYMLINK:
            link = symlink_record(entry.value)
            found[link.path] = link.target
        elif entry.type == DELETION:
            deletion = deletion_record(entry.value)
            assert entry.key in path_keys_of_deletion(deletion)
            gone.add(deletion.path)
        elif entry.type == DIRECTORY and name not in INCOMPLETE:
            assert len(entry.value) != 32 or entry.key == path_key(DIRECTORY, "/")
    added = {path: row[3] for path, row in target.items() if base.get(path) != row}
    assert {p: d for p, d in found.items() if ".aeordb-" not in p} == added
    assert {p for p in gone if p in base} == base.keys() - target.keys()
    assert chunks or not added


def test_the_system_data_of_a_privileged_file() -> None:
    said, oracle = manifest("system"), Oracle(fixture_path("system"))
    tree = oracle.system_tree()
    names = [path.rsplit("/", 1)[0] for path in tree]
    assert names.count("/.aeordb-system/users") == len(said["users"])
    assert "/.aeordb-system/config/jwt_signing_key" in tree
    assert "/.aeordb-config/cron.json" in tree


def test_bytes_that_are_no_database_are_refused() -> None:
    for data in (b"", b"AEOR", bytes(4096), raw_key("x") * 100):
        with pytest.raises(MalformedError):
            Oracle(data)
