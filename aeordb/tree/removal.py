"""Path keys of paths that go: deletion entries and tombstones (FORMAT.md 3.4)."""

from __future__ import annotations

from typing import Final

from aeordb.format import constants as c
from aeordb.format.keys import (
    DELETION_PREFIX,
    DIRECTORY_PATH_PREFIX,
    FILE_PATH_PREFIX,
    SYMLINK_PATH_PREFIX,
)
from aeordb.format.records import DeletionRecord
from aeordb.native.hashing import blake3_many
from aeordb.storage.protocols import Writer
from aeordb.tree.paths import TreePath

_BATCH: Final = 1_024
_PATH_PREFIX: Final = {
    c.KIND_FILE: FILE_PATH_PREFIX,
    c.KIND_DIRECTORY: DIRECTORY_PATH_PREFIX,
    c.KIND_SYMLINK: SYMLINK_PATH_PREFIX,
}


class Removals:
    """Writes what a rebuild of the index needs to know that paths are gone, many at a time.

    A deletion entry hides the older entries of its path alone, so `flush` comes before anything
    new is appended under one of these paths.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._gone: list[tuple[bytes, bytes]] = []  # (path, path key's prefix)
        self.count = 0

    def add(self, path: TreePath, kind: int) -> None:
        """The file, folder or symlink at `path` is gone."""
        self._gone.append((path.encode(), _PATH_PREFIX[kind]))
        self.count += 1
        if len(self._gone) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Appends the deletion entries and marks the path keys."""
        if not self._gone:
            return
        gone, self._gone = self._gone, []
        time = self._writer.entry_time()
        keys = blake3_many([b"%b:%d" % (path, time) for path, _ in gone], DELETION_PREFIX)
        self._writer.append_many(
            [
                (
                    c.ENTRY_DELETION,
                    c.VALUE_VERSION,
                    0,
                    c.COMPRESSION_NONE,
                    key,
                    DeletionRecord(path.decode(), time, "").encode(),
                )
                for key, (path, _) in zip(keys, gone, strict=True)
            ]
        )
        for key in blake3_many([prefix + path for path, prefix in gone]):
            self._writer.tombstone(key)
