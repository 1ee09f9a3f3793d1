"""Paths and versions of requests: decoded once, strictly, and refused if there is any doubt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from aeordb.errors import DamagedError, NotFoundError, PathError, UsageError
from aeordb.tree.paths import TreePath, is_system, parse_path

if TYPE_CHECKING:
    from fastapi import Request

    from aeordb import Database, View

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{8,64}")


def text_behind(request: Request, prefix: bytes) -> str:
    """What the request's path has behind `prefix`, decoded. Raises PathError, NotFoundError.

    Taken from the bytes that were sent: what the framework decodes hides overlong forms, and what
    was a slash.
    """
    raw: bytes = request.scope["raw_path"]
    if not raw.startswith(prefix):
        raise NotFoundError(what="route", name=raw.decode("latin-1"))
    rest = raw[len(prefix) :]
    shown = rest.decode("latin-1")
    if _BAD_ESCAPE.search(rest):
        raise PathError(path=shown, reason="a % without two hexadecimal digits")
    if b"%2f" in rest.lower():
        raise PathError(path=shown, reason="it has an encoded slash")
    try:
        return unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise PathError(path=shown, reason="it is not valid UTF-8") from None


def file_path(request: Request, *, file: bool = False) -> TreePath:
    """The path of `/files/...`; `file`: of a file, not of a folder."""
    text = text_behind(request, b"/files") or "/"
    if not text.startswith("/"):
        raise NotFoundError(what="route", name=text)
    path = parse_path(text, file=file)
    if is_system(path):
        # System data is nobody's business over HTTP, whatever the key.
        raise NotFoundError(what="path", name=path)
    return path


def view_of(database: Database, snapshot: str | None, version: str | None) -> View:
    """The version that a request wants to read: HEAD if it names none.

    Raises NotFoundError, UsageError.
    """
    return database.at(version_of(database, snapshot, version))


def version_of(database: Database, snapshot: str | None, version: str | None) -> str:
    """A version by the name of a snapshot, or as everywhere (`HEAD`, name, hash, prefix).

    A hash must be that of a version: other folders have hashes too, also those of system data.
    """
    if snapshot is None and version is None:
        return "HEAD"
    if snapshot is not None:
        if version is not None:
            raise UsageError("give a snapshot or a version, not both")
        found = database.snapshots.get(snapshot)
        # AeorDB lets a snapshot be called HEAD.
        return found.root.hex() if snapshot == "HEAD" else snapshot
    assert version is not None
    if _HASH.fullmatch(version) and not _is_version(database.at(version)):
        raise NotFoundError(what="version", name=version)
    return version


def _is_version(view: View) -> bool:
    try:
        return view.is_root()
    except DamagedError:
        # A path key looks like a folder; what is really damaged shows under its other names.
        return False
