"""File records, checked many at a time: address, place, sizes, and that their chunks are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from aeordb.backup.known import Known
from aeordb.backup.layers import NOWHERE, Layers
from aeordb.errors import DamagedError, quote
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.native.faults import NodeFault
from aeordb.native.hashing import blake3, blake3_many
from aeordb.native.nodes import file_fields
from aeordb.native.table import RECORD, Table
from aeordb.storage.protocols import Entry

if TYPE_CHECKING:
    from aeordb.backup.check import Checked

_BATCH: Final = 256
_KEYS_AT_ONCE: Final = 4_096 * c.HASH_LENGTH
_NO_CONTENT: Final = blake3(b"")
_FRAME: Final = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH


class Record(NamedTuple):
    """A file record's fields as they stand, names and paths as bytes; times in milliseconds."""

    path: bytes
    content_type: bytes
    size: int
    created: int
    updated: int
    content_hash: bytes | None
    metadata: bytes
    chunk_keys: bytes

    @property
    def identity(self) -> bytes:
        """What its identity key hashes."""
        return b"fileid:%b\0%b\0%b" % (self.path, self.content_type, self.chunk_keys)


class _Listed(NamedTuple):
    """A listed file whose record was read from layer `where`."""

    child: Child
    where: int
    entry: Entry
    record: Record


def read_record(entry: Entry, key: bytes, path: str) -> Record:
    """The fields of a file record; DamagedError if it does not decode."""
    try:
        return Record(*file_fields(entry.value, entry.version))
    except NodeFault as fault:
        refuse(key, entry.offset, path, f"its record: {fault.reason}")


class FileCheck:
    """Checks listed files; notes what the database lacks of them."""

    def __init__(self, layers: Layers, result: Checked, many: bool) -> None:
        self._seen = Table() if many else None
        self._layers = layers
        self._result = result
        self._database = layers.views[layers.bottom]

    def check(self, folder: str, known: Known, children: Sequence[Child]) -> None:
        """Checks the files of one listing; holes are noted, other faults raise DamagedError."""
        for start in range(0, len(children), _BATCH):
            self._check(folder, known, children[start : start + _BATCH])

    def _check(self, folder: str, known: Known, children: Sequence[Child]) -> None:
        below = folder if folder != "/" else ""
        where = self._layers.locate(b"".join([child.hash for child in children]), c.KV_FILE)
        listed: list[_Listed] = []
        for child, number in zip(children, where, strict=True):
            if number != 0 and known.holds(child):
                continue
            path = f"{below}/{child.name}"
            if number == NOWHERE:
                self._result.holes.add(c.ENTRY_FILE, child.hash, path)
                continue
            entry = self._layers.fetch(number, child.hash, c.ENTRY_FILE)
            record = read_record(entry, child.hash, path)
            self._check_record(path, child, entry, record)
            listed.append(_Listed(child, number, entry, record))
        keys = blake3_many([file.record.identity for file in listed])
        for file, key in zip(listed, keys, strict=True):
            if key != file.child.hash:
                path = f"{below}/{file.child.name}"
                refuse(file.child.hash, file.entry.offset, path, "its record has another address")
        self._note(below, listed)

    def _check_record(self, path: str, child: Child, entry: Entry, record: Record) -> None:
        count = len(record.chunk_keys) // c.HASH_LENGTH
        if record.path != path.encode():
            reason = "its record is that of another path"
        elif record.content_type != child.content_type.encode():
            reason = "its record has another content type than its listing"
        elif record.size != child.size:
            reason = f"its record says {record.size} bytes, its listing {child.size}"
        elif count > record.size or (record.size > 0) != (count > 0):
            reason = f"{count} chunks cannot make up {record.size} bytes"
        elif not count and record.content_hash not in (None, _NO_CONTENT):
            reason = "an empty file with a content hash of something else"
        else:
            return
        refuse(child.hash, entry.offset, path, reason)

    def _note(self, below: str, listed: Sequence[_Listed]) -> None:
        """Which of these records, and of their chunks, are to be written."""
        result, bottom = self._result, self._layers.bottom
        there = self._database.has_many([file.child.hash for file in listed])
        chunks_there = self._chunks_there(below, listed)
        for file, present, whole in zip(listed, there, chunks_there, strict=True):
            result.entries += 1
            if file.where == bottom:
                # Its chunks may still be lacking, and in the backup.
                if not whole:
                    result.healing.append(file.child.hash)
                continue
            result.newest = max(result.newest, file.entry.time)
            result.files += file.where == 0 and self._is_new(file.child.hash)
            wanted = result.wanted[file.where]
            if not present:
                wanted.entries.add(file.entry.offset, file.child.hash)
            elif self._renews(below, file):
                wanted.renewed.add(file.entry.offset, file.child.hash)
            elif whole:
                continue
            if file.record.chunk_keys:
                wanted.files.add(file.entry.offset, file.child.hash)

    def _is_new(self, key: bytes) -> bool:
        if self._seen is None:
            return True
        count = len(self._seen)
        self._seen.put(key, 0, 0, 0)
        return len(self._seen) > count

    def _renews(self, below: str, file: _Listed) -> bool:
        """Whether the backup's record replaces the database's: damaged there, or older metadata.

        Size and content hash of the same chunks are the same: one of two that differ is wrong.
        """
        own = self._layers.intact(file.child.hash, c.ENTRY_FILE)
        if own is None:
            return True
        if own.value == file.entry.value and own.version == file.entry.version:
            return False
        new = file.record
        old = read_record(own, file.child.hash, f"{below}/{file.child.name}")
        known = old.content_hash is not None and new.content_hash is not None
        if old.size != new.size or (known and old.content_hash != new.content_hash):
            reason = "its record contradicts the database's in size or content hash"
            refuse(file.child.hash, file.entry.offset, f"{below}/{file.child.name}", reason)
        return new.updated > old.updated and new.content_hash is not None

    def _chunks_there(self, below: str, listed: Sequence[_Listed]) -> list[bool]:
        """Whether the database has all chunks of each file; what no layer has is a hole."""
        whole = [True] * len(listed)
        numbers: list[int] = []
        parts: list[bytes] = []
        size = 0
        for number, file in enumerate(listed):
            keys = file.record.chunk_keys
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                part = keys[start : start + _KEYS_AT_ONCE]
                parts.append(part)
                numbers += [number] * (len(part) // c.HASH_LENGTH)
                size += len(part)
                if size >= _KEYS_AT_ONCE:
                    self._locate_chunks(below, listed, numbers, b"".join(parts), whole)
                    numbers, parts, size = [], [], 0
        self._locate_chunks(below, listed, numbers, b"".join(parts), whole)
        return whole

    def _locate_chunks(
        self,
        below: str,
        listed: Sequence[_Listed],
        numbers: Sequence[int],
        keys: bytes,
        whole: list[bool],
    ) -> None:
        if not keys:
            return
        mask, records = self._database.locate_many(keys)
        if mask.count(1) == len(mask) and not any(records[33::RECORD]):
            return
        kinds = records[33::RECORD]
        lacking = [i for i in range(len(mask)) if not mask[i] or kinds[i] & c.KV_TYPE_MASK]
        joined = b"".join([keys[i * 32 : i * 32 + 32] for i in lacking])
        where = self._layers.locate(joined, c.KV_CHUNK)
        for i, layer in zip(lacking, where, strict=True):
            whole[numbers[i]] = False
            if layer == NOWHERE:
                file = listed[numbers[i]]
                path = f"{below}/{file.child.name}"
                self._result.holes.add(c.ENTRY_CHUNK, keys[i * 32 : i * 32 + 32], path)
        self._count_bytes(joined, where)

    def _count_bytes(self, keys: bytes, where: Sequence[int]) -> None:
        """At most how much there will be to copy, for the progress."""
        for number, wanted in enumerate(self._result.wanted):
            mine = [i for i, layer in enumerate(where) if layer == number]
            if not mine:
                continue
            _, records = self._layers.views[number].locate_many(
                b"".join([keys[i * 32 : i * 32 + 32] for i in mine])
            )
            wanted.chunks += len(mine)
            wanted.chunk_bytes += sum(
                int.from_bytes(records[at + 42 : at + 46], "little")
                for at in range(0, len(records), RECORD)
            )


def refuse(key: bytes, offset: int, path: str, reason: str) -> NoReturn:
    """Raises the error for a file that does not hold."""
    raise DamagedError(
        key=key,
        entry_type=c.ENTRY_FILE,
        offset=offset,
        reason=f"{quote(path[:1_000])}: {reason}",
        path=path[:1_000],
    )
