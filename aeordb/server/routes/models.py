"""What the routes answer, as the OpenAPI description has it: the library's results."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[int, Field(description="Milliseconds since 1970 UTC.")]


class Entry(BaseModel):
    """One path: what a listing's line has."""

    path: str
    kind: Literal["file", "folder", "symlink"]
    size: int
    created: Time
    updated: Time
    content_type: str | None
    hash: Hash | None
    target: str | None


class Listing(BaseModel):
    """A folder's children, or a part of them; `next` is the offset of the next part, if any."""

    items: list[Entry]
    next: int | None


class Deleted(BaseModel):
    """How many paths are gone."""

    path: str
    deleted: int


class SnapshotEntry(BaseModel):
    """A fixed name for a version."""

    name: str
    root: Hash
    created: Time
    metadata: dict[str, str]


class SnapshotList(BaseModel):
    """All snapshots, by name."""

    items: list[SnapshotEntry]


class Named(BaseModel):
    """A name."""

    name: str


class Restored(BaseModel):
    """A snapshot that HEAD is now."""

    name: str
    version: Hash


class Promoted(BaseModel):
    """HEAD, and what it was."""

    version: Hash
    previous: Hash
    promoted: bool


class Exported(BaseModel):
    """What an export holds."""

    version: Hash
    files: int
    chunks: int
    directories: int
    bytes: int
    output: str | None


class Patched(BaseModel):
    """What a patch holds; without a difference there is no output."""

    from_: Annotated[Hash, Field(alias="from")]
    to: Hash
    files_added: int
    files_modified: int
    files_deleted: int
    chunks: int
    directories: int
    bytes: int
    output: str | None


class Rebuilt(BaseModel):
    """A folder that salvage rebuilt, and how many entries it has."""

    path: str
    entries: int


class Imported(BaseModel):
    """What an import brought."""

    kind: Literal["full", "patch", "chain"]
    entries: int
    chunks: int
    files: int
    directories: int
    deletions: int
    version: Hash
    promoted: bool
    skipped_system: int
    snapshot: str | None
    written: int
    rebuilt: list[Rebuilt]
    warnings: list[str]
