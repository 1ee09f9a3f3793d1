"""What the database lacks of one backup: places of entries in it, sixteen bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from aeordb.errors import DamagedError


class Places:
    """Offsets of checked entries, each with the first eight bytes of its key.

    A file may change after its check: whoever reads an entry again makes its key anew, and
    compares.
    """

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._keys = array("Q")

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._offsets, self._keys, strict=True)

    def add(self, offset: int, key: bytes) -> None:
        """Notes the entry of this key."""
        self._offsets.append(offset)
        self._keys.append(int.from_bytes(key[:8], "little"))


def check_place(offset: int, noted: int, key: bytes) -> None:
    """DamagedError unless `key` is the one that was noted."""
    if int.from_bytes(key[:8], "little") != noted:
        raise DamagedError(
            key=key, offset=offset, reason="the backup was changed while it was being imported"
        )


@dataclass(slots=True)
class Wanted:
    """What one backup is to give, in the order of the walk.

    `entries`: nodes, records and symlinks whose keys the database lacks. `renewed`: those that it
    has damaged, or with older metadata. `files`: file records of which chunks may be missing.
    """

    entries: Places = field(default_factory=Places)
    renewed: Places = field(default_factory=Places)
    files: Places = field(default_factory=Places)
    chunks: int = 0
    chunk_bytes: int = 0
    """Chunks to be copied, and their bytes; one that several files share counts for each."""

    def __bool__(self) -> bool:
        return bool(self.entries or self.renewed or self.files)
