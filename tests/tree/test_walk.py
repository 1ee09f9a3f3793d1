"""Walking a version: order, hidden names, and damage that says where it was met."""

from __future__ import annotations

import pytest

from aeordb.errors import DamagedError, NotFoundError
from aeordb.format import constants as c
from aeordb.format.nodes import Child, encode_listing
from aeordb.tree.directory import edit_directory
from aeordb.tree.paths import parse_path
from aeordb.tree.walk import find, walk
from tests.kit.layout import h
from tests.tree.fake import FakeWriter, file_child


def folder(name: str, directory: tuple[bytes, int]) -> Child:
    return Child(c.KIND_DIRECTORY, directory[0], directory[1], 1, 1, name)


def listing(writer: FakeWriter, *children: Child) -> tuple[bytes, int]:
    return edit_directory(writer, None, {child.name: child for child in children})


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


@pytest.fixture
def root(writer: FakeWriter) -> bytes:
    many = listing(writer, *(file_child(f"{i:03}") for i in range(300)))
    hidden = listing(writer, file_child("x.idx"))
    a = listing(writer, file_child("z"), folder("many", many), folder(".aeordb-indexes", hidden))
    children = (file_child("b"), file_child("a.txt"), folder("a", a), file_child("\u00e9"))
    return listing(writer, *children)[0]


def test_names_in_byte_order_and_folders_before_their_content(
    writer: FakeWriter, root: bytes
) -> None:
    many = [f"/a/many/{i:03}" for i in range(300)]
    hidden = ["/a/.aeordb-indexes", "/a/.aeordb-indexes/x.idx"]
    rest = ["/a/many", *many, "/a/z", "/a.txt", "/b", "/\u00e9"]
    assert [path for path, _ in walk(writer, root)] == ["/a", *rest]
    assert [path for path, _ in walk(writer, root, hidden=True)] == ["/a", *hidden, *rest]
    below = [path for path, _ in walk(writer, root, parse_path("/a/many"))]
    assert below == many
    flat = [path for path, _ in walk(writer, root, parse_path("/a"), recursive=False)]
    assert flat == ["/a/many", "/a/z"]


def test_a_file_is_all_there_is_below_it(writer: FakeWriter, root: bytes) -> None:
    assert list(walk(writer, root, parse_path("/b"))) == [("/b", file_child("b"))]


def test_find(writer: FakeWriter, root: bytes) -> None:
    found = find(writer, root, parse_path("/a/many/123"))
    assert found == file_child("123")
    assert find(writer, root, parse_path("/a/many/1234")) is None
    assert find(writer, root, parse_path("/b/x")) is None
    top = find(writer, root, parse_path("/"))
    assert top is not None
    assert (top.kind, top.hash) == (c.KIND_DIRECTORY, root)
    with pytest.raises(NotFoundError) as caught:
        list(walk(writer, root, parse_path("/a/no")))
    assert caught.value.name == "/a/no"


def test_nothing_lies_under_a_new_file_of_aeordb(writer: FakeWriter) -> None:
    """AeorDB's new files name no root at all: HEAD is zero."""
    assert list(walk(writer, c.ZERO_HASH)) == []
    assert find(writer, c.ZERO_HASH, parse_path("/a")) is None


def test_damage_names_the_path(writer: FakeWriter, root: bytes) -> None:
    many = find(writer, root, parse_path("/a/many"))
    assert many is not None
    del writer.live[many.hash]
    seen = []
    with pytest.raises(DamagedError) as caught:
        seen.extend(path for path, _ in walk(writer, root))
    assert caught.value.path == "/a/many"
    assert caught.value.key == many.hash
    assert seen == ["/a", "/a/many"]
    with pytest.raises(DamagedError) as caught:
        find(writer, root, parse_path("/a/many/001"))
    assert caught.value.path == "/a/many/001"


@pytest.mark.parametrize("name", [".", "..", "a/b", "/", "../../etc/passwd", "a\0"])
def test_names_that_would_lead_out_are_damage(writer: FakeWriter, name: str) -> None:
    value = encode_listing([file_child(name).encode()])
    writer.append(c.ENTRY_DIRECTORY, h(b"dirc:", value), value)
    with pytest.raises(DamagedError, match="illegal name") as caught:
        list(walk(writer, h(b"dirc:", value)))
    assert caught.value.path == "/"


def test_a_folder_inside_itself_ends(writer: FakeWriter) -> None:
    """No hash holds itself, but a hostile index can say so."""
    loop = b"l" * 32
    value = encode_listing([Child(c.KIND_DIRECTORY, loop, 0, 0, 0, "d").encode()])
    writer.append(c.ENTRY_DIRECTORY, loop, value)
    seen = []
    with pytest.raises(DamagedError, match="nest") as caught:
        seen.extend(path for path, _ in walk(writer, loop))
    assert len(seen) == 1_000
    assert caught.value.path == seen[-1]


def test_a_path_that_grows_too_long_is_damage(writer: FakeWriter) -> None:
    loop = b"l" * 32
    name = "n" * 40_000
    value = encode_listing([Child(c.KIND_DIRECTORY, loop, 0, 0, 0, name).encode()])
    writer.append(c.ENTRY_DIRECTORY, loop, value)
    with pytest.raises(DamagedError, match="65,535"):
        list(walk(writer, loop))
