"""Keys of entries: what each is the BLAKE3 of (FORMAT.md 3). All keys are 32 bytes.

Paths, names and content types are `str`; values and chunks are `bytes`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aeordb.native.hashing import Hasher, blake3, blake3_many

CHUNK_PREFIX = b"chunk:"
SYSTEM_CHUNK_PREFIX = b"system::"
FILE_IDENTITY_PREFIX = b"fileid:"
FILE_PATH_PREFIX = b"file:"
FILE_CONTENT_PREFIX = b"filec:"
DIRECTORY_CONTENT_PREFIX = b"dirc:"
DIRECTORY_PATH_PREFIX = b"dir:"
BTREE_PREFIX = b"btree:"
SYMLINK_IDENTITY_PREFIX = b"symlinkid:"
SYMLINK_PATH_PREFIX = b"symlink:"
SYMLINK_CONTENT_PREFIX = b"symlinkc:"
SNAPSHOT_PREFIX = b"snap:"
FORK_PREFIX = b"::aeordb:fork:"
DELETION_PREFIX = b"del:"
TASK_PREFIX = b"::aeordb:task:"


def content_hash(data: bytes) -> bytes:
    """The hash of a whole file's bytes, as a file record holds it (FORMAT.md 3.1)."""
    return blake3(data)


def chunk_key(raw: bytes) -> bytes:
    """Key of a chunk, from its bytes before compression."""
    return _with_prefix(CHUNK_PREFIX, raw)


def system_chunk_key(raw: bytes) -> bytes:
    """The other key that a system file's chunk may have."""
    return _with_prefix(SYSTEM_CHUNK_PREFIX, raw)


def _with_prefix(prefix: bytes, raw: bytes) -> bytes:
    # In two parts: a chunk may be large, and is not copied to stand behind its prefix.
    hasher = Hasher(prefix)
    hasher.update(raw)
    return hasher.digest()


def file_identity_text(path: str, content_type: str, chunk_keys: bytes) -> bytes:
    """What a file's identity key hashes: for callers that hash many at once."""
    return b"fileid:%b\0%b\0%b" % (path.encode(), content_type.encode(), chunk_keys)


def file_identity_key(path: str, content_type: str, chunk_keys: bytes) -> bytes:
    """Identity key of a file record; `chunk_keys` are all its chunks' keys, joined."""
    return blake3(b"fileid:%b\0%b\0%b" % (path.encode(), content_type.encode(), chunk_keys))


def file_path_key(path: str) -> bytes:
    """Path key of the live file at `path`."""
    return blake3(FILE_PATH_PREFIX + path.encode())


def file_path_keys(paths: Sequence[str]) -> list[bytes]:
    """Path keys of many files, in their order."""
    return blake3_many([path.encode() for path in paths], FILE_PATH_PREFIX)


def file_content_key(value: bytes) -> bytes:
    """Content key of an encoded file record."""
    return blake3(FILE_CONTENT_PREFIX + value)


def directory_content_key(value: bytes) -> bytes:
    """Content key of a flat listing."""
    return blake3(DIRECTORY_CONTENT_PREFIX + value)


def directory_path_key(path: str) -> bytes:
    """Path key of the directory at `path`; the root is `/`."""
    return blake3(DIRECTORY_PATH_PREFIX + path.encode())


def btree_key(value: bytes) -> bytes:
    """Key of a B-tree node (leaf or internal)."""
    return blake3(BTREE_PREFIX + value)


def node_key(value: bytes) -> bytes:
    """Key of any directory node: its first byte tells listing from B-tree node."""
    return blake3((BTREE_PREFIX if value and value[0] < 2 else DIRECTORY_CONTENT_PREFIX) + value)


def symlink_identity_key(path: str, target: str) -> bytes:
    """Identity key of a symlink record: what a listing points to."""
    return blake3(b"symlinkid:%b\0%b" % (path.encode(), target.encode()))


def symlink_path_key(path: str) -> bytes:
    """Path key of the live symlink at `path`."""
    return blake3(SYMLINK_PATH_PREFIX + path.encode())


def symlink_content_key(value: bytes) -> bytes:
    """Content key of an encoded symlink record."""
    return blake3(SYMLINK_CONTENT_PREFIX + value)


def snapshot_text(name: str) -> str:
    """The raw key text of a snapshot: the path of its deletion record."""
    return f"snap:{name}"


def snapshot_key(name: str) -> bytes:
    """Key of the snapshot of this name."""
    return blake3(SNAPSHOT_PREFIX + name.encode())


def fork_text(name: str) -> str:
    """The raw key text of a fork: the path of its deletion record."""
    return f"::aeordb:fork:{name}"


def fork_key(name: str) -> bytes:
    """Key of the fork of this name."""
    return blake3(FORK_PREFIX + name.encode())


def deletion_key(path: str, deleted_at: int) -> bytes:
    """Key of a deletion record; `deleted_at` in milliseconds as in the record."""
    return blake3(b"del:%b:%d" % (path.encode(), deleted_at))


def deletion_targets(path: str) -> tuple[bytes, bytes, bytes, bytes]:
    """The keys whose older entries a deletion of `path` marks as deleted (FORMAT.md 3.4)."""
    raw = path.encode()
    return (
        blake3(FILE_PATH_PREFIX + raw),
        blake3(DIRECTORY_PATH_PREFIX + raw),
        blake3(SYMLINK_PATH_PREFIX + raw),
        blake3(raw),
    )


def task_key(task_id: str) -> bytes:
    """Key of one of AeorDB's task records (`_registry`: of their list)."""
    return blake3(TASK_PREFIX + task_id.encode())
