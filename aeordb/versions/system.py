"""Files in the system folders, which hang on their own path keys alone (FORMAT.md 3.2, 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aeordb.format import constants as c
from aeordb.format.keys import directory_path_key, file_path_key, node_key
from aeordb.format.nodes import Child
from aeordb.storage.protocols import Reader, Writer
from aeordb.tree.directory import edit_directory, find_child, list_children
from aeordb.tree.ingest import store_file
from aeordb.tree.paths import TreePath, is_system, split
from aeordb.tree.reading import read_file, read_record


def system_directory(reader: Reader, path: str) -> bytes | None:
    """The hash of a system folder by its path key, or None if there is none."""
    entry = reader.read(directory_path_key(path))
    if entry is None or entry.type != c.ENTRY_DIRECTORY:
        return None
    if len(entry.value) == c.HASH_LENGTH:
        return entry.value
    # Older files, AeorDB's exports and its mkdir hold the listing itself.
    return node_key(entry.value)


def system_files(reader: Reader, folder: str) -> Iterator[tuple[str, bytes]]:
    """The files in a system folder: (path, content)."""
    directory = system_directory(reader, folder)
    if directory is None:
        return
    for child in list_children(reader, directory):
        if child.kind == c.KIND_FILE:
            path = f"{folder}/{child.name}"
            yield path, read_file(reader, read_record(reader, child, path))


def read_system_file(reader: Reader, path: str) -> bytes | None:
    """The content of a file in a system folder, or None if there is none."""
    folder, name = split(TreePath(path))
    directory = system_directory(reader, folder)
    child = find_child(reader, directory, name) if directory is not None else None
    if child is None or child.kind != c.KIND_FILE:
        return None
    return read_file(reader, read_record(reader, child, path))


@dataclass(frozen=True, slots=True)
class SystemFile:
    """A file for a system folder; times in milliseconds, None is now."""

    path: str
    data: bytes
    content_type: str
    created: int | None = None
    updated: int | None = None


def put_system_file(writer: Writer, path: str, data: bytes, content_type: str) -> None:
    """Writes a file in a system folder, and the folders above it up to the system root."""
    put_system_files(writer, [SystemFile(path, data, content_type)])


def put_system_files(writer: Writer, files: Iterable[SystemFile]) -> None:
    """Writes files in system folders, and each folder above them once, up to the system roots."""
    edits: dict[str, dict[str, Child | None]] = {}
    for file in files:
        if not is_system(TreePath(file.path)):
            raise ValueError(f"{file.path} is no system path")
        child = _put_file(writer, file)
        edits.setdefault(split(TreePath(file.path))[0], {})[child.name] = child
    while edits:
        folder = max(edits, key=lambda path: path.count("/"))
        directory, size = edit_directory(
            writer, system_directory(writer, folder), edits.pop(folder)
        )
        writer.append(c.ENTRY_DIRECTORY, directory_path_key(folder), directory)
        if folder in c.SYSTEM_ROOTS:
            continue
        now = writer.now()
        above, name = split(TreePath(folder))
        child = Child(c.KIND_DIRECTORY, directory, size, now, now, name, "", now)
        edits.setdefault(above, {})[name] = child


def _put_file(writer: Writer, file: SystemFile) -> Child:
    stored = store_file(
        writer,
        file.path,
        file.data,
        content_type=file.content_type,
        created=file.created,
        updated=file.updated,
        system=True,
    )
    writer.append(
        c.ENTRY_FILE,
        file_path_key(file.path),
        stored.record,
        version=c.FILE_RECORD_VERSION,
        flags=c.ENTRY_FLAG_SYSTEM,
    )
    return stored.child
