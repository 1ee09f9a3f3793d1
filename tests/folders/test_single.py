"""One file in, one file out."""

import io
import os
from pathlib import Path

import pytest

from aeordb.errors import ExistsError, NotFoundError, PathError, UsageError
from aeordb.folders import get_file, put_file, write_to
from aeordb.format.nodes import Child
from aeordb.tree.paths import parse_path
from tests.folders.conftest import Tree
from tests.kit.folders import noise


def put(tree: Tree, path: str, source: object, **options: object) -> Child:
    edit = tree.edit()
    child = put_file(tree.writer, edit, path, source, **options)  # type: ignore[arg-type]
    tree.root = edit.finish()
    return child


def get(tree: Tree, path: str, dest: Path) -> int:
    return get_file(tree.writer, tree.child(path), parse_path(path), dest)


def test_a_file_comes_from_disk_memory_or_a_stream(tree: Tree, source: Path) -> None:
    data = noise("single", 600_000)
    (source / "file").write_bytes(data)
    os.utime(source / "file", (44, 44))
    for name, content in {
        "path": source / "file",
        "text": str(source / "file"),
        "bytes": data,
        "stream": io.BytesIO(data),
    }.items():
        child = put(tree, f"/d/{name}", content)
        on_disk = name in ("path", "text")
        assert (child.updated == 44_000) == on_disk
        assert child.created == child.updated
    assert set(tree.content().values()) == {data}


def test_the_creation_of_what_is_replaced_stays(tree: Tree, source: Path) -> None:
    put(tree, "/a", b"1", created=5, updated=6)
    (source / "file").write_bytes(b"2")
    child = put(tree, "/a", source / "file")
    assert child.created == 5
    assert child.updated == os.stat(source / "file").st_mtime_ns // 1_000_000
    child = put(tree, "/a", b"3", created=9, content_type="x/y", metadata=b"{}")
    assert (child.created, child.content_type) == (9, "x/y")


def test_nothing_is_read_for_a_path_that_is_refused(tree: Tree) -> None:
    class Unread(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise AssertionError

    tree.put("/folder/file")
    for path, error in {
        "/folder": ExistsError,
        "/folder/file/below": PathError,
        "/.aeordb-system/x": PathError,
        "/a//b": PathError,
        "/": PathError,
    }.items():
        with pytest.raises(error):
            put(tree, path, Unread())


def test_sources_that_cannot_be_read(tree: Tree, source: Path) -> None:
    with pytest.raises(NotFoundError):
        put(tree, "/a", source / "missing")
    with pytest.raises(UsageError, match="put -r"):
        put(tree, "/a", source)
    with pytest.raises(UsageError, match="binary"):
        put(tree, "/a", io.StringIO("x"))


def test_a_file_is_whole_under_its_name_or_not_there(tree: Tree, dest: Path) -> None:
    data = noise("out", 700_000)
    tree.put("/d/file", data, updated=3_000)
    assert get(tree, "/d/file", dest / "new/folder/name") == len(data)
    path = dest / "new/folder/name"
    assert path.read_bytes() == data
    assert path.stat().st_mtime == 3
    tree.put("/d/file", b"newer")
    path.with_name("link").symlink_to("name")
    get(tree, "/d/file", path.with_name("link"))
    assert path.read_bytes() == data
    assert path.with_name("link").read_bytes() == b"newer"
    assert not path.with_name("link").is_symlink()
    with pytest.raises(ExistsError):
        get(tree, "/d/file", dest / "new")
    with pytest.raises(UsageError):
        get(tree, "/d/file", path / "below-a-file")
    assert sorted(os.listdir(path.parent)) == ["link", "name"]


def test_a_relative_destination(tree: Tree, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.put("/file", b"1")
    monkeypatch.chdir(source)
    get(tree, "/file", Path("here"))
    assert (source / "here").read_bytes() == b"1"


def test_a_symlink_comes_out_as_one(tree: Tree, dest: Path) -> None:
    tree.symlink("/link", "../elsewhere")
    assert get(tree, "/link", dest / "out") == 0
    assert os.readlink(dest / "out") == "../elsewhere"


def test_a_stream_gets_the_bytes(tree: Tree) -> None:
    data = noise("stream", 600_000)
    tree.put("/file", data)
    stream = io.BytesIO()
    assert write_to(tree.writer, tree.child("/file"), parse_path("/file"), stream) == len(data)
    assert stream.getvalue() == data
