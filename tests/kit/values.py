"""The values inside entries, decoded straight from FORMAT.md, and the keys they must have."""

from dataclasses import dataclass

import zstandard

from tests.kit.layout import DIRECTORY, FILE, SYMLINK, Cursor, Entry, MalformedError, h

KIND = {FILE: "file", DIRECTORY: "folder", SYMLINK: "symlink"}


@dataclass(frozen=True)
class FileRecord:
    path: str
    content_type: str
    size: int
    created: int
    updated: int
    content_hash: bytes | None
    metadata: bytes
    chunks: list[bytes]

    @property
    def identity_key(self) -> bytes:
        head = f"fileid:{self.path}\0{self.content_type}\0".encode()
        return h(head, *self.chunks)

    @property
    def content(self) -> tuple[object, ...]:
        """All but times and metadata, which a touch may change."""
        return (self.path, self.content_type, self.size, self.content_hash, self.chunks)


def file_record(value: bytes, version: int) -> FileRecord:
    if version not in (0, 1):
        raise MalformedError(f"file record version {version}")
    c = Cursor(value)
    path, content_type = c.text("H"), c.text("H")
    size, created, updated = c.number("Q"), c.number("q"), c.number("q")
    content_hash = c.take(32) if version == 1 else None
    metadata = c.blob("I")
    count = c.number("I")
    if count * 32 > c.left:
        raise MalformedError(f"{count} chunk keys in {c.left} bytes")
    chunks = [c.take(32) for _ in range(count)]
    c.end()
    return FileRecord(path, content_type, size, created, updated, content_hash, metadata, chunks)


@dataclass(frozen=True)
class SymlinkRecord:
    path: str
    target: str
    created: int
    updated: int

    @property
    def identity_key(self) -> bytes:
        return h(f"symlinkid:{self.path}\0{self.target}".encode())


def symlink_record(value: bytes) -> SymlinkRecord:
    c = Cursor(value)
    record = SymlinkRecord(c.text("H"), c.text("H"), c.number("q"), c.number("q"))
    c.end()
    return record


@dataclass(frozen=True)
class DeletionRecord:
    path: str
    deleted: int
    reason: str


def deletion_record(value: bytes) -> DeletionRecord:
    c = Cursor(value)
    record = DeletionRecord(c.text("H"), c.number("q"), c.text("H"))
    c.end()
    return record


@dataclass(frozen=True)
class NamedRoot:
    """A snapshot or a fork."""

    name: str
    root: bytes
    created: int
    metadata: bytes = b""


def snapshot_record(value: bytes) -> NamedRoot:
    c = Cursor(value)
    record = NamedRoot(c.text("H"), c.take(32), c.number("q"), c.blob("I"))
    c.end()
    return record


def fork_record(value: bytes) -> NamedRoot:
    c = Cursor(value)
    record = NamedRoot(c.text("H"), c.take(32), c.number("q"))
    c.end()
    return record


@dataclass(frozen=True)
class Child:
    type: int
    hash: bytes
    size: int
    created: int
    updated: int
    name: str
    content_type: str
    virtual_time: int
    node_id: int

    @property
    def kind(self) -> str:
        return KIND[self.type]


def _child(c: Cursor) -> Child:
    kind = c.number("B")
    if kind not in KIND:
        raise MalformedError(f"child of type {kind}")
    return Child(
        kind,
        c.take(32),
        c.number("Q"),
        c.number("q"),
        c.number("q"),
        c.text("H"),
        c.text("H"),
        c.number("Q"),
        c.number("Q"),
    )


@dataclass(frozen=True)
class Node:
    """A directory's value: form is "flat", "leaf" or "internal"."""

    form: str
    children: list[Child]
    names: list[str]
    nodes: list[bytes]


def directory_node(value: bytes) -> Node:
    """A listing or B-tree node; a 32-byte link is not one."""
    if value[:1] not in (b"\0", b"\1"):
        c, children = Cursor(value), []
        while c.left:
            children.append(_child(c))
        return Node("flat", children, [], [])
    c = Cursor(value)
    form = c.number("B")
    count = c.number("H")
    if form == 0:
        node = Node("leaf", [_child(c) for _ in range(count)], [], [])
    else:
        names = [c.text("H") for _ in range(count)]
        node = Node("internal", [], names, [c.take(32) for _ in range(count + 1)])
    c.end()
    return node


def chunk_bytes(entry: Entry) -> bytes:
    """A chunk's raw bytes, checked against its address."""
    raw = entry.value
    if entry.compression == 1:
        try:
            raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        except zstandard.ZstdError as error:
            raise MalformedError(f"chunk at {entry.offset}: {error}") from error
    if entry.key not in (h(b"chunk:", raw), h(b"system::", raw)):
        raise MalformedError(f"chunk at {entry.offset}: its bytes have another address")
    return raw


def path_key(type_: int, path: str) -> bytes:
    """The key of the live entry of a path: `file:`, `dir:` or `symlink:`."""
    prefix = {FILE: "file:", DIRECTORY: "dir:", SYMLINK: "symlink:"}[type_]
    return h(f"{prefix}{path}".encode())


def raw_key(text: str) -> bytes:
    """The key that a text such as `snap:v1` stands for."""
    return h(text.encode())


def snapshot_key(name: str) -> bytes:
    return raw_key("snap:" + name)


def fork_key(name: str) -> bytes:
    return raw_key("::aeordb:fork:" + name)


def path_keys_of_deletion(record: DeletionRecord) -> list[bytes]:
    """The keys whose older entries a deletion marks (FORMAT.md, section 3.4)."""
    text = record.path
    return [path_key(t, text) for t in (FILE, DIRECTORY, SYMLINK)] + [raw_key(text)]


def is_task_record(type_: int, version: int, value: bytes) -> bool:
    """AeorDB's own records (FORMAT.md, section 7): JSON of entry type 2, version 0."""
    return type_ == FILE and version == 0 and value[:1] in (b"{", b"[") and value[2:3] != b"/"
