"""One file on disk into the tree, one file of a version out to disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import BinaryIO

from aeordb.errors import ExistsError, NotFoundError, UsageError, quote
from aeordb.folders.report import path_bytes, reason_of, shown
from aeordb.folders.source import milliseconds
from aeordb.folders.target import (
    OPEN_FOLDER,
    is_fatal,
    not_durable,
    write_file_at,
    write_link_at,
)
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.storage.protocols import Reader, Writer
from aeordb.tree.blocks import Source
from aeordb.tree.edit import TreeEdit
from aeordb.tree.ingest import store_file
from aeordb.tree.paths import TreePath, parse_path
from aeordb.tree.reading import iter_chunks, read_record
from aeordb.tree.relocate import read_symlink


def put_file(
    writer: Writer,
    edit: TreeEdit,
    path: str,
    source: Source | str | os.PathLike[str],
    *,
    content_type: str | None = None,
    created: int | None = None,
    updated: int | None = None,
    metadata: bytes = b"",
    jobs: int | None = None,
    pool: Executor | None = None,
    advance: Callable[[int], object] | None = None,
) -> Child:
    """Puts one file at `path`: bytes, a binary file object, or the file of a path on disk.

    Times in milliseconds. `updated` None: the modification time of a file on disk, else now;
    `created` None: that of the file that is replaced, else as `updated`. Raises what
    TreeEdit.put_child does before it reads anything, NotFoundError and UsageError for a source
    that cannot be read.
    """
    place = parse_path(path, file=True)
    old = edit.check_put(place)
    if created is None and old is not None:
        created = old.created

    def store(content: Source, updated: int | None) -> Child:
        stored = store_file(
            writer,
            place,
            content,
            content_type=content_type,
            created=updated if created is None else created,
            updated=updated,
            metadata=metadata,
            jobs=jobs,
            pool=pool,
            advance=advance,
        )
        edit.put_child(place, stored.child, stored.record)
        return stored.child

    if not isinstance(source, str | os.PathLike):
        return store(source, updated)
    name = shown(path_bytes(source))
    try:
        with open(source, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            return store(file, milliseconds(status) if updated is None else updated)
    except FileNotFoundError:
        raise NotFoundError(what="file", name=name) from None
    except IsADirectoryError:
        hint = "Put a folder with put -r (put_tree)."
        raise UsageError(f"{quote(name)} is a folder", hint=hint) from None
    except OSError as error:
        raise UsageError(f"{quote(name)} cannot be read: {reason_of(error)}") from error


def get_file(
    reader: Reader,
    child: Child,
    path: TreePath,
    dest: str | os.PathLike[str],
    *,
    jobs: int = 1,
    advance: Callable[[int], object] | None = None,
) -> int:
    """Writes a file of the tree to the path `dest`, or recreates a symlink there.

    The file gets its name when it is whole, and its times; a file or symlink of that name is
    replaced, a symlink as itself. Missing parent folders are made. Returns the bytes written.
    Raises ExistsError where a folder stands, DamagedError, NotDurableError when the disk is full.
    """
    raw = path_bytes(dest)
    folder, _, name = raw.rpartition(b"/")
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
        fd = os.open(folder or (b"/" if raw.startswith(b"/") else b"."), OPEN_FOLDER)
        try:
            return _write(reader, child, path, fd, name, jobs, advance)
        finally:
            os.close(fd)
    except IsADirectoryError:
        raise ExistsError(f"{quote(shown(raw))} is a folder", path=shown(raw)) from None
    except OSError as error:
        if is_fatal(error):
            raise not_durable(raw, error) from error
        raise UsageError(f"{quote(shown(raw))} cannot be written: {reason_of(error)}") from error


def _write(
    reader: Reader,
    child: Child,
    path: TreePath,
    folder: int,
    name: bytes,
    jobs: int,
    advance: Callable[[int], object] | None,
) -> int:
    if child.kind == c.KIND_SYMLINK:
        target = read_symlink(reader, child, path).target
        write_link_at(folder, name, target.encode(), child.updated)
        return 0
    record = read_record(reader, child, path)
    content = iter_chunks(reader, record, jobs=jobs)
    return write_file_at(folder, name, content, child.updated, advance)


def write_to(
    reader: Reader, child: Child, path: TreePath, stream: BinaryIO, *, jobs: int = 1
) -> int:
    """Writes a file's content to a binary stream, a chunk at a time; returns its length."""
    length = 0
    for part in iter_chunks(reader, read_record(reader, child, path), jobs=jobs):
        stream.write(part)
        length += len(part)
    return length
