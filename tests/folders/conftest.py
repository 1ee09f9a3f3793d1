"""A tree in memory, and folders on disk, for tests of what goes between them."""

from pathlib import Path
from typing import Any

import pytest

from aeordb.folders import GetReport, PutReport, get_tree, put_tree
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.tree.edit import TreeEdit
from aeordb.tree.ingest import store_file
from aeordb.tree.paths import parse_path
from aeordb.tree.reading import read_file, read_record
from aeordb.tree.relocate import read_symlink
from aeordb.tree.walk import find, walk
from tests.kit.folders import Content, Link
from tests.tree.fake import FakeWriter


class Tree:
    """A database of one version in memory: each call is a transaction of its own."""

    def __init__(self) -> None:
        self.writer = FakeWriter()
        self.root = c.ZERO_HASH

    def edit(self) -> TreeEdit:
        return TreeEdit(self.writer, self.root)

    def put_tree(self, source: Path, dest: str = "/", **options: Any) -> PutReport:
        edit = self.edit()
        report = put_tree(self.writer, edit, source, dest, **options)
        self.root = edit.finish()
        return report

    def get_tree(self, path: str, dest: Path, **options: Any) -> GetReport:
        return get_tree(self.writer, self.root, path, dest, **options)

    def put(self, path: str, data: bytes = b"x", *, updated: int = 5_000) -> None:
        edit = self.edit()
        place = parse_path(path)
        stored = store_file(self.writer, place, data, created=updated, updated=updated)
        edit.put_child(place, stored.child, stored.record)
        self.root = edit.finish()

    def mkdir(self, path: str) -> None:
        edit = self.edit()
        edit.mkdir(parse_path(path))
        self.root = edit.finish()

    def symlink(self, path: str, target: str) -> None:
        edit = self.edit()
        edit.symlink(parse_path(path), target)
        self.root = edit.finish()

    def child(self, path: str) -> Child:
        child = find(self.writer, self.root, parse_path(path))
        assert child is not None
        return child

    def content(self, path: str = "/") -> dict[str, Content]:
        """Files and symlinks below a folder by their paths from it, as `read_folder` gives them."""
        start = parse_path(path)
        found: dict[str, Content] = {}
        for place, child in walk(self.writer, self.root, start, hidden=True):
            name = place[len(start.rstrip("/")) + 1 :]
            if child.kind == c.KIND_FILE:
                found[name] = read_file(self.writer, read_record(self.writer, child, place))
            elif child.kind == c.KIND_SYMLINK:
                found[name] = Link(read_symlink(self.writer, child, place).target)
        return found

    def folders(self) -> list[str]:
        return [
            path
            for path, child in walk(self.writer, self.root, hidden=True)
            if child.kind == c.KIND_DIRECTORY
        ]


@pytest.fixture
def tree() -> Tree:
    return Tree()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty folder to be put."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Where to get to; not made."""
    return tmp_path / "dest"
