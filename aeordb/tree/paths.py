"""Paths of the tree: checked and normalised once, then carried as their own type.

A path is absolute, `/`-separated UTF-8 of at most 65,535 bytes with no empty, `.` or `..` part and
no NUL (FORMAT.md 3.1). `a/b` is taken as `/a/b` and one slash at the end is dropped; anything else
that would have to be guessed is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NewType

from aeordb.errors import PathError
from aeordb.format.constants import PATH_MAX, SYSTEM_ROOTS

TreePath = NewType("TreePath", str)
"""A path that went through parse_path, or was joined from one and a checked name."""

ROOT: Final = TreePath("/")
NAME_MAX: Final = PATH_MAX - 1
DEPTH_MAX: Final = 1_000
HIDDEN_PREFIX: Final = ".aeordb-"


def parse_path(text: str, *, file: bool = False) -> TreePath:
    """The normalised path, or PathError with the reason.

    `file`: the path is to name a file or symlink, so neither the root nor a slash at the end.
    """
    if not isinstance(text, str):
        raise TypeError(f"a path is a str, not {type(text).__name__}")
    if not text:
        raise PathError(path=text, reason="the path is empty")
    path = text if text.startswith("/") else "/" + text
    if path == "/":
        if file:
            raise PathError(path=text, reason="the root is a folder")
        return ROOT
    if path.endswith("/"):
        if file:
            raise PathError(path=text, reason="a slash at the end names a folder")
        path = path[:-1]
    parts = path[1:].split("/")
    for part in parts:
        reason = _name_fault(part)
        if reason:
            raise PathError(path=text, reason=reason)
    return check_limits(TreePath(path), text)


def parse_name(name: str) -> str:
    """One part of a path, or PathError with the reason."""
    reason = "it contains a slash" if "/" in name else _name_fault(name) or _length_fault(name)
    if reason:
        raise PathError(path=name, reason=reason)
    return name


def check_limits(path: TreePath, text: str | None = None) -> TreePath:
    """The path itself, if it is neither too long nor too deep; else PathError (named `text`)."""
    text = path if text is None else text
    reason = _length_fault(path, PATH_MAX)
    if not reason and path.count("/") > DEPTH_MAX and path != ROOT:
        reason = f"it has {path.count('/'):,} parts, at most {DEPTH_MAX:,} are allowed"
    if reason:
        raise PathError(path=text, reason=reason)
    return path


def _name_fault(name: str) -> str:
    """Why a name is refused, whatever its length; "" if it is fine."""
    if not name:
        return "it has an empty part (two slashes in a row)"
    if name in (".", ".."):
        return f"'{name}' is not allowed as a part of a path"
    if "\0" in name:
        return "it contains a NUL character"
    return ""


def _length_fault(text: str, limit: int = NAME_MAX) -> str:
    try:
        length = len(text.encode())
    except UnicodeEncodeError as fault:
        return f"character {fault.start} is a lone surrogate, which UTF-8 cannot hold"
    return f"it has {length:,} bytes, at most {limit:,} are allowed" if length > limit else ""


def stored_name_fault(name: str) -> str:
    """Why a name that a listing holds must not be used, or "": no file may lead out of a folder."""
    return f"a listing holds the illegal name {name!r}" if "/" in name or _name_fault(name) else ""


def parts(path: TreePath) -> list[str]:
    """The names from the root down; none for the root."""
    return path[1:].split("/") if path != ROOT else []


def join(folder: TreePath, name: str) -> TreePath:
    """The path of a child; `name` is one that was checked."""
    return TreePath(f"/{name}" if folder == ROOT else f"{folder}/{name}")


def split(path: TreePath) -> tuple[TreePath, str]:
    """The parent folder and the name; of the root: the root and ""."""
    folder, _, name = path.rpartition("/")
    return TreePath(folder or "/"), name


def ancestors(path: TreePath) -> Iterator[TreePath]:
    """The root and every folder above `path`, from the top."""
    yield ROOT
    position = path.find("/", 1)
    while position > 0:
        yield TreePath(path[:position])
        position = path.find("/", position + 1)


def is_within(path: TreePath, folder: TreePath) -> bool:
    """True if `path` is `folder` or lies below it."""
    return path == folder or folder == ROOT or path.startswith(folder + "/")


def is_hidden(name: str) -> bool:
    """True for names that AeorDB keeps for itself: listings leave them out unless asked."""
    return name.startswith(HIDDEN_PREFIX)


def is_system(path: TreePath) -> bool:
    """True for the system roots and all below them: never part of HEAD (FORMAT.md 3.2)."""
    return path.startswith("/" + HIDDEN_PREFIX) and any(
        is_within(path, TreePath(root)) for root in SYSTEM_ROOTS
    )


def check_writable(path: TreePath) -> TreePath:
    """The path itself, or PathError for a system root."""
    if is_system(path):
        raise PathError(path=path, reason="the system folders take no put, rm or mv")
    return path
