"""What the library answers: frozen, typed results, the same fields that `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["file", "folder", "symlink"]


@dataclass(frozen=True, slots=True)
class Stat:
    """One path of a version.

    `size` in bytes (of folders and symlinks 0), times in milliseconds since 1970 UTC, `hash` the
    file's content hash (BLAKE3) in hex where it was asked for and is known, `target` a symlink's.
    """

    path: str
    kind: Kind
    size: int
    created: int
    updated: int
    content_type: str | None = None
    hash: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two versions; `old` is None where it was added, `new` where
    it was deleted."""

    kind: Literal["added", "modified", "deleted"]
    path: str
    old: Stat | None
    new: Stat | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fixed name for a version; `created` in milliseconds."""

    name: str
    root: bytes
    created: int
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fork:
    """A movable name for a version; `created` in milliseconds."""

    name: str
    root: bytes
    created: int


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its text. `created_at` is RFC 3339 text and `expires_at` milliseconds
    since 1970 UTC, as they are stored (FORMAT.md 7)."""

    key_id: str
    user_id: str
    label: str | None
    created_at: str
    expires_at: int
    is_root: bool
    is_revoked: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `api_key` is its text, kept nowhere else; the rest as in :class:`Key`."""

    api_key: str = field(repr=False)
    key_id: str
    user_id: str
    label: str | None
    created_at: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class LogItem:
    """A version in which a path is not what it was in the one before.

    `version` is its name, `created` when it got that name in milliseconds (of HEAD: when the file
    was last written), `stat` None where the path does not exist.
    """

    version: str
    root: bytes
    created: int
    stat: Stat | None


@dataclass(frozen=True, slots=True)
class Info:
    """What a file is, from its header alone. `size` is the file's length in bytes, times in
    milliseconds; `entries` is what the header says."""

    path: str
    kind: Literal["database", "export", "patch"]
    head: bytes
    base: bytes | None
    target: bytes | None
    entries: int
    size: int
    stage: int
    created: int
    updated: int


@dataclass(frozen=True, slots=True)
class Status:
    """How a database is. Bytes as lengths in the file; `last_backup` the time of the last run of
    `backup` in milliseconds, and the file that holds what it saved."""

    path: str
    head: bytes
    sequence: int
    snapshots: int
    forks: int
    entries: int
    size: int
    live_bytes: int
    free_bytes: int
    last_backup: int | None = None
    last_backup_file: str | None = None
