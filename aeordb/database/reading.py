"""A version, read-only: what `db.at(version)` gives, and what the database itself reads with."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, cast

from aeordb.database.results import Kind, Stat
from aeordb.errors import NotFoundError, UsageError, quote
from aeordb.folders.get import get_tree
from aeordb.folders.report import GetReport
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.protocols import Reader
from aeordb.tree.file_blocks import FileBlocks
from aeordb.tree.paths import TreePath, parse_path
from aeordb.tree.reading import read_file, read_record
from aeordb.tree.relocate import read_symlink
from aeordb.tree.stored_file import open_file
from aeordb.tree.symlinks import follow
from aeordb.tree.walk import find, walk

_KINDS: dict[int, Kind] = {
    c.KIND_FILE: "file",
    c.KIND_DIRECTORY: "folder",
    c.KIND_SYMLINK: "symlink",
}

Path = str | os.PathLike[str]
Names = list[str]


class View:
    """One version of the tree; it stays as it is, whatever is written meanwhile.

    Paths are `str` with or without a leading slash. Every byte read is checked.
    """

    def __init__(self, reader: Reader, root: bytes) -> None:
        self._reader = reader
        self.root = root

    def stat(self, path: Path) -> Stat:
        """What stands at a path; a symlink is not followed. Raises NotFoundError."""
        place = parse_path(os.fspath(path))
        return make_stat(self._reader, place, self._find(place))

    def exists(self, path: Path) -> bool:
        """Whether anything stands at the path; a symlink is not followed."""
        return find(self._reader, self.root, parse_path(os.fspath(path))) is not None

    def follow(self, path: Path) -> Stat:
        """What stands at a path when symlinks are followed; its `path` is where that is.

        Raises NotFoundError, UsageError (a loop).
        """
        place = parse_path(os.fspath(path))
        child = find(self._reader, self.root, place)
        if child is None or child.kind == c.KIND_SYMLINK:
            place, child = follow(self._reader, self.root, place)
        return make_stat(self._reader, place, child)

    def is_root(self) -> bool:
        """Whether this is the root of a version: other folders have hashes too.

        Files know the path that they were put at; the first one found must lie there.
        """
        for place, child in walk(self._reader, self.root, hidden=True):
            if child.kind == c.KIND_FILE:
                return read_record(self._reader, child, place).path == place
        return True

    def read(self, path: Path) -> bytes:
        """A file's whole content; symlinks are followed. Raises NotFoundError, UsageError."""
        place, child = self._file(path)
        return read_file(self._reader, read_record(self._reader, child, place))

    def open(self, path: Path) -> BinaryIO:
        """A file as a binary file object with `seek`; symlinks are followed."""
        place, child = self._file(path)
        record = read_record(self._reader, child, place)
        return cast(BinaryIO, open_file(self._reader, record, jobs=2))

    def blocks(self, path: Path, first: int, length: int) -> FileBlocks:
        """A part of a file, which must have it, in blocks for several threads at once."""
        place, child = self._file(path)
        return FileBlocks(self._reader, read_record(self._reader, child, place), first, length)

    def list(
        self,
        path: Path = "/",
        *,
        hidden: bool = False,
        hashes: bool = True,
        offset: int = 0,
        limit: int | None = None,
    ) -> Iterator[Stat]:
        """What lies in a folder, in byte order of names; of a file or symlink, itself.

        `hidden`: also names that begin with `.aeordb-`. Without `hashes`, content hashes stay
        None and no file's record is read. `offset`: so many are left out; `limit`: at most so many.
        """
        return self._walk(
            path, hidden=hidden, hashes=hashes, recursive=False, offset=offset, limit=limit
        )

    def walk(
        self, path: Path = "/", *, hidden: bool = False, hashes: bool = True
    ) -> Iterator[Stat]:
        """All that lies below a folder, each folder before its content, as :meth:`list` does."""
        return self._walk(path, hidden=hidden, hashes=hashes, recursive=True)

    def glob(self, pattern: str, *, hidden: bool = False) -> Iterator[Stat]:
        """Paths that match: `*`, `?` and `[...]` within one name, `**` for any folders between, at
        the end for all that lies below."""
        wanted = [part for part in pattern.split("/") if part]
        start: Names = []
        for part in wanted[:-1]:
            if any(ch in part for ch in "*?["):
                break
            start.append(part)
        top = parse_path("/" + "/".join(start))
        child = find(self._reader, self.root, top)
        if child is None or child.kind != c.KIND_DIRECTORY:
            return
        deep = "**" in wanted
        depth = len(wanted)
        for stat in self._pruned(top, wanted, depth if not deep else None, hidden):
            if _matches(stat.path.split("/")[1:], wanted):
                yield self.stat(stat.path)

    def get_tree(
        self, path: Path, dest: Path, *, progress: Progress = NO_PROGRESS, jobs: int | None = None
    ) -> GetReport:
        """Writes a folder's content (or a file, or symlink) to `dest` on disk, and nowhere else."""
        place = parse_path(os.fspath(path))
        return get_tree(self._reader, self.root, place, dest, progress=progress, jobs=jobs or 2)

    def _pruned(
        self, top: TreePath, wanted: Names, depth: int | None, hidden: bool
    ) -> Iterator[Stat]:
        folders = [top]
        while folders:
            folder = folders.pop()
            for stat in self.list(folder, hidden=hidden, hashes=False):
                yield stat
                level = stat.path.count("/")
                if stat.kind != "folder" or (depth is not None and level >= depth):
                    continue
                if depth is None or fnmatch.fnmatchcase(_name(stat.path), wanted[level - 1]):
                    folders.append(TreePath(stat.path))

    def _walk(
        self,
        path: Path,
        *,
        hidden: bool,
        hashes: bool,
        recursive: bool,
        offset: int = 0,
        limit: int | None = None,
    ) -> Iterator[Stat]:
        place = parse_path(os.fspath(path))
        found_all = walk(self._reader, self.root, place, hidden=hidden, recursive=recursive)
        end = None if limit is None else offset + limit
        for found, child in islice(found_all, offset, end):
            yield make_stat(self._reader, found, child, hashes=hashes)

    def _find(self, place: TreePath) -> Child:
        child = find(self._reader, self.root, place)
        if child is None:
            raise NotFoundError(what="path", name=place)
        return child

    def _file(self, path: Path) -> tuple[TreePath, Child]:
        place = parse_path(os.fspath(path))
        child = find(self._reader, self.root, place)
        if child is None or child.kind == c.KIND_SYMLINK:
            place, child = follow(self._reader, self.root, place)
        if child.kind != c.KIND_FILE:
            raise UsageError(f"{quote(place)} is a folder", path=place)
        return place, child


def make_stat(
    reader: Reader,
    path: TreePath,
    child: Child,
    *,
    hashes: bool = True,
    content: bytes | None = None,
) -> Stat:
    """The public form of a child entry; reads the record for link target and content hash,
    unless `content` is that."""
    kind = _KINDS[child.kind]
    if kind == "file":
        if content is None and hashes:
            content = read_record(reader, child, path).content_hash
        return Stat(
            path,
            kind,
            child.size,
            child.created,
            child.updated,
            child.content_type or None,
            content.hex() if content is not None else None,
        )
    target = read_symlink(reader, child, path).target if kind == "symlink" else None
    return Stat(path, kind, 0, child.created, child.updated, target=target)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _matches(parts: Names, wanted: Names) -> bool:
    """Whether a path's names match a pattern's, where `**` stands for any number of folders."""
    if not wanted:
        return not parts
    if wanted == ["**"]:
        return bool(parts)
    if wanted[0] == "**":
        return _matches(parts, wanted[1:]) or (bool(parts) and _matches(parts[1:], wanted))
    if not parts or not fnmatch.fnmatchcase(parts[0], wanted[0]):
        return False
    return _matches(parts[1:], wanted[1:])
