"""A folder of a version out to disk: nothing outside its place, no file under its name before it is
whole."""

from __future__ import annotations

import os
from collections.abc import Iterator

from aeordb.errors import DamagedError, ExistsError, NotFoundError, quote
from aeordb.folders.report import GetReport, Skipped, path_bytes, reason_of, shown
from aeordb.folders.target import Target, is_fatal, write_error
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.protocols import Reader
from aeordb.tree.directory import list_children
from aeordb.tree.ingest import default_jobs
from aeordb.tree.paths import DEPTH_MAX, TreePath, is_hidden, join, parse_path
from aeordb.tree.reading import iter_chunks, read_record
from aeordb.tree.relocate import read_symlink
from aeordb.tree.walk import find


def get_tree(
    reader: Reader,
    root: bytes,
    path: str,
    dest: str | os.PathLike[str],
    *,
    hidden: bool = False,
    progress: Progress = NO_PROGRESS,
    jobs: int | None = None,
) -> GetReport:
    """Writes what lies in the folder `path` of the version `root` into the folder `dest`.

    A file or symlink at `path` becomes `dest` itself. Missing folders are made. A file or symlink
    that is there is replaced where one of its name comes out, a folder joined; what else stands in
    the way is kept, and what was to come there is reported as skipped, as is what is damaged. Times
    are kept to the millisecond.

    Args:
        hidden: also names that begin with `.aeordb-`.
        jobs: threads that read large files ahead (`reader` must allow that); None is one for each
            processor.

    Raises NotFoundError, ExistsError where something else stands at `dest`, NotDurableError when
    the disk is full, DamagedError for a single file.
    """
    place = parse_path(path)
    child = find(reader, root, place)
    if child is None:
        raise NotFoundError(what="path", name=place)
    raw = path_bytes(dest)
    progress.start(None, f"Getting {place}")
    try:
        if child.kind == c.KIND_DIRECTORY:
            return _get_folder(reader, place, child, raw, hidden, progress, jobs or default_jobs())
        return _get_single(reader, place, child, raw, progress, jobs or default_jobs())
    finally:
        progress.finish()


def _get_folder(
    reader: Reader,
    path: TreePath,
    child: Child,
    dest: bytes,
    hidden: bool,
    progress: Progress,
    jobs: int,
) -> GetReport:
    try:
        target = Target(dest)
    except (FileExistsError, NotADirectoryError):
        raise ExistsError(f"{quote(shown(dest))} is not a folder", path=shown(dest)) from None
    except OSError as error:
        raise write_error(dest, error) from error
    try:
        return _Get(reader, target, hidden, progress, jobs).run(path, child)
    except OSError as error:
        raise write_error(dest, error) from error
    finally:
        target.close()


def _get_single(
    reader: Reader, path: TreePath, child: Child, dest: bytes, progress: Progress, jobs: int
) -> GetReport:
    folder, _, name = dest.rpartition(b"/")
    try:
        target = Target(folder or (b"/" if dest.startswith(b"/") else b"."))
        try:
            get = _Get(reader, target, True, progress, jobs)
            get.one(path, child, name)
            return get.report()
        finally:
            target.close()
    except IsADirectoryError:
        raise ExistsError(f"{quote(shown(dest))} is a folder", path=shown(dest)) from None
    except (FileExistsError, NotADirectoryError):
        raise ExistsError(f"{quote(shown(folder))} is not a folder", path=shown(folder)) from None
    except OSError as error:
        raise write_error(dest, error) from error


class _Get:
    def __init__(
        self, reader: Reader, target: Target, hidden: bool, progress: Progress, jobs: int
    ) -> None:
        self._reader = reader
        self._target = target
        self._hidden = hidden
        self._progress = progress
        self._jobs = jobs
        self._skipped: list[Skipped] = []
        self._files = self._folders = self._symlinks = self._bytes = 0

    def run(self, path: TreePath, folder: Child) -> GetReport:
        """Writes all that lies in a folder into the target."""
        # The folders we are in: path, times, children still to come.
        stack: list[tuple[TreePath, Child, Iterator[Child]]] = [
            (path, folder, list_children(self._reader, folder.hash))
        ]
        while stack:
            path, folder, children = stack[-1]
            try:
                child = next(children, None)
            except DamagedError as error:
                self._skip(path, str(error))
                child = None
            if child is None:
                stack.pop()
                if stack:
                    self._target.leave(folder.updated)
                continue
            if is_hidden(child.name) and not self._hidden:
                continue
            place = join(path, child.name)
            try:
                if child.kind != c.KIND_DIRECTORY:
                    self.one(place, child, child.name.encode())
                elif len(stack) > DEPTH_MAX:
                    self._skip(place, f"folders nest more than {DEPTH_MAX:,} levels deep")
                else:
                    self._folders += self._target.enter(child.name.encode())
                    stack.append((place, child, list_children(self._reader, child.hash)))
            except DamagedError as error:
                self._skip(place, str(error))
            except OSError as error:
                if is_fatal(error):
                    raise
                self._skip(place, reason_of(error))
        return self.report()

    def report(self) -> GetReport:
        """What was written so far."""
        return GetReport(
            self._files, self._folders, self._symlinks, self._bytes, tuple(self._skipped)
        )

    def one(self, path: TreePath, child: Child, name: bytes) -> None:
        """Writes a file or symlink under a name in the target's folder."""
        if child.kind == c.KIND_SYMLINK:
            link = read_symlink(self._reader, child, path)
            self._target.write_link(name, link.target.encode(), child.updated)
            self._symlinks += 1
            return
        record = read_record(self._reader, child, path)
        content = iter_chunks(self._reader, record, jobs=self._jobs)
        advance = self._progress.advance
        self._bytes += self._target.write_file(name, content, child.updated, advance)
        self._files += 1
        advance(0, 1)

    def _skip(self, path: TreePath, reason: str) -> None:
        self._skipped.append(Skipped(path, reason))
