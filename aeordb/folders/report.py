"""What putting a folder in or getting one out did."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple


class Skipped(NamedTuple):
    """Something left out, and why.

    `path` is the file's path as the user would find it; bytes that are no UTF-8 stand as escapes.
    `loss` is False where nothing that can be stored is missing: a socket, the database itself.
    """

    path: str
    reason: str
    loss: bool = True


@dataclass(frozen=True, slots=True)
class PutReport:
    """A folder put in. `files` were read and stored; `unchanged` files and symlinks are as before.

    `folders` are new ones, `symlinks` new or changed, `deleted` counts paths; `bytes` is the length
    of the stored files' content.
    """

    files: int = 0
    unchanged: int = 0
    folders: int = 0
    symlinks: int = 0
    deleted: int = 0
    bytes: int = 0
    skipped: tuple[Skipped, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all that can be stored was."""
        return not any(skipped.loss for skipped in self.skipped)


@dataclass(frozen=True, slots=True)
class GetReport:
    """A folder gotten out: files, new folders and symlinks written, and the files' `bytes`."""

    files: int = 0
    folders: int = 0
    symlinks: int = 0
    bytes: int = 0
    skipped: tuple[Skipped, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all was written."""
        return not self.skipped


def shown(path: bytes) -> str:
    """A file's path for messages."""
    return path.decode("utf-8", "backslashreplace")


def reason_of(error: OSError) -> str:
    """An operating system's error in words, without the path."""
    return (error.strerror or str(error)).lower() if error.errno else str(error)


def path_bytes(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> bytes:
    """A file's path as the system takes it, without a slash at its end."""
    raw = os.fsencode(path)
    return raw.rstrip(b"/") or raw[:1]
