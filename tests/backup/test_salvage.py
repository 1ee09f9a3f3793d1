"""AeorDB 0.9.5 leaves nodes of large folders out of its backups: refused, or rebuilt on request."""

from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError
from aeordb.format.nodes import encode_internal
from tests.kit.fixtures import fixture_path, manifest, versions
from tests.kit.hostile import Forgery, sub
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file

EXPORT, PATCH = "btree.export-at600", "btree.patch-at255-at600"


def rows(path: Path) -> list[list[object]]:
    return sorted(Oracle(path).tree())


@pytest.fixture
def at255(tmp_path: Path) -> Path:
    """A database that is at the version which the patch starts from, and knows no other."""
    path = tmp_path / "at255.aeordb"
    with aeordb.open(fixture_path("btree"), "r") as db:
        db.export(tmp_path / "base.aeordb", "at255")
    with aeordb.open(path, "x") as db:
        db.import_(tmp_path / "base.aeordb", promote=True)
    return path


def test_incomplete_backups_are_refused_with_the_folder_and_a_way_out(
    tmp_path: Path, at255: Path
) -> None:
    empty = tmp_path / "data.aeordb"
    aeordb.open(empty, "x").close()
    for path, name in ((empty, EXPORT), (at255, PATCH)):
        before = path.read_bytes()
        with aeordb.open(path) as db, pytest.raises(DamagedError) as caught:
            db.import_(fixture_path(name), promote=True)
        assert caught.value.exit_code == 14
        assert "'/many' lacks directory nodes" in str(caught.value)
        assert "import --salvage" in caught.value.hint
        assert caught.value.missing == 21
        assert path.read_bytes() == before


def test_salvage_brings_all_files_of_an_export_back(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        report = db.import_(fixture_path(EXPORT), salvage=True, promote=True)
        assert report.rebuilt == (("/many", 600),)
        assert db.head == report.version
    assert rows(path) == sorted(versions(EXPORT)["HEAD"])
    assert_file(path)
    before = path.read_bytes()
    with aeordb.open(path) as db:
        again = db.import_(fixture_path(EXPORT), salvage=True, promote=True)
        assert (again.version, again.written) == (report.version, 0)
    assert path.read_bytes() == before


def test_salvage_of_a_patch_goes_on_from_its_base(at255: Path) -> None:
    with aeordb.open(at255) as db:
        report = db.import_(fixture_path(PATCH), salvage=True, promote=True)
    assert report.rebuilt == (("/many", 600),)
    assert rows(at255) == sorted(manifest(PATCH)["target"])
    assert_file(at255)


def test_salvage_of_what_is_whole_changes_nothing(tmp_path: Path) -> None:
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        report = db.import_(fixture_path("files.export-v1"), salvage=True)
    assert report.rebuilt == ()
    assert report.version == Oracle(fixture_path("files.export-v1")).head


def test_folders_in_broken_folders_come_back_too(tmp_path: Path) -> None:
    """Only records are left of what lies two levels below the node that is missing."""
    f = Forgery()
    for path in ("/a/x", "/a/deep/y", "/a/deep/er/z", "/b"):
        f.file(path, path.encode())
    lost = f.node(encode_internal(["m"], [b"\1" * 32, b"\2" * 32]))
    root, _ = f.folder([sub("a", *lost), f.file("/c")])
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        report = db.import_(f.write(tmp_path / "lost.aeordb", root), salvage=True, promote=True)
        assert dict(report.rebuilt) == {"/a": 2, "/a/deep": 2, "/a/deep/er": 1}
        # What is listed nowhere and lies in no broken folder stays away.
        assert sorted(db) == ["/a/deep/er/z", "/a/deep/y", "/a/x", "/c"]
        assert db["/a/deep/er/z"] == b"/a/deep/er/z"
    assert_file(path)


def test_files_from_before_1970_come_back(tmp_path: Path) -> None:
    """Found by fuzzing: the listing made anew took no negative time as a virtual time."""
    f = Forgery()
    f.file("/a/x", b"x", updated=-5000)
    f.symlink("/a/link", "x", updated=-5000)
    lost = f.node(encode_internal([], [b"\1" * 32]))
    root, _ = f.folder([sub("a", *lost)])
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.import_(f.write(tmp_path / "lost.aeordb", root), salvage=True, promote=True)
        for name in ("/a/x", "/a/link"):
            assert db.stat(name).updated == -5000
    assert_file(path)


@pytest.mark.parametrize("path", ["/a/", "/a//x", "/a/..", "a/x", "/a/nul\0"])
def test_records_whose_path_is_none_stay_away(tmp_path: Path, path: str) -> None:
    """Found by fuzzing: the listing made anew took no empty name."""
    f = Forgery()
    f.file(path, b"no path")
    f.file("/a/good", b"good")
    lost = f.node(encode_internal([], [b"\1" * 32]))
    root, _ = f.folder([sub("a", *lost)])
    with aeordb.open(tmp_path / "data.aeordb", "x") as db:
        db.import_(f.write(tmp_path / "lost.aeordb", root), salvage=True, promote=True)
        assert dict(db) == {"/a/good": b"good"}
    assert_file(tmp_path / "data.aeordb")


def test_salvage_keeps_out_what_is_not_sound(tmp_path: Path) -> None:
    """A record's chunk must be there, and hold what the record says."""
    f = Forgery()
    f.file("/a/x", b"abc", content_hash=bytes(32))
    lost = f.node(encode_internal([], [b"\1" * 32]))
    root, _ = f.folder([sub("a", *lost)])
    path = tmp_path / "data.aeordb"
    aeordb.open(path, "x").close()
    before = path.read_bytes()
    with aeordb.open(path) as db, pytest.raises(DamagedError, match="content hash"):
        db.import_(f.write(tmp_path / "lost.aeordb", root), salvage=True)
    assert path.read_bytes() == before


def test_salvage_does_not_invent_records(tmp_path: Path) -> None:
    f = Forgery()
    child = f.file("/a")
    missing = child._replace(name="b", hash=b"\3" * 32)
    root, _ = f.folder([child, missing])
    backup = f.write(tmp_path / "lost.aeordb", root)
    with (
        aeordb.open(tmp_path / "data.aeordb", "x") as db,
        pytest.raises(DamagedError, match="1 file record"),
    ):
        db.import_(backup, salvage=True)
