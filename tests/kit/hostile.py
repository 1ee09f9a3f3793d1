"""Backups that lie: a builder that makes every checksum and hash right again after each lie.

It writes what AeorDB writes: a header without our marker, the log, and an index. The entries are
as they are given, whatever they say; keys are what their content gives unless told otherwise.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aeordb.format import constants as c
from aeordb.format.entry import encode_entry
from aeordb.format.header import Header
from aeordb.format.hottail import encode_hot_tail, pack_tail_records
from aeordb.format.keys import (
    chunk_key,
    content_hash,
    directory_path_key,
    file_identity_key,
    file_path_key,
    node_key,
    symlink_identity_key,
)
from aeordb.format.nodes import Child, encode_child, encode_leaf, encode_listing
from aeordb.format.page import block_length
from aeordb.format.records import FileRecord, SymlinkRecord

TIME = 1_760_000_000_000
TYPE = "application/octet-stream"

Tree = Mapping[str, "bytes | Tree | Child"]


@dataclass
class Forgery:
    """A backup in the making; `write` gives it a header and an index."""

    stage: int = 0
    time: int = TIME
    frames: bytearray = field(default_factory=bytearray)
    keys: list[bytes] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    @property
    def start(self) -> int:
        return c.HEADERS_LENGTH + block_length(self.stage)

    def entry(
        self,
        entry_type: int,
        key: bytes,
        value: bytes,
        *,
        kv: int | None = None,
        time: int | None = None,
        indexed: bool = True,
        **how: int,
    ) -> bytes:
        """Appends an entry, its integrity hash right; its key.

        `how`: version, flags, compression.
        """
        self.time += 1
        frame = encode_entry(entry_type, key, value, self.time if time is None else time, **how)
        if indexed:
            self.keys.append(key)
            self.kinds.append(c.KV_TYPE[entry_type] if kv is None else kv)
            self.offsets.append(self.start + len(self.frames))
            self.lengths.append(len(frame))
        self.frames += frame
        return key

    def chunk(self, raw: bytes, *, key: bytes | None = None, stored: bytes | None = None) -> bytes:
        """A chunk: raw, or `stored` as a zstd frame; its key."""
        return self.entry(
            c.ENTRY_CHUNK,
            chunk_key(raw) if key is None else key,
            raw if stored is None else stored,
            compression=c.COMPRESSION_NONE if stored is None else c.COMPRESSION_ZSTD,
        )

    def record(self, record: FileRecord, *, key: bytes | None = None, **how: Any) -> bytes:
        """A file record under its identity key, or another."""
        identity = file_identity_key(record.path, record.content_type, record.chunk_keys)
        key = identity if key is None else key
        return self.entry(c.ENTRY_FILE, key, record.encode(), version=1, **how)

    def file(
        self,
        path: str,
        data: bytes = b"content",
        *,
        chunk: bytes | None = None,
        listed: Mapping[str, Any] | None = None,
        **lies: Any,
    ) -> Child:
        """A file of one chunk (none if empty), its record, and the child for its listing.

        `chunk`: the key of one that is there; `lies` replace fields of the record, `listed` those
        of the child.
        """
        keys = b"" if not data else (chunk or self.chunk(data))
        record = FileRecord(path, TYPE, len(data), TIME, TIME, content_hash(data), b"", keys)
        record = replace(record, **lies)
        key = self.record(record)
        name = path.rpartition("/")[2]
        child = Child(c.KIND_FILE, key, record.size, TIME, TIME, name, TYPE, TIME)
        return child._replace(**(listed or {}))

    def symlink(self, path: str, target: str, **lies: Any) -> Child:
        """A symlink and the child for its listing."""
        record = replace(SymlinkRecord(path, target, TIME, TIME), **lies)
        key = symlink_identity_key(record.path, record.target)
        self.entry(c.ENTRY_SYMLINK, key, record.encode())
        return Child(c.KIND_SYMLINK, key, 0, TIME, TIME, path.rpartition("/")[2], "", TIME)

    def node(self, value: bytes, *, key: bytes | None = None, **how: Any) -> tuple[bytes, int]:
        """A directory node: (key, length)."""
        key = node_key(value) if key is None else key
        return self.entry(c.ENTRY_DIRECTORY, key, value, **how), len(value)

    def folder(self, children: Iterable[Child], **how: Any) -> tuple[bytes, int]:
        """A flat listing, in the order given: (key, length)."""
        return self.node(encode_listing(encode_child(*child) for child in children), **how)

    def leaf(self, children: Iterable[Child]) -> tuple[bytes, int]:
        """A B-tree leaf: (key, length)."""
        return self.node(encode_leaf([encode_child(*child) for child in children]))

    def tree(self, content: Tree, path: str = "") -> tuple[bytes, int]:
        """Folders as mappings, files as bytes, anything else as a child: (root, its length)."""
        children = []
        for name, value in content.items():
            place = f"{path}/{name}"
            if isinstance(value, Child):
                children.append(value)
            elif isinstance(value, bytes):
                children.append(self.file(place, value))
            else:
                children.append(sub(name, *self.tree(value, place)))
        return self.folder(children)

    def system_file(self, path: str, data: bytes, *, flags: int = 1) -> None:
        """A file below a system root, with the folders above it, under path keys."""
        child = self.file(path, data)
        self.entry(
            c.ENTRY_FILE,
            file_path_key(path),
            FileRecord(
                path, TYPE, len(data), TIME, TIME, content_hash(data), b"", chunk_key(data)
            ).encode(),
            version=1,
            flags=flags,
        )
        folder = path.rpartition("/")[0]
        while True:
            key, size = self.folder([child])
            self.entry(c.ENTRY_DIRECTORY, directory_path_key(folder), key)
            if folder in c.SYSTEM_ROOTS:
                return
            folder, _, name = folder.rpartition("/")
            child = sub(name, key, size)

    def write(
        self,
        path: Path,
        target: bytes,
        *,
        base: bytes | None = None,
        tail: bytes | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> Path:
        """The file: an export of `target`, or with `base` a patch. `header`: lies of its fields."""
        end = self.start + len(self.frames)
        records = pack_tail_records(self.keys, self.kinds, self.offsets, self.lengths)
        fields = Header(
            sequence=1,
            created_at=TIME,
            updated_at=self.time,
            kv_offset=c.HEADERS_LENGTH,
            kv_length=block_length(self.stage),
            hot_tail_offset=end,
            stage=self.stage,
            head=target,
            entry_count=len(self.keys),
            backup_type=c.BACKUP_EXPORT if base is None else c.BACKUP_PATCH,
            base=target if base is None else base,
            target=target,
        )
        slot = fields._replace(**(header or {})).encode()
        with open(path, "wb") as file:
            file.write(slot + bytes(c.SLOT_LENGTH + block_length(self.stage)))
            file.write(self.frames)
            file.write(encode_hot_tail(records, []) if tail is None else tail)
        return path


def sub(name: str, key: bytes, size: int) -> Child:
    """A folder for a listing."""
    return Child(c.KIND_DIRECTORY, key, size, TIME, TIME, name, "", TIME)


def raw_child(kind: int, key: bytes, name: bytes, content_type: bytes = b"") -> bytes:
    """A child's bytes with a name that no encoder takes."""
    head = struct.pack("<B32sQqqH", kind, key, 0, TIME, TIME, len(name))
    tail = struct.pack("<QQ", TIME, 0)
    return head + name + struct.pack("<H", len(content_type)) + content_type + tail
