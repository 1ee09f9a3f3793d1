"""The automatic names that keep imported versions until they are promoted (engine: import)."""

from __future__ import annotations

from aeordb.format.records import SnapshotRecord
from aeordb.storage.protocols import Writer
from aeordb.versions.names import FORK, SNAPSHOT, Named, delete_name, find_name, put_name

PREFIX = "imported-"
DIGITS = 12
_METADATA = b'{"type":"auto"}'


def name_imported(writer: Writer, root: bytes) -> str:
    """Gives the version an automatic snapshot; its name.

    `imported-` and 12 digits of its hash, or more if another version has that name.
    """
    digits = root.hex()
    for count in range(DIGITS, len(digits) + 1):
        name = PREFIX + digits[:count]
        found = find_name(writer, SNAPSHOT, name)
        if found is not None and found.root == root:
            return name
        if found is None and find_name(writer, FORK, name) is None:
            put_name(writer, SNAPSHOT, SnapshotRecord(name, root, writer.now(), _METADATA))
            return name
    raise AssertionError("somebody named other versions by all digits of this one")


def forget_imported(writer: Writer, root: bytes) -> str | None:
    """Takes the version's automatic snapshot away, as it is promoted; the name it had."""
    digits = root.hex()
    for count in range(DIGITS, len(digits) + 1):
        name = PREFIX + digits[:count]
        found = find_name(writer, SNAPSHOT, name)
        if found is not None and found.root == root and _is_automatic(found):
            delete_name(writer, SNAPSHOT, name)
            return name
    return None


def _is_automatic(found: Named) -> bool:
    return isinstance(found, SnapshotRecord) and found.metadata == _METADATA
