"""A folder out to disk: as it was, under no other place, and whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from aeordb.errors import DamagedError, ExistsError, NotDurableError, NotFoundError
from aeordb.folders import GetReport
from aeordb.folders.target import Target
from aeordb.format import constants as c
from aeordb.tree.blocks import BLOCK_LENGTH
from tests.folders.conftest import Tree
from tests.kit.folders import Link, mixed_tree, noise, read_folder, write_folder


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_went_in_comes_out(tree: Tree, source: Path, dest: Path, jobs: int) -> None:
    content = mixed_tree()
    content["large"] = noise("large", 5 * BLOCK_LENGTH + 3)
    write_folder(source, content)
    (source / "empty/inner").mkdir(parents=True)
    tree.put_tree(source, "/x")
    report = tree.get_tree("/x", dest, jobs=jobs)
    assert read_folder(dest) == content
    assert (dest / "empty/inner").is_dir()
    links = sum(isinstance(item, Link) for item in content.values())
    assert report == GetReport(
        files=len(content) - links,
        folders=len(tree.folders()) - 1,
        symlinks=links,
        bytes=sum(len(item) for item in content.values() if isinstance(item, bytes)),
    )
    assert report.complete


def test_times_are_kept(tree: Tree, source: Path, dest: Path) -> None:
    write_folder(source, {"folder/file": b"1", "link": Link("x")})
    os.utime(source / "folder", (3, 3))
    tree.put_tree(source)
    tree.get_tree("/", dest)
    for name in ("folder/file", "link", "folder"):
        before, after = os.lstat(source / name), os.lstat(dest / name)
        assert before.st_mtime_ns // 1_000_000 == after.st_mtime_ns // 1_000_000, name


def test_a_put_of_what_was_gotten_changes_nothing(tree: Tree, source: Path, dest: Path) -> None:
    write_folder(source, mixed_tree())
    tree.put_tree(source)
    root = tree.root
    tree.get_tree("/", dest)
    assert tree.put_tree(dest, delete=True).files == 0
    assert tree.root == root


def test_hidden_names_come_only_if_asked(tree: Tree, dest: Path) -> None:
    tree.put("/a")
    tree.put("/.aeordb-indexes/i")
    tree.get_tree("/", dest)
    assert read_folder(dest).keys() == {"a"}
    tree.get_tree("/", dest, hidden=True)
    assert read_folder(dest).keys() == {"a", ".aeordb-indexes/i"}


def test_what_is_there_is_joined_and_replaced(tree: Tree, dest: Path) -> None:
    write_folder(dest, {"a/old": b"old", "a/same": b"older", "link": b"a file"})
    tree.put("/a/same", b"new")
    tree.put("/a/b/c", b"new")
    tree.symlink("/link", "target")
    report = tree.get_tree("/", dest)
    assert report.complete
    assert (report.files, report.folders, report.symlinks) == (2, 1, 1)
    assert read_folder(dest) == {
        "a/old": b"old",
        "a/same": b"new",
        "a/b/c": b"new",
        "link": Link("target"),
    }


def test_a_symlink_in_the_way_is_never_followed(tree: Tree, dest: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_folder(outside, {"file": b"safe"})
    dest.mkdir()
    (dest / "folder").symlink_to(outside)
    (dest / "file").symlink_to(outside / "file")
    (dest / "link").symlink_to(outside)
    tree.put("/folder/file", b"new")
    tree.put("/folder/deep/file", b"new")
    tree.put("/file", b"new")
    tree.symlink("/link", "elsewhere")
    report = tree.get_tree("/", dest)
    assert read_folder(outside) == {"file": b"safe"}
    assert os.listdir(outside) == ["file"]
    assert (dest / "file").read_bytes() == b"new"
    assert not (dest / "file").is_symlink()
    assert os.readlink(dest / "link") == "elsewhere"
    assert [skipped.path for skipped in report.skipped] == ["/folder"]
    assert not report.complete


def test_a_stored_symlink_does_not_lead_the_way_out(
    tree: Tree, source: Path, dest: Path, tmp_path: Path
) -> None:
    """A version in which `a` is a symlink, gotten over one in which it was a folder, and back."""
    outside = tmp_path / "outside"
    outside.mkdir()
    tree.symlink("/a", str(outside))
    tree.get_tree("/", dest)
    other = Tree()
    other.put("/a/file", b"x")
    report = other.get_tree("/", dest)
    assert os.listdir(outside) == []
    assert not report.complete


def test_what_stands_in_the_way_is_kept(tree: Tree, dest: Path) -> None:
    write_folder(dest, {"file/in": b"1", "folder": b"2", "link/in": b"3"})
    tree.put("/file", b"new")
    tree.put("/folder/in", b"new")
    tree.symlink("/link", "x")
    tree.put("/z", b"new")
    report = tree.get_tree("/", dest)
    assert read_folder(dest) == {"file/in": b"1", "folder": b"2", "link/in": b"3", "z": b"new"}
    assert [skipped.path for skipped in report.skipped] == ["/file", "/folder", "/link"]


def test_a_damaged_file_leaves_no_trace_and_the_rest_comes(tree: Tree, dest: Path) -> None:
    for name in "abc":
        tree.put(f"/{name}", noise(name, 3 * c.CHUNK_LENGTH))
    write_folder(dest, {"b": b"what was there"})
    key = tree.writer.appended(c.ENTRY_CHUNK)[5]  # the last one of b
    tree.writer.tombstone(key)
    report = tree.get_tree("/", dest)
    assert read_folder(dest).keys() == {"a", "b", "c"}
    assert (dest / "b").read_bytes() == b"what was there"
    (skipped,) = report.skipped
    assert skipped.path == "/b"
    assert key.hex() in skipped.reason


def test_a_damaged_folder_is_reported_and_the_rest_comes(tree: Tree, dest: Path) -> None:
    tree.put("/a/x")
    tree.put("/b/y")
    tree.writer.tombstone(tree.child("/a").hash)
    report = tree.get_tree("/", dest)
    assert [skipped.path for skipped in report.skipped] == ["/a"]
    assert read_folder(dest).keys() == {"b/y"}


def test_a_full_disk_ends_it_and_leaves_no_half_file(
    tree: Tree, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.put("/a", noise("a", 2 * c.CHUNK_LENGTH))
    real_write = os.write
    written = 0

    def write(fd: int, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(NotDurableError, match="no space left"):
        tree.get_tree("/", dest)
    assert os.listdir(dest) == []


def test_writes_may_be_short(tree: Tree, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise("a", 10_000)
    tree.put("/a", data)
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, part: real_write(fd, bytes(part[:999])))
    tree.get_tree("/", dest)
    assert (dest / "a").read_bytes() == data


def test_names_that_the_disk_refuses_are_reported(tree: Tree, dest: Path) -> None:
    tree.put("/" + "n" * 300)
    tree.put("/" + "f" * 300 + "/file")
    tree.put("/ok")
    report = tree.get_tree("/", dest)
    assert read_folder(dest).keys() == {"ok"}
    assert [len(skipped.path) for skipped in report.skipped] == [301, 301]
    assert {skipped.reason for skipped in report.skipped} == {"file name too long"}


def test_folders_deeper_than_descriptors_and_paths_reach(tree: Tree, dest: Path) -> None:
    deep = "/" + "/".join("n" * 60 for _ in range(150))
    tree.put(deep + "/leaf", b"deep")
    for level in (1, 70, 149):
        tree.put("/" + "/".join(["n" * 60] * level) + "/zz-after", b"on the way back")
    report = tree.get_tree("/", dest)
    assert report.complete
    assert report.files == 4
    other = Tree()
    other.put_tree(dest)
    assert other.content() == tree.content()


def test_a_destination_that_is_a_symlink_to_a_folder(
    tree: Tree, dest: Path, tmp_path: Path
) -> None:
    """What the user names is followed; what lies in it is not."""
    (tmp_path / "real").mkdir()
    dest.symlink_to("real")
    tree.put("/a")
    tree.get_tree("/", dest)
    assert (tmp_path / "real/a").exists()


def test_what_cannot_be_gotten(tree: Tree, dest: Path) -> None:
    tree.put("/file")
    with pytest.raises(NotFoundError):
        tree.get_tree("/missing", dest)
    assert not dest.exists()
    dest.write_bytes(b"a file")
    with pytest.raises(ExistsError):
        tree.get_tree("/", dest)
    with pytest.raises(ExistsError):
        tree.get_tree("/", dest / "below")


def test_files_get_the_usual_permissions(tree: Tree, dest: Path) -> None:
    tree.put("/d/a")
    before = os.umask(0o027)
    try:
        tree.get_tree("/", dest)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(dest / "d/a").st_mode) == 0o640
    assert stat.S_IMODE(os.stat(dest / "d").st_mode) == 0o750


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/etc", b"a\0b"])
def test_the_last_door_refuses_what_leads_elsewhere(dest: Path, name: bytes) -> None:
    target = Target(os.fsencode(dest))
    try:
        with pytest.raises(OSError, match="no name"):
            target.write_file(name, [b"x"], None)
        with pytest.raises(OSError, match="no name"):
            target.write_link(name, b"x", None)
        with pytest.raises(OSError, match="no name"):
            target.enter(name)
    finally:
        target.close()
    assert os.listdir(dest) == []


def test_a_single_file_becomes_the_destination(tree: Tree, dest: Path) -> None:
    data = noise("out", 700_000)
    tree.put("/d/file", data, updated=3_000)
    path = dest / "new/folder/name"
    report = tree.get_tree("/d/file", path)
    assert report == GetReport(files=1, bytes=len(data))
    assert path.read_bytes() == data
    assert path.stat().st_mtime == 3
    tree.put("/d/file", b"newer")
    path.with_name("link").symlink_to("name")
    tree.get_tree("/d/file", path.with_name("link"))
    assert path.read_bytes() == data
    assert path.with_name("link").read_bytes() == b"newer"
    assert not path.with_name("link").is_symlink()
    with pytest.raises(ExistsError):
        tree.get_tree("/d/file", dest / "new")
    with pytest.raises(ExistsError):
        tree.get_tree("/d/file", path / "below-a-file")
    assert sorted(os.listdir(path.parent)) == ["link", "name"]


def test_a_single_file_that_is_damaged(tree: Tree, dest: Path) -> None:
    tree.put("/file")
    tree.writer.tombstone(tree.writer.appended(c.ENTRY_CHUNK)[0])
    with pytest.raises(DamagedError):
        tree.get_tree("/file", dest / "file")
    assert os.listdir(dest) == []


def test_a_single_file_goes_to_a_relative_destination(
    tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.put("/file", b"1")
    monkeypatch.chdir(source)
    tree.get_tree("/file", Path("here"))
    assert (source / "here").read_bytes() == b"1"


def test_a_single_symlink_comes_out_as_one(tree: Tree, dest: Path) -> None:
    tree.symlink("/link", "../elsewhere")
    assert tree.get_tree("/link", dest / "out") == GetReport(symlinks=1)
    assert os.readlink(dest / "out") == "../elsewhere"
