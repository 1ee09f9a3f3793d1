"""Values of file, symlink, deletion, snapshot and fork entries (FORMAT.md 3.1, 3.3, 3.4).

Times are milliseconds since 1970 UTC, sizes bytes. Every decoder refuses trailing bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aeordb.format import constants as c
from aeordb.format.errors import FormatError, VersionError
from aeordb.format.text import I64, U16, U32, Cursor, encode_text

FILE_MIDDLE = struct.Struct("<Qqq32sI")  # size, created, updated, content hash, metadata length
TIMES = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file (FORMAT.md 3.1). `content_hash` is None in records of version 0.

    `chunk_keys` are its chunks' keys in order, joined (32 bytes each); `metadata` is JSON or empty.
    """

    path: str
    content_type: str
    size: int
    created: int
    updated: int
    content_hash: bytes | None
    metadata: bytes = b""
    chunk_keys: bytes = b""

    @property
    def chunk_count(self) -> int:
        """How many chunks the file has."""
        return len(self.chunk_keys) // c.HASH_LENGTH

    def chunks(self) -> Iterator[bytes]:
        """The chunks' keys in order."""
        keys = self.chunk_keys
        return (keys[i : i + c.HASH_LENGTH] for i in range(0, len(keys), c.HASH_LENGTH))

    def encode(self) -> bytes:
        """The value, in version 1; FormatError without a content hash."""
        if self.content_hash is None:
            raise FormatError("a file record of version 0 is never written: no content hash")
        return encode_file_record(
            self.path,
            self.content_type,
            self.size,
            self.created,
            self.updated,
            self.content_hash,
            self.metadata,
            self.chunk_keys,
        )

    @staticmethod
    def decode(value: bytes, version: int) -> FileRecord:
        """A file record of the entry version 0 or 1."""
        if version not in (c.FILE_RECORD_VERSION, c.FILE_RECORD_VERSION_OLD):
            raise VersionError(f"file record of version {version}, 0 and 1 are supported")
        cursor = Cursor(value, "file record")
        path = cursor.text("path")
        content_type = cursor.text("content type")
        size = cursor.u64("size")
        created = cursor.i64("created")
        updated = cursor.i64("updated")
        content_hash = (
            cursor.take(c.HASH_LENGTH, "content hash") if version == c.FILE_RECORD_VERSION else None
        )
        metadata = cursor.take(cursor.u32("length of metadata"), "metadata")
        count = cursor.u32("chunk count")
        chunk_keys = cursor.take(count * c.HASH_LENGTH, "chunk keys")
        cursor.end()
        return FileRecord(
            path, content_type, size, created, updated, content_hash, metadata, chunk_keys
        )


def encode_file_record(
    path: str,
    content_type: str,
    size: int,
    created: int,
    updated: int,
    content_hash: bytes,
    metadata: bytes,
    chunk_keys: bytes,
) -> bytes:
    """A file record's value (version 1) from plain values: the fast path of FileRecord.encode."""
    try:
        raw_path = path.encode()
        raw_type = content_type.encode()
        if len(content_hash) != c.HASH_LENGTH or len(chunk_keys) % c.HASH_LENGTH:
            raise FormatError("file record: a hash has the wrong length")
        return b"".join(
            (
                U16.pack(len(raw_path)),
                raw_path,
                U16.pack(len(raw_type)),
                raw_type,
                FILE_MIDDLE.pack(size, created, updated, content_hash, len(metadata)),
                metadata,
                U32.pack(len(chunk_keys) // c.HASH_LENGTH),
                chunk_keys,
            )
        )
    except (struct.error, UnicodeEncodeError) as error:
        raise FormatError(f"file record: {error}") from None


@dataclass(frozen=True, slots=True)
class SymlinkRecord:
    """A symlink (FORMAT.md 3.3); `target` is kept as it was given."""

    path: str
    target: str
    created: int
    updated: int

    def encode(self) -> bytes:
        """The value."""
        try:
            times = TIMES.pack(self.created, self.updated)
        except struct.error as error:
            raise FormatError(f"symlink: {error}") from None
        return encode_text("path", self.path) + encode_text("target", self.target) + times

    @staticmethod
    def decode(value: bytes) -> SymlinkRecord:
        """A symlink entry's value."""
        cursor = Cursor(value, "symlink")
        record = SymlinkRecord(
            cursor.text("path"), cursor.text("target"), cursor.i64("created"), cursor.i64("updated")
        )
        cursor.end()
        return record


@dataclass(frozen=True, slots=True)
class DeletionRecord:
    """A deletion (FORMAT.md 3.4): of a path, or of a raw key text such as `snap:v1`."""

    path: str
    deleted_at: int
    reason: str

    def encode(self) -> bytes:
        """The value."""
        return (
            encode_text("path", self.path)
            + _time("deletion", self.deleted_at)
            + encode_text("reason", self.reason)
        )

    @staticmethod
    def decode(value: bytes) -> DeletionRecord:
        """A deletion entry's value."""
        cursor = Cursor(value, "deletion")
        record = DeletionRecord(
            cursor.text("path"), cursor.i64("deleted at"), cursor.text("reason")
        )
        cursor.end()
        return record


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A snapshot (FORMAT.md 3.4). `metadata` is a JSON object of strings, as bytes, or empty."""

    name: str
    root: bytes
    created: int
    metadata: bytes = b""

    def encode(self) -> bytes:
        """The value."""
        if len(self.metadata) > c.U32_MAX:
            raise FormatError(f"snapshot metadata of {len(self.metadata)} bytes")
        return b"".join(
            (
                encode_text("name", self.name),
                _root(self.root),
                _time("snapshot", self.created),
                U32.pack(len(self.metadata)),
                self.metadata,
            )
        )

    @staticmethod
    def decode(value: bytes) -> SnapshotRecord:
        """A snapshot entry's value."""
        cursor = Cursor(value, "snapshot")
        record = SnapshotRecord(
            cursor.text("name"),
            cursor.take(c.HASH_LENGTH, "root"),
            cursor.i64("created"),
            cursor.take(cursor.u32("length of metadata"), "metadata"),
        )
        cursor.end()
        return record


@dataclass(frozen=True, slots=True)
class ForkRecord:
    """A fork (FORMAT.md 3.4): a movable name for a root."""

    name: str
    root: bytes
    created: int

    def encode(self) -> bytes:
        """The value."""
        return encode_text("name", self.name) + _root(self.root) + _time("fork", self.created)

    @staticmethod
    def decode(value: bytes) -> ForkRecord:
        """A fork entry's value."""
        cursor = Cursor(value, "fork")
        record = ForkRecord(
            cursor.text("name"), cursor.take(c.HASH_LENGTH, "root"), cursor.i64("created")
        )
        cursor.end()
        return record


def _time(what: str, time: int) -> bytes:
    try:
        return I64.pack(time)
    except struct.error as error:
        raise FormatError(f"{what}: {error}") from None


def _root(root: bytes) -> bytes:
    if len(root) != c.HASH_LENGTH:
        raise FormatError(f"root of {len(root)} bytes, expected {c.HASH_LENGTH}")
    return root
