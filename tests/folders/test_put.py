"""A folder into the tree: all of it, only what changed, and nothing that must not go in."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from aeordb.errors import ExistsError, NotFoundError, PathError, UsageError
from aeordb.folders import PutReport, Skipped, batches
from aeordb.folders import source as source_module
from aeordb.format import constants as c
from aeordb.format.keys import file_path_key
from aeordb.format.records import FileRecord
from aeordb.tree.blocks import BLOCK_LENGTH
from tests.folders.conftest import Tree
from tests.kit.folders import (
    Content,
    Link,
    edited,
    mixed_tree,
    noise,
    prose,
    read_folder,
    small_files,
    write_folder,
)


@pytest.mark.parametrize("jobs", [1, 4])
def test_all_of_a_folder_goes_in(tree: Tree, source: Path, jobs: int) -> None:
    content = mixed_tree()
    content["large/half.bin"] = noise("large", 2 * BLOCK_LENGTH + 1)
    write_folder(source, content)
    report = tree.put_tree(source, "/", jobs=jobs)
    assert tree.content() == content
    links = sum(isinstance(item, Link) for item in content.values())
    assert report == PutReport(
        files=len(content) - links,
        unchanged=0,
        folders=len(tree.folders()),
        symlinks=links,
        deleted=0,
        bytes=sum(len(item) for item in content.values() if isinstance(item, bytes)),
    )
    assert report.complete


def test_many_small_files_in_many_batches(tree: Tree, source: Path) -> None:
    content: dict[str, Content] = dict(small_files(2_000, 150, high=2_000))
    write_folder(source, content)
    report = tree.put_tree(source, "/deep/dest")
    assert report.files == 2_000
    assert tree.content("/deep/dest") == content


def test_path_keys_hold_the_records(tree: Tree, source: Path) -> None:
    write_folder(source, {"a/b.txt": b"b", "large": noise("l", BLOCK_LENGTH)})
    tree.put_tree(source, "/x")
    for path in ("/x/a/b.txt", "/x/large"):
        entry = tree.writer.read_as(file_path_key(path), c.ENTRY_FILE)
        assert FileRecord.decode(entry.value, entry.version).path == path
        assert entry.value == tree.writer.read_as(tree.child(path).hash, c.ENTRY_FILE).value


def test_times_are_those_of_the_disk(tree: Tree, source: Path) -> None:
    write_folder(source, {"folder/file": b"1"})
    os.utime(source / "folder/file", ns=(0, 1_234_567_890_987_654_321))
    os.utime(source / "folder", ns=(0, 1_234_567_891_000_000_000))
    tree.put_tree(source, "/x")
    file, folder = tree.child("/x/folder/file"), tree.child("/x/folder")
    assert (file.created, file.updated) == (1_234_567_890_987, 1_234_567_890_987)
    assert (folder.created, folder.updated) == (1_234_567_891_000, 1_234_567_891_000)
    (source / "folder/file").write_bytes(b"2")
    os.utime(source / "folder/file", (7, 7))
    tree.put_tree(source, "/x")
    file = tree.child("/x/folder/file")
    assert (file.created, file.updated) == (1_234_567_890_987, 7_000)


def test_nothing_is_read_or_written_the_second_time(
    tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = mixed_tree()
    content["large"] = noise("large", BLOCK_LENGTH)
    write_folder(source, content)
    tree.put_tree(source, "/x")
    root, entries = tree.root, len(tree.writer.log)

    def refuse(*_: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(source_module, "open_at", refuse)
    report = tree.put_tree(source, "/x")
    assert (report.files, report.unchanged, report.folders) == (0, len(content), 0)
    assert (tree.root, len(tree.writer.log)) == (root, entries)


def test_checksum_reads_all_and_still_writes_nothing(tree: Tree, source: Path) -> None:
    content = mixed_tree()
    content["large"] = noise("large", BLOCK_LENGTH + 1)
    write_folder(source, content)
    tree.put_tree(source, "/x")
    root, entries = tree.root, len(tree.writer.log)
    report = tree.put_tree(source, "/x", checksum=True)
    assert (report.files, report.unchanged) == (0, len(content))
    assert (tree.root, len(tree.writer.log)) == (root, entries)


@pytest.mark.parametrize("size", [1_000, BLOCK_LENGTH])
def test_checksum_finds_what_size_and_time_hide(tree: Tree, source: Path, size: int) -> None:
    for name in ("same", "other"):
        (source / name).write_bytes(noise(1, size))
        os.utime(source / name, (50, 50))
    tree.put_tree(source)
    (source / "other").write_bytes(noise(2, size))
    os.utime(source / "other", (50, 50))
    assert tree.put_tree(source).unchanged == 2
    report = tree.put_tree(source, checksum=True)
    assert (report.files, report.unchanged) == (1, 1)
    assert tree.content()["other"] == noise(2, size)


@pytest.mark.parametrize("size", [1_000, BLOCK_LENGTH])
def test_a_touched_file_gets_its_time_and_no_new_chunk(tree: Tree, source: Path, size: int) -> None:
    (source / "file").write_bytes(noise(1, size))
    tree.put_tree(source)
    chunks = len(tree.writer.appended(c.ENTRY_CHUNK))
    key = tree.child("/file").hash
    os.utime(source / "file", (99, 99))
    assert tree.put_tree(source).files == 1
    assert len(tree.writer.appended(c.ENTRY_CHUNK)) == chunks
    assert (tree.child("/file").hash, tree.child("/file").updated) == (key, 99_000)


def test_edits_follow_the_source(tree: Tree, source: Path, tmp_path: Path) -> None:
    before = mixed_tree()
    write_folder(source, before)
    tree.put_tree(source)
    for round_ in range(3):
        after = edited(before, seed=round_)
        folder = tmp_path / f"round-{round_}"
        write_folder(folder, after)
        report = tree.put_tree(folder, delete=True)
        assert report.deleted >= len(before.keys() - after.keys())
        assert tree.content() == after
        before = after


def test_without_delete_nothing_goes(tree: Tree, source: Path) -> None:
    write_folder(source, {"a/new": b"n"})
    for path in ("/a/old", "/b/c", "/.aeordb-indexes/i"):
        tree.put(path)
    assert tree.put_tree(source).deleted == 0
    assert tree.content().keys() == {"a/new", "a/old", "b/c", ".aeordb-indexes/i"}


def test_delete_spares_what_aeordb_keeps(tree: Tree, source: Path) -> None:
    write_folder(source, {"a/new": b"n"})
    for path in ("/a/old", "/b/c", "/.aeordb-indexes/i", "/a/.aeordb-config/indexes.json"):
        tree.put(path)
    assert tree.put_tree(source, delete=True).deleted == 3
    names = {"a/new", ".aeordb-indexes/i", "a/.aeordb-config/indexes.json"}
    assert tree.content().keys() == names


def test_delete_keeps_to_the_destination(tree: Tree, source: Path) -> None:
    tree.put("/x/old")
    tree.put("/y/old")
    assert tree.put_tree(source, "/x", delete=True).deleted == 1
    assert tree.content().keys() == {"y/old"}
    assert tree.folders() == ["/x", "/y"]


def test_an_empty_folder_is_made(tree: Tree, source: Path) -> None:
    (source / "a/b").mkdir(parents=True)
    assert tree.put_tree(source, "/x").folders == 3
    assert tree.folders() == ["/x", "/x/a", "/x/a/b"]


def test_a_symlink_is_put_as_it_is(tree: Tree, source: Path) -> None:
    (source / "outside").symlink_to("/etc")
    (source / "loop").symlink_to(".")
    assert tree.put_tree(source).symlinks == 2
    assert tree.content() == {"outside": Link("/etc"), "loop": Link(".")}
    assert tree.child("/loop").updated == os.lstat(source / "loop").st_mtime_ns // 1_000_000
    root = tree.root
    assert tree.put_tree(source).unchanged == 2
    assert tree.root == root
    (source / "loop").unlink()
    (source / "loop").symlink_to("..")
    assert tree.put_tree(source).symlinks == 1
    assert tree.content()["loop"] == Link("..")


def test_the_source_itself_may_be_a_symlink(tree: Tree, source: Path, tmp_path: Path) -> None:
    write_folder(source, {"a": b"1"})
    (tmp_path / "link").symlink_to("source")
    assert tree.put_tree(tmp_path / "link").files == 1


def test_kinds_change(tree: Tree, source: Path, tmp_path: Path) -> None:
    """What was a file becomes a symlink or folder, and so on round."""
    first: dict[str, Content] = {"a": b"file", "b": Link("x"), "c/in": b"folder"}
    second: dict[str, Content] = {"a": Link("y"), "b/in": b"folder", "c": b"file"}
    third: dict[str, Content] = {"a/in": b"folder", "b": b"file", "c": Link("z")}
    for round_, content in enumerate((first, second, third, first, third, second)):
        folder = tmp_path / f"kinds-{round_}"
        write_folder(folder, content)
        assert tree.put_tree(folder, delete=True).complete
        assert tree.content() == content


def test_a_folder_gives_way_to_a_file_only_with_delete(tree: Tree, source: Path) -> None:
    write_folder(source, {"a": b"file", "b": Link("x"), "c": noise(1, BLOCK_LENGTH)})
    for path in ("/a/in", "/b/in", "/c/in"):
        tree.put(path)
    report = tree.put_tree(source)
    assert tree.content().keys() == {"a/in", "b/in", "c/in"}
    assert [Path(skipped.path).name for skipped in report.skipped] == ["a", "b", "c"]
    assert all("--delete" in skipped.reason for skipped in report.skipped)
    assert not report.complete
    assert tree.put_tree(source, delete=True).complete
    assert tree.content() == read_folder(source)


def test_special_files_are_left_out_with_a_reason(tree: Tree, source: Path) -> None:
    write_folder(source, {"file": b"1"})
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(source / "sock"))
        report = tree.put_tree(source)
    assert report.skipped == (
        Skipped(str(source / "pipe"), "it is a named pipe", loss=False),
        Skipped(str(source / "sock"), "it is a socket", loss=False),
    )
    assert report.complete
    assert tree.content() == {"file": b"1"}


def test_names_and_targets_must_be_utf_8(tree: Tree, source: Path) -> None:
    raw = os.fsencode(source)
    with open(raw + b"/bad\xff.txt", "wb"):
        pass
    os.mkdir(raw + b"/folder\xfe")
    os.symlink(b"target\xff", raw + b"/link")
    write_folder(source, {"good": b"1"})
    report = tree.put_tree(source)
    assert [skipped.path for skipped in report.skipped] == [
        f"{source}/bad\\xff.txt",
        f"{source}/folder\\xfe",
        f"{source}/link",
    ]
    assert not report.complete
    assert tree.content() == {"good": b"1"}


def test_the_system_roots_are_not_put(tree: Tree, source: Path) -> None:
    write_folder(
        source,
        {".aeordb-system/x": b"1", ".aeordb-config/y": b"2", ".aeordb-mine/z": b"3", "a": b"4"},
    )
    report = tree.put_tree(source)
    assert tree.content().keys() == {".aeordb-mine/z", "a"}
    assert len(report.skipped) == 2
    tree.put_tree(source, "/below")
    assert ".aeordb-config/y" in tree.content("/below")
    for dest in ("/.aeordb-system", "/.aeordb-config/z"):
        with pytest.raises(PathError):
            tree.put_tree(source, dest)


def test_the_database_does_not_swallow_itself(tree: Tree, source: Path) -> None:
    write_folder(source, {"data.aeordb": b"db", "data.aeordb.lock": b"", "other": b"1"})
    os.link(source / "data.aeordb", source / "hardlink")
    own = (source / "data.aeordb", source / "data.aeordb.lock", source / "no-such")
    report = tree.put_tree(source, own_files=own)
    assert tree.content() == {"other": b"1"}
    assert [Path(skipped.path).name for skipped in report.skipped] == [
        "data.aeordb",
        "data.aeordb.lock",
        "hardlink",
    ]
    assert report.complete


def test_what_vanishes_is_reported(
    tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(
        source, {"a": b"1", "gone": b"2", "large": noise(1, BLOCK_LENGTH), "sub/x": b"3", "z": b"4"}
    )
    tree.put("/gone", b"older")
    tree.put("/sub/kept", b"older")
    real_list = source_module.list_folder

    def list_and_lose(path: bytes) -> Any:
        if path.endswith(b"/sub"):
            raise PermissionError(13, "Permission denied")
        found = real_list(path)
        (source / "gone").unlink()
        (source / "large").unlink()
        return found

    monkeypatch.setattr("aeordb.folders.put.list_folder", list_and_lose)
    report = tree.put_tree(source, delete=True)
    assert {Path(skipped.path).name: skipped.reason for skipped in report.skipped} == {
        "gone": "no such file or directory",
        "large": "no such file or directory",
        "sub": "permission denied",
    }
    assert not report.complete
    assert tree.content() == {"a": b"1", "z": b"4", "gone": b"older", "sub/kept": b"older"}


def test_a_file_swapped_for_a_symlink_is_not_followed(
    tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(source, {"file": b"mine", "large": noise(1, BLOCK_LENGTH), "pipe": b"p"})
    secret = source.parent / "secret"
    secret.write_bytes(b"secret")
    real_list = source_module.list_folder

    def list_and_swap(path: bytes) -> Any:
        found = real_list(path)
        for name in ("file", "large", "pipe"):
            (source / name).unlink()
        (source / "file").symlink_to(secret)
        (source / "large").symlink_to(secret)
        os.mkfifo(source / "pipe")
        return found

    monkeypatch.setattr("aeordb.folders.put.list_folder", list_and_swap)
    report = tree.put_tree(source)
    assert len(report.skipped) == 3
    assert tree.content() == {}


def test_what_was_read_is_what_is_stored(
    tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grows or shrinks between listing and reading."""
    write_folder(source, {"grows": b"1", "shrinks": b"22"})
    real_read = source_module.read_whole

    def change_and_read(path: bytes) -> Any:
        Path(os.fsdecode(path)).write_bytes(b"longer" if path.endswith(b"grows") else b"")
        return real_read(path)

    monkeypatch.setattr(batches, "read_whole", change_and_read)
    tree.put_tree(source)
    assert tree.content() == {"grows": b"longer", "shrinks": b""}
    assert tree.child("/grows").size == 6


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source / "grows"
    path.write_bytes(b"123")
    real_open = source_module.open_regular

    def open_and_grow(name: bytes) -> Any:
        opened = real_open(name)
        path.write_bytes(b"123456789")
        return opened

    monkeypatch.setattr(source_module, "open_regular", open_and_grow)
    assert source_module.read_whole(os.fsencode(path)).data == b"123456789"


def test_paths_longer_than_the_system_takes(tree: Tree, source: Path) -> None:
    """Folders so deep that their paths pass 4,096 bytes are walked, read and put."""
    here = os.open(source, os.O_RDONLY)
    for _ in range(30):
        name = "n" * 200
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    fd = os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(fd, b"deep")
    os.close(fd)
    os.symlink("target", "link", dir_fd=here)
    os.close(here)
    assert tree.put_tree(source).complete
    path = "/".join(["n" * 200] * 30)
    assert tree.content() == {f"{path}/leaf": b"deep", f"{path}/link": Link("target")}


def test_what_is_too_deep_or_too_long_is_reported(tree: Tree, source: Path) -> None:
    write_folder(source, {"a/b/c": b"1", "d": b"2"})
    dest = "/" + "/".join("d" for _ in range(998))
    report = tree.put_tree(source, dest)
    assert [skipped.path for skipped in report.skipped] == [f"{source}/a/b/c"]
    assert tree.content(dest) == {"d": b"2"}


def test_a_source_that_is_no_folder(tree: Tree, source: Path) -> None:
    with pytest.raises(NotFoundError):
        tree.put_tree(source / "missing")
    (source / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="as a folder"):
        tree.put_tree(source / "file")


def test_a_destination_that_is_no_folder(tree: Tree, source: Path) -> None:
    tree.put("/file")
    with pytest.raises(ExistsError):
        tree.put_tree(source, "/file")
    with pytest.raises(PathError):
        tree.put_tree(source, "/file/below")
    with pytest.raises(PathError):
        tree.put_tree(source, "/a/../b")


def test_progress_counts_what_is_read(tree: Tree, source: Path) -> None:
    class Count:
        bytes = items = finished = 0

        def start(self, total: int | None, label: str) -> None:
            assert label

        def advance(self, count: int, items: int = 0) -> None:
            self.bytes += count
            self.items += items

        def finish(self) -> None:
            self.finished += 1

    content: dict[str, Content] = {"small": prose(1, 5_000), "large": noise(1, BLOCK_LENGTH)}
    write_folder(source, content)
    count = Count()
    tree.put_tree(source, progress=count)
    assert (count.bytes, count.items, count.finished) == (5_000 + BLOCK_LENGTH, 2, 1)


def test_the_result_does_not_depend_on_the_number_of_threads(source: Path) -> None:
    write_folder(source, {**mixed_tree(), **dict(small_files(800, 20, high=900))})
    results = []
    for jobs in (1, 2, 5):
        tree = Tree()
        tree.writer.now = lambda: 77  # type: ignore[method-assign]
        tree.put_tree(source, jobs=jobs)
        entries = {key: (entry.value, entry.compression) for key, entry in tree.writer.log}
        results.append((tree.root, entries, len(tree.writer.log)))
    assert results[0] == results[1] == results[2]


def test_a_failing_store_ends_the_put(
    tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(source, dict(small_files(600, 3, high=300)))

    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(tree.writer, "append_many", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        tree.put_tree(source)
