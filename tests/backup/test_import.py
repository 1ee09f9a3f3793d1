"""Import: what comes in is what went out, nothing is written twice, nothing without its base."""

import struct
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import BaseMismatchError, DamagedError, UnauthorizedError, UsageError
from aeordb.format import constants as c
from aeordb.format.keys import chunk_key, content_hash, file_identity_key
from aeordb.format.nodes import Child
from tests.kit.backups import reach
from tests.kit.fixtures import fixture_path, manifest, versions
from tests.kit.folders import noise
from tests.kit.hostile import TIME, TYPE, Forgery
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


def rows(path: Path, root: bytes | None = None) -> list[list[object]]:
    """The version's tree, by the independent reader."""
    return sorted(Oracle(path).tree(root))


@pytest.fixture
def history(tmp_path: Path) -> dict[str, Path]:
    """A database with the versions v1, v2, v3, exports of each, and the patches between."""
    made = {name: tmp_path / f"{name}.aeordb" for name in ("v1", "v2", "v3", "12", "23", "13")}
    with aeordb.open(tmp_path / "source.aeordb", "x") as db:
        db.put("/stays.txt", b"stays")
        db.put("/big.bin", noise("big", 1_500_000))
        db.put("/goes/a.txt", b"goes")
        db.symlink("stays.txt", "/link")
        db.snapshots.create("v1")
        db.put("/new.txt", b"new")
        db.put("/big.bin", noise("big", 1_400_000))
        db.delete("/goes", recursive=True)
        db.snapshots.create("v2")
        with db.transaction() as tx:
            for number in range(400):
                tx.put(f"/many/{number:03}", b"%d" % number)
        db.snapshots.create("v3")
        for name in ("v1", "v2", "v3"):
            db.export(made[name], name)
        for base, target in ("12", "23", "13"):
            db.export_patch(made[base + target], f"v{base}", f"v{target}")
        made["source"] = tmp_path / "source.aeordb"
    return made


@pytest.mark.parametrize("name", ["files.export-head", "files.export-v1", "system.export-head"])
def test_exports_of_aeordb_come_in(name: str, tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        report = db.import_(fixture_path(name), promote=True)
        assert report.kind == "full"
        assert report.promoted
        assert report.snapshot is None
        assert db.head == report.version
        assert db.snapshots.list() == []
    assert rows(path) == sorted(versions(name)["HEAD"])
    assert_file(path)


def test_patches_of_aeordb_lead_from_version_to_version(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        for name in ("files.export-v1", "files.patch-v1-v2", "files.patch-v2-v1"):
            db.import_(fixture_path(name), promote=True)
        for name in ("files.patch-v1-v2", "files.patch-v2-head"):
            report = db.import_(fixture_path(name), promote=True)
    assert report.kind == "patch"
    assert (report.deletions, report.chunks, report.files) == (1, 27, 16)
    assert rows(path) == sorted(manifest("files.patch-v2-head")["target"])
    assert_file(path)


def test_without_promotion_a_snapshot_keeps_the_version(
    history: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        before = db.head
        report = db.import_(history["v1"])
        assert db.head == before
        assert not report.promoted
        name = f"imported-{report.version.hex()[:12]}"
        assert report.snapshot == name
        (snapshot,) = db.snapshots.list()
        assert (snapshot.name, snapshot.root) == (name, report.version)
        assert snapshot.metadata == {"type": "auto"}
        assert list(db) == []
        assert db.at(name).read("/stays.txt") == b"stays"
        assert db.promote(report.version.hex()) == report.version
        assert db.snapshots.list() == []
        assert db["/stays.txt"] == b"stays"
    assert rows(path) == rows(history["v1"])
    assert_file(path)


def test_the_automatic_name_gets_longer_where_it_is_taken(
    history: dict[str, Path], tmp_path: Path
) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        version = db.import_(history["v1"], dry_run=True).version.hex()
        db.snapshots.create(f"imported-{version[:12]}")
        db.forks.create(f"imported-{version[:13]}")
        assert db.import_(history["v1"]).snapshot == f"imported-{version[:14]}"
        db.promote(version)
        assert [s.name for s in db.snapshots.list()] == [f"imported-{version[:12]}"]


def test_no_automatic_name_where_the_version_has_one(
    history: dict[str, Path], tmp_path: Path
) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        first = db.import_(history["v1"])
        assert first.snapshot is not None
        db.snapshots.rename(first.snapshot, "mine")
        assert db.import_(history["v1"]).snapshot is None
        db.promote("mine")
        assert [s.name for s in db.snapshots.list()] == ["mine"]


def test_a_second_import_writes_nothing(history: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    for options in ({}, {"promote": True}):
        with aeordb.open(path, "a") as db:
            first = db.import_(history["v3"], **options)
        before = path.read_bytes()
        with aeordb.open(path) as db:
            second = db.import_(history["v3"], **options)
        assert path.read_bytes() == before
        assert second.written == 0
        assert (second.entries, second.chunks, second.files, second.directories) == (
            first.entries,
            first.chunks,
            first.files,
            first.directories,
        )


def test_counts(history: dict[str, Path], tmp_path: Path) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        report = db.import_(history["v3"])
    # stays, big, new, 400 of many; the root and many; the symlink is an entry, too.
    assert (report.files, report.directories) == (403, 2)
    assert report.entries == report.files + report.directories + report.chunks + 1


def test_a_patch_needs_its_base(history: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        head = db.head
        with pytest.raises(BaseMismatchError) as caught:
            db.import_(history["12"])
    with aeordb.open(history["source"], "r") as source:
        base = source.resolve("v1")
    assert (caught.value.head, caught.value.base) == (head, base)
    assert str(caught.value) == (
        f"Target database HEAD ({head.hex()}) does not match patch base version ({base.hex()}).\n"
        "Use --force to apply anyway."
    )


def test_force_completes_or_counts_what_is_missing(
    history: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "data.aeordb"
    aeordb.open(path, "x").close()
    before = path.read_bytes()
    with aeordb.open(path) as db, pytest.raises(DamagedError) as caught:
        db.import_(history["12"], force=True)
    assert caught.value.missing
    assert f"{caught.value.missing} entries are missing" in str(caught.value)
    assert path.read_bytes() == before
    with aeordb.open(path) as db:
        db.import_(history["v1"])
        # HEAD is not v1, but all of it is there.
        assert db.import_(history["12"], force=True, promote=True).promoted
        assert db["/new.txt"] == b"new"
    assert rows(path) == rows(history["v2"])
    assert_file(path)


def test_force_onto_a_version_that_went_on(history: dict[str, Path], tmp_path: Path) -> None:
    """The base has no name any more, but its entries are in the file."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.import_(history["v1"], promote=True)
        db.put("/own.txt", b"own")
        with pytest.raises(BaseMismatchError):
            db.import_(history["13"])
        db.import_(history["13"], force=True, promote=True)
    assert rows(path) == rows(history["v3"])


@pytest.mark.parametrize("promote", [True, False])
@pytest.mark.parametrize("order", [("v1", "12", "23"), ("23", "v1", "12"), ("12", "23", "v1")])
def test_chains_are_put_in_order(
    order: tuple[str, ...], promote: bool, history: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        report = db.import_([history[name] for name in order], promote=promote)
        assert report.kind == "chain"
        assert report.warnings == ()
        root = report.version
        # Each version of the chain was imported.
        assert len(db.snapshots.list()) == (0 if promote else 3)
    assert rows(path, root) == rows(history["v3"])
    assert_file(path)


def test_a_folder_is_a_chain(history: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for name in ("23", "12", "v1"):
        (folder / f"{name}.aeordb").write_bytes(history[name].read_bytes())
    (folder / "notes.txt").write_text("no backup")
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        assert db.import_(folder, promote=True).kind == "chain"
        assert db["/many/007"] == b"7"
        # What leads to the same version in fewer steps is taken, the rest passed over.
        (folder / "v3.aeordb").write_bytes(history["v3"].read_bytes())
        report = db.import_(folder)
        assert len([w for w in report.warnings if "not needed" in w]) == 3


def test_a_patch_chain_goes_on_from_head(history: dict[str, Path], tmp_path: Path) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        db.import_(history["v1"], promote=True)
        db.import_([history["23"], history["12"]], promote=True)
        assert db["/many/007"] == b"7"


def test_chains_with_a_missing_link_or_two_ends(history: dict[str, Path], tmp_path: Path) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        with pytest.raises(BaseMismatchError, match=r"link of the chain is missing: '23\.aeordb'"):
            db.import_([history["v1"], history["23"]])
        with pytest.raises(UsageError, match="2 different versions"):
            db.import_([history["12"], history["v1"], history["v3"]], promote=True)
        with pytest.raises(UsageError, match="no backup"):
            db.import_([])
        assert db.snapshots.list() == []


def test_dry_run_changes_nothing(history: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    aeordb.open(path, "x").close()
    before = path.read_bytes()
    with aeordb.open(path) as db:
        report = db.import_(history["v1"], promote=True, dry_run=True)
        assert not report.promoted
        assert report.files == 3
    assert path.read_bytes() == before


def test_a_complete_backup_heals_an_incomplete_database(
    history: dict[str, Path], tmp_path: Path
) -> None:
    """Chunk, record and node are gone from the index, as after a repair that dropped them."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        version = db.import_(history["v3"], promote=True).version
        keys = list(_reached(path, version))
        with db.transaction() as tx:
            for key in keys[::3]:
                tx.writer.tombstone(key)
    with pytest.raises(Exception, match=r"."):
        rows(path)
    with aeordb.open(path) as db:
        assert db.import_(history["v3"], promote=True).written == len(keys[::3])
    assert rows(path) == rows(history["v3"])


def _reached(path: Path, version: bytes) -> list[bytes]:
    return sorted(reach(Oracle(path), version))


def test_newer_metadata_comes_in_and_older_does_not(tmp_path: Path) -> None:
    f = Forgery()
    paths = {}
    for name, updated in (("old", TIME), ("new", TIME + 5)):
        f = Forgery()
        child = f.file("/a", b"abc", updated=updated, listed={"updated": updated})
        paths[name] = f.write(tmp_path / f"{name}.aeordb", f.folder([child])[0])
    for first, second in (("old", "new"), ("new", "old")):
        path = tmp_path / f"{first}-first.aeordb"
        with aeordb.open(path, "x") as db:
            db.import_(paths[first])
            db.import_(paths[second])
        (key,) = {e.key for e in Oracle(path).scan() if e.type == 2}
        assert Oracle(path).file_record(key).updated == TIME + 5


def test_records_of_version_0_get_their_content_hash(tmp_path: Path) -> None:
    f = Forgery()
    key = f.chunk(b"abc")
    head = struct.pack("<H", 2) + b"/a" + struct.pack("<H", len(TYPE)) + TYPE.encode()
    value = head + struct.pack("<QqqII", 3, TIME, TIME, 0, 1) + key
    identity = file_identity_key("/a", TYPE, key)
    f.entry(c.ENTRY_FILE, identity, value, version=0)
    root, _ = f.folder([Child(c.KIND_FILE, identity, 3, TIME, TIME, "a", TYPE, TIME)])
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.import_(f.write(tmp_path / "old.aeordb", root), promote=True)
        assert db["/a"] == b"abc"
    assert Oracle(path).file_record(identity).content_hash == content_hash(b"abc")
    assert_file(path)


def test_compressed_chunks_and_shared_ones(tmp_path: Path) -> None:
    source, path = tmp_path / "source.aeordb", tmp_path / "data.aeordb"
    with aeordb.open(source, "x") as db:
        db.put("/text.txt", b"all the same " * 100_000)
        db.put("/copy.txt", b"all the same " * 100_000)
        db.put("/zeros.bin", bytes(5_000_000))
        for number in range(50):
            db.put(f"/small-{number}", b"one and the same")
        db.export(tmp_path / "export.aeordb")
    with aeordb.open(path, "x") as db:
        db.import_(tmp_path / "export.aeordb", promote=True)
        assert db["/copy.txt"] == b"all the same " * 100_000
        assert db.import_(tmp_path / "export.aeordb").written == 0
    assert rows(path) == rows(source)
    assert_file(path)


def test_the_result_does_not_depend_on_threads(history: dict[str, Path], tmp_path: Path) -> None:
    for jobs in (1, 4):
        path = tmp_path / f"{jobs}.aeordb"
        with aeordb.open(path, "x") as db:
            db.import_(history["v3"], promote=True, jobs=jobs)
        assert rows(path) == rows(history["v3"])


# -- system data -----------------------------------------------------------------------------


def test_system_data_needs_the_root_key(tmp_path: Path) -> None:
    backup = fixture_path("system.export-root")
    signing_key = Oracle(backup).system_tree()["/.aeordb-system/config/jwt_signing_key"]
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        key = db.create_root_key()
        report = db.import_(backup)
        assert report.skipped_system > 0
        assert any("signing key" in text for text in report.warnings)
        assert any("--root-key" in text for text in report.warnings)
    assert not any("/users/" in name for name in Oracle(path).system_tree())
    with aeordb.open(path) as db:
        with pytest.raises(UnauthorizedError):
            db.import_(backup, root_key="aeor_k_" + 16 * "0" + "_" + 64 * "0")
        report = db.import_(backup, root_key=key)
        assert report.skipped_system == 0
        assert any("signing key" in text for text in report.warnings)
        assert db.is_root_key(key)
    theirs = Oracle(backup).system_tree()
    ours = Oracle(path).system_tree()
    for name, data in theirs.items():
        if "jwt_signing_key" in name:
            assert name not in ours
        else:
            assert ours[name] == data
    assert signing_key not in path.read_bytes()
    assert_file(path)
    before = path.read_bytes()
    with aeordb.open(path) as db:
        assert db.import_(backup, root_key=key).written == 0
    assert path.read_bytes() == before


def test_a_needless_root_key_is_checked_all_the_same(
    history: dict[str, Path], tmp_path: Path
) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        with pytest.raises(UnauthorizedError):
            db.import_(history["v1"], root_key="wrong")
        key = db.create_root_key()
        db.import_(history["v1"], root_key=key)


def test_what_the_database_has_under_the_same_name_stays(tmp_path: Path) -> None:
    f = Forgery()
    root, _ = f.tree({"a": b"abc"})
    f.system_file("/.aeordb-config/cron.json", b'{"schedules":[]}')
    f.system_file("/.aeordb-system/users/one", b"new")
    f.system_file("/.aeordb-system/api-keys/evil", b"credential")
    f.system_file("/.aeordb-system/config/jwt_signing_key", b"k" * 32, flags=0)
    f.system_file("/.aeordb-system/plugins/evil", b"code")
    backup = f.write(tmp_path / "backup.aeordb", root)
    g = Forgery()
    g.system_file("/.aeordb-config/cron.json", b'{"schedules":[1]}')
    other = g.write(tmp_path / "other.aeordb", g.tree({"a": b"abc"})[0])
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        key = db.create_root_key()
        db.import_(other, root_key=key)
        report = db.import_(backup, root_key=key)
        assert len(report.warnings) >= 3
        assert any("cron.json" in text and "kept" in text for text in report.warnings)
    system = Oracle(path).system_tree()
    assert system["/.aeordb-config/cron.json"] == b'{"schedules":[1]}'
    for secret in (b"credential", b"k" * 32, b"code"):
        assert secret not in path.read_bytes()
    assert_file(path)


def test_snapshots_of_a_privileged_backup(tmp_path: Path, history: dict[str, Path]) -> None:
    with aeordb.open(history["source"]) as db:
        source_key = db.create_root_key()
        db.export(tmp_path / "all.aeordb", root_key=source_key)
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        report = db.import_(tmp_path / "all.aeordb")
        assert report.skipped_system >= 3
        assert all(s.name.startswith("imported-") for s in db.snapshots.list())
        key = db.create_root_key()
        db.snapshots.create("v2")
        report = db.import_(tmp_path / "all.aeordb", root_key=key, promote=True)
        assert any("'v2'" in text and "kept" in text for text in report.warnings)
        assert [s.name for s in db.snapshots.list()] == ["v1", "v2", "v3"]
        assert db.at("v1").read("/goes/a.txt") == b"goes"
        assert db.is_root_key(key)
        assert not db.is_root_key(source_key)
    for name in ("v1", "v3"):
        assert rows(path, Oracle(path).snapshots[name]) == rows(history[name])
    assert_file(path)


def test_a_chunk_that_two_sources_lack_is_named(tmp_path: Path) -> None:
    f = Forgery()
    key = chunk_key(b"gone")
    root, _ = f.tree({"a": f.file("/a", b"gone", chunk=key)})
    backup = f.write(tmp_path / "holes.aeordb", root)
    with aeordb.open(tmp_path / "data.aeordb", "x") as db, pytest.raises(DamagedError) as caught:
        db.import_(backup)
    assert (caught.value.key, caught.value.path, caught.value.missing) == (key, "/a", 1)
