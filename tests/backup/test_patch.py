"""Patches: exactly what the target reaches and the base does not, and what is gone."""

from itertools import permutations
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import ExistsError, NotADatabaseError, NotFoundError
from tests.kit.backups import assert_patch
from tests.kit.fixtures import DATABASES, fixture_path, versions
from tests.kit.folders import noise
from tests.kit.layout import CHUNK, FILE
from tests.kit.oracle import Oracle


def patch(db: aeordb.Database, output: Path, base: str, target: str = "HEAD") -> Oracle:
    """Makes a patch twice, with one and with more jobs, and checks it."""
    one = db.export_patch(output, base, target, jobs=1)
    four = db.export_patch(output.with_name(f"{output.name}-4"), base, target, jobs=4)
    assert output.read_bytes() == Path(four.output or "").read_bytes()
    assert one.bytes == output.stat().st_size
    return assert_patch(output, Oracle(db.path), db.resolve(base), db.resolve(target))


def kinds(made: Oracle) -> list[int]:
    return sorted(entry.type for entry in made.scan(end=made.slot.hot_tail))


@pytest.mark.parametrize("name", DATABASES)
def test_between_all_versions_of_the_fixtures(name: str, tmp_path: Path) -> None:
    with aeordb.open(fixture_path(name), "r") as db:
        labels = [label.partition(" ")[2] or label for label in versions(name)]
        for number, (base, target) in enumerate(permutations(labels, 2)):
            if db.resolve(base) != db.resolve(target):
                patch(db, tmp_path / str(number), base, target)


def test_counts_are_those_of_aeordb(tmp_path: Path) -> None:
    """AeorDB 0.9.5 printed these for the same patches."""
    expected = {
        ("v1", "v2"): (2, 2, 3, 5, 6),
        ("v2", "v1"): (3, 2, 2, 5, 4),
        ("v2", "HEAD"): (14, 2, 1, 27, 5),
    }
    with aeordb.open(fixture_path("files"), "r") as db:
        for number, (pair, counts) in enumerate(expected.items()):
            report = db.export_patch(tmp_path / str(number), *pair)
            files = report.files_added, report.files_modified, report.files_deleted
            assert (*files, report.chunks, report.directories) == counts


def test_no_difference_makes_no_file(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/a", b"1")
    db.snapshots.create("v1")
    report = db.export_patch(tmp_path / "out", "v1")
    assert report.output is None
    assert report.from_ == report.to == db.head
    assert not list(tmp_path.glob("out*"))


def test_the_output_must_not_exist(db: aeordb.Database, tmp_path: Path) -> None:
    db.snapshots.create("v1")
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(ExistsError):
        db.export_patch(tmp_path / "out", "v1")
    with pytest.raises(NotFoundError):
        db.export_patch(tmp_path / "new", "nothing")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_a_patch_is_no_database(db: aeordb.Database, tmp_path: Path) -> None:
    db.snapshots.create("v1")
    db.put("/a", b"1")
    patch(db, tmp_path / "out", "v1")
    with pytest.raises(NotADatabaseError):
        aeordb.open(tmp_path / "out", "r")
    assert aeordb.info(tmp_path / "out").kind == "patch"


def test_a_copied_file_carries_no_chunk(db: aeordb.Database, tmp_path: Path) -> None:
    """Its chunks are older than the base: the base is asked, and has them."""
    data = noise("large", 1_000_000)
    db.put("/a", data)
    db.snapshots.create("v1")
    db.put("/copy", data)
    made = patch(db, tmp_path / "out", "v1")
    assert CHUNK not in kinds(made)


def test_a_moved_folder_carries_no_chunk(db: aeordb.Database, tmp_path: Path) -> None:
    with db.transaction() as tx:
        for i in range(300):
            tx.put(f"/from/{i}", noise(i, 500))
    db.snapshots.create("v1")
    db.move("/from", "/to/here")
    made = patch(db, tmp_path / "out", "v1")
    assert CHUNK not in kinds(made)
    assert kinds(made).count(FILE) == 600


def test_old_content_that_the_base_lacks(db: aeordb.Database, tmp_path: Path) -> None:
    """A chunk of an earlier version, put again: older than the base, and yet new to it."""
    db.put("/a", noise("a", 1_000))
    db.snapshots.create("v0")
    db.delete("/a")
    db.put("/other", b"1")
    db.snapshots.create("v1")
    db.put("/b", noise("a", 1_000))
    made = patch(db, tmp_path / "out", "v1")
    assert kinds(made).count(CHUNK) == 1
    patch(db, tmp_path / "back", "HEAD", "v0")


def test_a_touched_file_carries_its_record(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/a", noise("a", 500_000), updated=1_000)
    db.put("/b", b"1")
    db.snapshots.create("v1")
    db.put("/a", noise("a", 500_000), updated=2_000)
    made = patch(db, tmp_path / "out", "v1")
    assert kinds(made).count(FILE) == 2
    assert CHUNK not in kinds(made)
    assert db.export_patch(tmp_path / "again", "v1").files_modified == 1


def test_types_that_change(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/x", b"file")
    db.mkdir("/y/z")
    db.symlink("/x", "/l")
    db.snapshots.create("v1")
    for path in ("/x", "/y", "/l"):
        db.delete(path, recursive=True)
    db.mkdir("/x/inner")
    db.symlink("/x", "/y")
    db.put("/l", b"file")
    patch(db, tmp_path / "out", "v1")
    patch(db, tmp_path / "back", "HEAD", "v1")


def test_large_folders(db: aeordb.Database, tmp_path: Path) -> None:
    """B-trees of two levels and of three, in size and shape different on both sides."""
    names = [f"/many/{i:05}" for i in range(7_000)]
    with db.transaction() as tx:
        for name in names[:300]:
            tx.put(name, name.encode())
    db.snapshots.create("v1")
    with db.transaction() as tx:
        for name in names[300:]:
            tx.put(name, name.encode())
    db.snapshots.create("v2")
    db.put(names[3_333], b"changed")
    small = patch(db, tmp_path / "v2-head", "v2")
    assert len(kinds(small)) < 14
    patch(db, tmp_path / "v1-v2", "v1", "v2")
    patch(db, tmp_path / "v2-v1", "v2", "v1")
    with db.transaction() as tx:
        for name in names[10:]:
            tx.delete(name)
    patch(db, tmp_path / "head", "v2")
    patch(db, tmp_path / "back", "HEAD", "v2")


def test_to_and_from_nothing(db: aeordb.Database, tmp_path: Path) -> None:
    db.snapshots.create("empty")
    db.put("/a/b/c", noise("c", 300_000))
    db.mkdir("/d/e")
    patch(db, tmp_path / "out", "empty")
    patch(db, tmp_path / "back", "HEAD", "empty")


def test_uncompressed(db: aeordb.Database, tmp_path: Path) -> None:
    db.snapshots.create("empty")
    db.put("/a", b"text " * 100_000)
    db.export_patch(tmp_path / "packed", "empty")
    db.export_patch(tmp_path / "raw", "empty", uncompressed=True)
    assert any(entry.compression for entry in Oracle(tmp_path / "packed").scan())
    raw = Oracle(tmp_path / "raw")
    assert not any(entry.compression for entry in raw.scan())
    assert raw.read("/a") == b"text " * 100_000
