"""Names for versions: which are allowed for new ones, and the entries that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from aeordb.errors import DamagedError, ExistsError, NotFoundError, PathError, quote
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import deletion_key, fork_key, fork_text, snapshot_key, snapshot_text
from aeordb.format.page import IndexRecord
from aeordb.format.records import DeletionRecord, ForkRecord, SnapshotRecord
from aeordb.storage.protocols import Reader, Writer

HEAD = "HEAD"
NAME_MAX = 255


class Names(Reader, Protocol):
    """A reader that also lists what the index holds of one kind."""

    def records(self, kv_type: int) -> list[IndexRecord]:
        """All live index records of a KV type."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What snapshots and forks differ in."""

    noun: str
    entry_type: int
    record: type[SnapshotRecord] | type[ForkRecord]

    def key(self, name: str) -> bytes:
        """Key of the entry with this name."""
        return snapshot_key(name) if self is SNAPSHOT else fork_key(name)

    def text(self, name: str) -> str:
        """The raw key text that a deletion record names."""
        return snapshot_text(name) if self is SNAPSHOT else fork_text(name)


SNAPSHOT = Kind("snapshot", c.ENTRY_SNAPSHOT, SnapshotRecord)
FORK = Kind("fork", c.ENTRY_FORK, ForkRecord)

Named = SnapshotRecord | ForkRecord


def check_new_name(name: str) -> str:
    """The name, if a new snapshot or fork may have it; else PathError with the reason."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise PathError(path=name, reason="a name is valid UTF-8") from None
    reason = None
    if not 1 <= length <= NAME_MAX:
        reason = f"a name has 1 to {NAME_MAX} bytes, not {length}"
    elif any(ord(ch) < 32 or 127 <= ord(ch) < 160 for ch in name):
        reason = "a name has no control characters"
    elif "/" in name:
        reason = "a name has no slash"
    elif name.upper() == HEAD:
        reason = "HEAD is the current version"
    if reason is not None:
        raise PathError(path=name, reason=reason)
    return name


def find_name(reader: Reader, kind: Kind, name: str) -> Named | None:
    """The snapshot or fork of this name; whatever AeorDB has named can be found."""
    try:
        entry = reader.read(kind.key(name))
    except UnicodeEncodeError:
        return None
    if entry is None or entry.type != kind.entry_type:
        return None
    return _decode(kind, entry.value, entry.offset)


def get_name(reader: Reader, kind: Kind, name: str) -> Named:
    """As :func:`find_name`; NotFoundError if there is none."""
    found = find_name(reader, kind, name)
    if found is None:
        raise NotFoundError(what=kind.noun, name=name)
    return found


def list_names(reader: Names, kind: Kind) -> list[Named]:
    """All snapshots or forks, by name. Reads every index page."""
    return sorted(_each(reader, kind), key=lambda named: named.name)


def check_free(reader: Reader, name: str, *kinds: Kind) -> None:
    """ExistsError if one of these kinds has the name.

    New snapshots and forks share one set of names, so that a name never changes its meaning;
    AeorDB's need not.
    """
    for kind in kinds:
        if find_name(reader, kind, name) is not None:
            raise ExistsError(
                f"there is a {kind.noun} {quote(name)} already",
                path=name,
                hint="Delete it first, or choose another name.",
            )


def put_name(writer: Writer, kind: Kind, record: Named) -> None:
    """Adds a snapshot or fork; ExistsError if another one of its kind has the name."""
    check_free(writer, record.name, kind)
    writer.append(kind.entry_type, kind.key(record.name), record.encode())


def delete_name(writer: Writer, kind: Kind, name: str) -> Named:
    """Takes a name away, with the deletion entry that a rebuilt index needs; what it was."""
    found = get_name(writer, kind, name)
    now = writer.entry_time()
    text = kind.text(name)
    record = DeletionRecord(text, now, "")
    writer.append(c.ENTRY_DELETION, deletion_key(text, now), record.encode())
    writer.tombstone(kind.key(name))
    return found


def _each(reader: Names, kind: Kind) -> Iterator[Named]:
    for record in reader.records(c.KV_TYPE[kind.entry_type]):
        entry = reader.read(record.key)
        if entry is not None and entry.type == kind.entry_type:
            yield _decode(kind, entry.value, entry.offset)


def _decode(kind: Kind, value: bytes, offset: int) -> Named:
    try:
        return kind.record.decode(value)
    except FormatError as fault:
        raise DamagedError(
            entry_type=kind.entry_type, offset=offset, reason=f"a {kind.noun}'s entry: {fault}"
        ) from None
