"""Where `put`, `get` and `mv` mean a thing to go: the rules of cp and mv."""

import os
import stat
from pathlib import Path
from typing import Protocol

from aeordb.errors import NotFoundError, UsageError, quote


class Stat(Protocol):
    """What is asked of an entry here."""

    @property
    def kind(self) -> str:
        """`file`, `folder` or `symlink`."""


class Tree(Protocol):
    """A version or a transaction."""

    def stat(self, path: str) -> Stat:
        """The entry at a path, or NotFoundError."""


def is_folder(tree: Tree, path: str) -> bool:
    """Whether a path names a folder: it ends with `/`, or is one in the tree."""
    if path.endswith("/"):
        return True
    try:
        return tree.stat(path).kind == "folder"
    except NotFoundError:
        return False


def inside(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def name_of(source: str) -> str:
    """The last part of a local or a database path, which must have one."""
    name = os.path.basename(source.rstrip("/"))
    if name in ("", ".", "..", "-"):
        raise UsageError(
            f"{quote(source)} has no name to put it under",
            hint="Give the whole destination path, and no other source.",
        )
    return name


def local_target(dest: str, name: str) -> Path:
    """The local file that `get` makes of one file: DEST, or in DEST where that is a folder."""
    return Path(dest, name) if dest.endswith("/") or os.path.isdir(dest) else Path(dest)


def is_stream(dest: str) -> bool:
    """Whether a local path leads to a device, a pipe or a socket: nothing to put a file over."""
    try:
        mode = os.stat(dest).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
