"""Records at other paths: a record holds its path, so all below a moved folder is written anew."""

from __future__ import annotations

from collections.abc import Iterator

from aeordb.errors import DamagedError, PathError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import (
    directory_path_key,
    file_identity_key,
    file_path_key,
    symlink_identity_key,
    symlink_path_key,
)
from aeordb.format.nodes import Child
from aeordb.format.records import FileRecord, SymlinkRecord
from aeordb.native.hashing import Hasher
from aeordb.storage.protocols import Reader, Writer
from aeordb.tree.directory import at_path, edit_directory, list_children
from aeordb.tree.paths import TreePath, check_limits, join, split
from aeordb.tree.reading import iter_chunks
from aeordb.tree.walk import stored_place, walk


def target_fault(target: str) -> str:
    """Why a symlink cannot hold this target, or ""."""
    if not target:
        return "it is empty"
    if "\0" in target:
        return "it contains a NUL character"
    try:
        length = len(target.encode())
    except UnicodeEncodeError:
        return "it contains a lone surrogate, which UTF-8 cannot hold"
    return f"it has more than {c.PATH_MAX:,} bytes" if length > c.PATH_MAX else ""


def read_symlink(reader: Reader, child: Child, path: TreePath) -> SymlinkRecord:
    """The record of a listed symlink; `path` is for messages. DamagedError if it does not hold."""
    try:
        entry = reader.read_as(child.hash, c.ENTRY_SYMLINK)
        return SymlinkRecord.decode(entry.value)
    except DamagedError as error:
        raise at_path(error, path) from None
    except FormatError as fault:
        raise DamagedError(
            key=child.hash,
            entry_type=c.ENTRY_SYMLINK,
            offset=entry.offset,
            reason=fault.reason,
            path=path,
        ) from None


def append_symlink(writer: Writer, record: SymlinkRecord) -> tuple[Child, bytes]:
    """Appends a symlink's record under its identity key: its child entry and its encoded record."""
    key = symlink_identity_key(record.path, record.target)
    value = record.encode()
    writer.append(c.ENTRY_SYMLINK, key, value)
    name = split(TreePath(record.path))[1]
    times = record.created, record.updated
    return Child(c.KIND_SYMLINK, key, 0, *times, name, "", writer.now()), value


def append_moved(
    writer: Writer, child: Child, source: TreePath, target: TreePath
) -> tuple[Child, bytes]:
    """Appends the record of a file or symlink for another path, under the new identity key.

    Times are those of the listing: the record may be another version's. Returns the new child
    entry and the encoded record. Raises DamagedError with the old path.
    """
    if child.kind == c.KIND_SYMLINK:
        link = read_symlink(writer, child, source)
        return append_symlink(
            writer, SymlinkRecord(target, link.target, child.created, child.updated)
        )
    try:
        entry = writer.read_as(child.hash, c.ENTRY_FILE)
        old = FileRecord.decode(entry.value, entry.version)
    except DamagedError as error:
        raise at_path(error, source) from None
    except FormatError as fault:
        raise DamagedError(
            key=child.hash,
            entry_type=c.ENTRY_FILE,
            offset=entry.offset,
            reason=fault.reason,
            path=source,
        ) from None
    content_hash = old.content_hash
    if content_hash is None:
        content_hash = _hash_content(writer, old)
    record = FileRecord(
        target,
        old.content_type,
        old.size,
        child.created,
        child.updated,
        content_hash,
        old.metadata,
        old.chunk_keys,
    ).encode()
    key = file_identity_key(target, old.content_type, old.chunk_keys)
    writer.append(c.ENTRY_FILE, key, record, version=c.FILE_RECORD_VERSION)
    name = split(target)[1]
    return child._replace(hash=key, name=name, virtual_time=writer.now()), record


def _hash_content(reader: Reader, record: FileRecord) -> bytes:
    """The content hash that a record of version 0 lacks: its content is read once."""
    hasher = Hasher()
    for chunk in iter_chunks(reader, record):
        hasher.update(chunk)
    return hasher.digest()


def check_paths(reader: Reader, folder: Child, source: TreePath, target: TreePath) -> None:
    """PathError if something below `source` would get too long or too deep a path at `target`."""
    check_limits(target)
    longer = len(target.encode()) > len(source.encode())
    if not longer and target.count("/") <= source.count("/"):
        return
    for path, _ in walk(reader, folder.hash, hidden=True):
        try:
            check_limits(TreePath(target + path))
        except PathError as error:
            raise PathError(
                f"{error.message} (moving {source} there)", path=error.path, reason=error.reason
            ) from None


def copy_folder(writer: Writer, folder: Child, source: TreePath, target: TreePath) -> Child:
    """Writes what lies in the folder at `source` as the new folder `target`; returns its child.

    Records are appended under identity and path keys, listings with their links; the folders keep
    their times. Memory: the listings of one branch.
    """
    stack = [_Copy(writer, folder, source, target)]
    while True:
        copy = stack[-1]
        inner = copy.fill(writer)
        if inner is not None:
            stack.append(inner)
            continue
        stack.pop()
        done = copy.close(writer)
        if not stack:
            return done
        stack[-1].edits[done.name] = done


class _Copy:
    """One folder on the way from `source` to `target`."""

    def __init__(self, writer: Writer, child: Child, source: TreePath, target: TreePath) -> None:
        self.child = child
        self.source = source
        self.target = target
        self.left: Iterator[Child] = list_children(writer, child.hash)
        self.edits: dict[str, Child | None] = {}

    def fill(self, writer: Writer) -> _Copy | None:
        """Copies files and symlinks up to the next folder, which is returned."""
        try:
            for child in self.left:
                source = stored_place(self.source, child)
                target = join(self.target, child.name)
                if child.kind == c.KIND_DIRECTORY:
                    return _Copy(writer, child, source, target)
                self.edits[child.name] = self._move(writer, child, source, target)
        except DamagedError as error:
            raise at_path(error, self.source) from None
        return None

    def _move(self, writer: Writer, child: Child, source: TreePath, target: TreePath) -> Child:
        moved, record = append_moved(writer, child, source, target)
        if child.kind == c.KIND_FILE:
            key, version = file_path_key(target), c.FILE_RECORD_VERSION
            writer.append(c.ENTRY_FILE, key, record, version=version)
        else:
            writer.append(c.ENTRY_SYMLINK, symlink_path_key(target), record)
        return moved

    def close(self, writer: Writer) -> Child:
        """Writes the listing and its link."""
        key, size = edit_directory(writer, None, self.edits)
        writer.append(c.ENTRY_DIRECTORY, directory_path_key(self.target), key)
        name = split(self.target)[1]
        return self.child._replace(hash=key, size=size, name=name, virtual_time=writer.now())
