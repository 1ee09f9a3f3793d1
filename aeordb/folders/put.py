"""A folder on disk into the tree: what changed is read, hashed and stored, the rest is left alone.

This thread walks the source in name order and changes the tree; a pool of threads reads and
prepares small files in batches. A folder is sealed when all that lies in it has been put, so that
memory does not grow with the source.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress

from aeordb.errors import ExistsError, NotFoundError, PathError, UsageError, quote
from aeordb.folders.batches import Batches, Item, Ready, kept_creation
from aeordb.folders.report import PutReport, Skipped, path_bytes, reason_of, shown
from aeordb.folders.source import Found, list_folder, milliseconds, open_regular, read_link
from aeordb.format import constants as c
from aeordb.format.keys import symlink_identity_key
from aeordb.format.nodes import Child
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.storage.protocols import Writer
from aeordb.tree.blocks import BLOCK_LENGTH, SourceError
from aeordb.tree.edit import TreeEdit, kind_name
from aeordb.tree.ingest import append_record, default_jobs, store_content
from aeordb.tree.paths import (
    ROOT,
    TreePath,
    check_limits,
    check_writable,
    is_hidden,
    join,
    parse_path,
)
from aeordb.tree.small_files import Prepared, append_prepared


@dataclass(slots=True)
class _Folder:
    """A folder under way. `rest` are its entries not looked at yet, `known` what the tree has.

    `changed`: something in it or below it was put or deleted.
    """

    path: TreePath
    source: bytes
    updated: int
    known: dict[str, Child]
    rest: Iterator[Found]
    parent: _Folder | None
    names: set[str] = field(default_factory=set)
    changed: bool = False


def put_tree(
    writer: Writer,
    edit: TreeEdit,
    source: str | os.PathLike[str],
    dest: str = "/",
    *,
    delete: bool = False,
    checksum: bool = False,
    progress: Progress = NO_PROGRESS,
    jobs: int | None = None,
    own_files: Iterable[str | os.PathLike[str]] = (),
) -> PutReport:
    """Puts what lies in the folder `source` into the folder `dest` of the tree (surface.md 2).

    A file whose size and modification time (ms) are those in the tree is not read again, unless
    `checksum`. Symlinks stay symlinks; other kinds are left out, as is what cannot be read. A file
    or symlink of the tree gives way to a folder of its name, a folder to a file only with `delete`.

    Args:
        delete: what a folder of the tree has and its source lacks goes, save names that begin with
            `.aeordb-`.
        checksum: reads every file, and stores those whose bytes or times differ.
        jobs: threads; None is one for each processor.
        own_files: the database and its lock, never put into itself.

    Raises NotFoundError and UsageError for a source that is no folder, ExistsError and PathError
    for the destination.
    """
    options = _Options(delete, checksum, jobs or default_jobs(), frozenset(_identities(own_files)))
    return _Put(writer, edit, options, progress).run(path_bytes(source), parse_path(dest))


@dataclass(frozen=True, slots=True)
class _Options:
    """`own`: device and inode of each file that is not to be put."""

    delete: bool
    checksum: bool
    jobs: int
    own: frozenset[tuple[int, int]]


class _Put:
    def __init__(
        self, writer: Writer, edit: TreeEdit, options: _Options, progress: Progress
    ) -> None:
        self._writer = writer
        self._edit = edit
        self._options = options
        self._progress = progress
        self._pool = ThreadPoolExecutor(options.jobs, "aeordb-put")
        room = options.jobs + 1
        self._batches = Batches(self._pool, room, writer.now, self._put_ready, self._seal)
        self._skipped: list[Skipped] = []
        self._files = self._unchanged = self._folders = self._symlinks = 0
        self._deleted = self._bytes = 0

    def run(self, source: bytes, dest: TreePath) -> PutReport:
        try:
            updated = milliseconds(os.stat(source))
            entries = list_folder(source)
        except FileNotFoundError:
            raise NotFoundError(what="folder", name=shown(source)) from None
        except OSError as error:
            reason = f"{quote(shown(source))} cannot be read as a folder: {reason_of(error)}"
            raise UsageError(reason) from None
        check_writable(dest)
        self._progress.start(None, f"Putting {shown(source)}")
        try:
            old = self._edit.lookup(dest)
            if old is not None and old.kind != c.KIND_DIRECTORY:
                raise ExistsError(f"{quote(dest)} is {kind_name(old.kind)}", path=dest)
            if old is None:
                self._edit.mkdir(dest, created=updated, updated=updated)
            folder = self._open(dest, source, updated, entries, None, is_new=old is None)
            self._walk(folder)
            self._batches.finish()
        finally:
            self._batches.cancel()
            self._pool.shutdown()
            self._progress.finish()
        return PutReport(
            self._files,
            self._unchanged,
            self._folders,
            self._symlinks,
            self._deleted,
            self._bytes,
            tuple(self._skipped),
        )

    # -- walking --------------------------------------------------------------------------

    def _walk(self, top: _Folder) -> None:
        stack = [top]
        while stack:
            folder = stack[-1]
            found = next(folder.rest, None)
            if found is None:
                stack.pop()
                self._leave(folder)
                continue
            inner = self._enter(folder, found)
            if inner is not None:
                stack.append(inner)

    def _enter(self, folder: _Folder, found: Found) -> _Folder | None:
        """Puts one entry, or queues it; of a folder that is to be walked gives that."""
        source = folder.source + b"/" + found.name
        try:
            name = found.name.decode()
            folder.names.add(name)
            path = join(folder.path, name)
            check_limits(path)
            if folder.path == ROOT:
                check_writable(path)
        except UnicodeDecodeError:
            self._skip(source, "its name is not UTF-8")
            return None
        except PathError as error:
            self._skip(source, error.reason)
            return None
        item = Item(folder, path, source, folder.known.get(name))
        mode = found.status.st_mode
        if stat.S_ISREG(mode):
            self._file(item, found.status)
        elif stat.S_ISDIR(mode):
            return self._inner(item, found.status)
        elif stat.S_ISLNK(mode):
            self._symlink(item, found.status)
        else:
            self._skip(source, f"it is {_special(mode)}", loss=False)
        return None

    def _inner(self, item: Item[_Folder], status: os.stat_result) -> _Folder | None:
        folder, path, source, old = item
        try:
            entries = list_folder(source)
        except OSError as error:
            self._skip(source, reason_of(error))
            return None
        updated = milliseconds(status)
        is_new = old is None or old.kind != c.KIND_DIRECTORY
        if is_new:
            if old is not None:
                self._deleted += self._edit.delete(path)
            self._edit.mkdir(path, created=updated, updated=updated)
        return self._open(path, source, updated, entries, folder, is_new=is_new)

    def _open(
        self,
        path: TreePath,
        source: bytes,
        updated: int,
        entries: list[Found],
        parent: _Folder | None,
        *,
        is_new: bool,
    ) -> _Folder:
        known = {} if is_new else {child.name: child for child in self._edit.children(path)}
        self._folders += is_new
        return _Folder(path, source, updated, known, iter(entries), parent, changed=is_new)

    def _leave(self, folder: _Folder) -> None:
        if self._options.delete:
            for name in folder.known.keys() - folder.names:
                if not is_hidden(name):
                    path = join(folder.path, name)
                    self._deleted += self._edit.delete(path, recursive=True)
                    folder.changed = True
        folder.known = {}
        folder.names = set()
        self._batches.done(folder)

    def _seal(self, folder: _Folder) -> None:
        if not folder.changed or folder.path == ROOT:
            return
        self._edit.mkdir(folder.path, updated=folder.updated)
        self._edit.seal(folder.path)
        if folder.parent is not None:
            folder.parent.changed = True

    # -- what is put ----------------------------------------------------------------------

    def _file(self, item: Item[_Folder], status: os.stat_result) -> None:
        old, size = item.old, status.st_size
        if (status.st_dev, status.st_ino) in self._options.own:
            self._skip(item.source, "it is the database itself", loss=False)
            return
        if old is not None and old.kind == c.KIND_FILE:
            same = old.size == size and old.updated == milliseconds(status)
            if same and not self._options.checksum:
                self._unchanged += 1
                return
        elif not self._make_room(item):
            return
        if size >= BLOCK_LENGTH:
            self._large_file(item)
        else:
            self._batches.add(item, size)

    def _large_file(self, item: Item[_Folder]) -> None:
        folder, path, source, old = item
        try:
            fd, status = open_regular(source)
        except OSError as error:
            self._skip(source, reason_of(error))
            return
        updated = milliseconds(status)
        with open(fd, "rb", buffering=0) as file:
            try:
                stored = store_content(
                    self._writer,
                    path,
                    file,
                    created=kept_creation(old, updated),
                    updated=updated,
                    jobs=self._options.jobs,
                    pool=self._pool,
                    advance=self._progress.advance,
                )
            except SourceError as error:
                self._skip(source, reason_of(error))
                return
        self._progress.advance(0, 1)
        if _is_same(old, stored.child):
            self._unchanged += 1
            return
        append_record(self._writer, stored)
        self._edit.put_child(path, stored.child, stored.record)
        self._count(folder, stored.child)

    def _symlink(self, item: Item[_Folder], status: os.stat_result) -> None:
        folder, path, source, old = item
        try:
            target = read_link(source).decode()
        except OSError as error:
            self._skip(source, reason_of(error))
            return
        except UnicodeDecodeError:
            self._skip(source, "the symlink's target is not UTF-8")
            return
        if old is not None and old.kind == c.KIND_SYMLINK:
            if old.hash == symlink_identity_key(path, target):
                self._unchanged += 1
                return
        elif not self._make_room(item):
            return
        updated = milliseconds(status)
        try:
            self._edit.symlink(path, target, created=kept_creation(old, updated), updated=updated)
        except PathError as error:
            self._skip(source, error.reason)
            return
        self._symlinks += 1
        folder.changed = True

    def _make_room(self, item: Item[_Folder]) -> bool:
        """Whether a file or symlink may take the place of what the tree has there."""
        if item.old is None or item.old.kind != c.KIND_DIRECTORY:
            return True
        if not self._options.delete:
            self._skip(item.source, "a folder stands in its place (--delete replaces it)")
            return False
        self._deleted += self._edit.delete(item.path, recursive=True)
        item.folder.changed = True
        return True

    def _put_ready(self, ready: Ready[_Folder]) -> None:
        items, prepared, skipped = ready
        self._skipped += skipped
        if self._options.checksum:
            items, prepared = self._without_same(items, prepared)
        append_prepared(self._writer, prepared)
        put_child = self._edit.put_child
        for item, child in zip(items, prepared.children, strict=True):
            put_child(item.path, child)
            self._count(item.folder, child)
        self._progress.advance(prepared.size, len(items))

    def _without_same(
        self, items: list[Item[_Folder]], prepared: Prepared
    ) -> tuple[list[Item[_Folder]], Prepared]:
        """Leaves out what was read for nothing: the tree has it with the same bytes and times."""
        changed = [
            not _is_same(item.old, child)
            for item, child in zip(items, prepared.children, strict=True)
        ]
        self._unchanged += changed.count(False)
        return list(compress(items, changed)), prepared._replace(
            children=list(compress(prepared.children, changed)),
            records=list(compress(prepared.records, changed)),
            path_keys=list(compress(prepared.path_keys, changed)),
        )

    def _count(self, folder: _Folder, child: Child) -> None:
        folder.changed = True
        self._files += 1
        self._bytes += child.size

    def _skip(self, source: bytes, reason: str, *, loss: bool = True) -> None:
        self._skipped.append(Skipped(shown(source), reason, loss))


def _is_same(old: Child | None, new: Child) -> bool:
    """Whether a file that was read again is what the tree has."""
    return old is not None and old._replace(virtual_time=0) == new._replace(virtual_time=0)


def _identities(paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield status.st_dev, status.st_ino


def _special(mode: int) -> str:
    kinds = {
        stat.S_IFSOCK: "a socket",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return kinds.get(stat.S_IFMT(mode), "of a kind that cannot be stored")
