"""Making a version the current one: HEAD moves, and the path keys that AeorDB reads follow."""

from __future__ import annotations

from collections.abc import Iterator

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import directory_path_key, file_path_key, symlink_path_key
from aeordb.format.nodes import Child
from aeordb.format.records import FileRecord
from aeordb.storage.protocols import Reader, Writer
from aeordb.tree.diff import Change, diff
from aeordb.tree.paths import TreePath
from aeordb.tree.removal import Removals


def promote(writer: Writer, old: bytes, new: bytes) -> bytes:
    """Rewrites the path keys of what differs between two roots; the new HEAD is `new`.

    Costs what differs. What `new` has in common with `old` is taken as complete, everything else
    is looked at: DamagedError names what the file lacks, and nothing is committed.
    """
    if old == new:
        return new
    # Deletions first: where a path changed its kind, the entry must be the newer one.
    removals = Removals(writer)
    for change in _changes(writer, old, new):
        if change.kind == "deleted" and change.old is not None:
            removals.add(change.path, change.old.kind)
    removals.flush()
    for change in _changes(writer, old, new):
        if change.new is not None:
            _put_path_key(writer, change.path, change.new)
    return new


def _changes(reader: Reader, old: bytes, new: bytes) -> Iterator[Change]:
    return diff(reader, old, new, folders=True)


def _put_path_key(writer: Writer, path: TreePath, child: Child) -> None:
    if child.kind == c.KIND_DIRECTORY:
        writer.append(c.ENTRY_DIRECTORY, directory_path_key(path), child.hash)
    elif child.kind == c.KIND_SYMLINK:
        entry = writer.read_as(child.hash, c.ENTRY_SYMLINK)
        writer.append(c.ENTRY_SYMLINK, symlink_path_key(path), entry.value)
    else:
        entry = writer.read_as(child.hash, c.ENTRY_FILE)
        _check_chunks(writer, path, child, entry.value, entry.version)
        writer.append(c.ENTRY_FILE, file_path_key(path), entry.value, version=entry.version)


def _check_chunks(reader: Reader, path: str, child: Child, value: bytes, version: int) -> None:
    try:
        keys = list(FileRecord.decode(value, version).chunks())
    except FormatError as fault:
        raise DamagedError(
            key=child.hash, entry_type=c.ENTRY_FILE, reason=f"the record of {path}: {fault}"
        ) from None
    for key, there in zip(keys, reader.has_many(keys), strict=True):
        if not there:
            raise DamagedError(
                key=key,
                entry_type=c.ENTRY_CHUNK,
                reason=f"a chunk of {path} is missing: {key.hex()}",
            )
