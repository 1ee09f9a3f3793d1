"""The folder to be put in: listed and read, whatever happens to it meanwhile."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from operator import itemgetter
from typing import Final, NamedTuple

# The system takes 4,095 bytes; this leaves room for one more name.
_PATH_LIMIT: Final = 3_800
_OPEN_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


class Found(NamedTuple):
    """A name in a folder on disk; `status` is its own, not that of what a symlink points to."""

    name: bytes
    status: os.stat_result


class Content(NamedTuple):
    """A file as it was read: `updated` is its modification time in ms before the reading."""

    data: bytes
    updated: int


def list_folder(path: bytes) -> list[Found]:
    """A folder's entries by name; a name that is gone when it is looked at is left out."""
    found: list[Found] = []
    if len(path) < _PATH_LIMIT:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    found.append(Found(entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
    else:
        fd = open_at(path, _OPEN_FOLDER)
        try:
            with os.scandir(fd) as names:
                for name in names:
                    try:
                        status = name.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    found.append(Found(os.fsencode(name.name), status))
        finally:
            os.close(fd)
    found.sort(key=itemgetter(0))
    return found


def count_files(path: str | os.PathLike[str]) -> int:
    """About how many files lie below a folder; what cannot be read counts as none."""
    count = 0
    folders = [os.fspath(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    count += 1
    return count


def read_link(path: bytes) -> bytes:
    """A symlink's target."""
    if len(path) < _PATH_LIMIT:
        return os.readlink(path)
    folder, _, name = path.rpartition(b"/")
    fd = open_at(folder, _OPEN_FOLDER)
    try:
        return os.readlink(name, dir_fd=fd)
    finally:
        os.close(fd)


def open_regular(path: bytes) -> tuple[int, os.stat_result]:
    """A regular file's descriptor and status; OSError for anything else, symlinks included."""
    fd = open_at(path, _OPEN_FILE)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no longer a regular file")
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def read_whole(path: bytes) -> Content:
    """A small file, read to its end as it is now."""
    fd, status = open_regular(path)
    try:
        wanted = status.st_size + 1
        data = os.read(fd, wanted)
        if len(data) == wanted:  # it grew
            parts = [data]
            while part := os.read(fd, 1 << 20):
                parts.append(part)
            data = b"".join(parts)
    finally:
        os.close(fd)
    return Content(data, milliseconds(status))


def milliseconds(status: os.stat_result) -> int:
    """A modification time as the database keeps it."""
    return status.st_mtime_ns // 1_000_000


def open_at(path: bytes, flags: int) -> int:
    """`os.open` for a path of any length: the system takes no more than 4,095 bytes at once."""
    if len(path) < _PATH_LIMIT:
        return os.open(path, flags)
    folder = -1
    try:
        while len(path) >= _PATH_LIMIT:
            cut = path.rindex(b"/", 0, _PATH_LIMIT)
            inner = os.open(path[:cut] or b"/", _OPEN_FOLDER, dir_fd=None if folder < 0 else folder)
            if folder >= 0:
                os.close(folder)
            folder, path = inner, path[cut + 1 :]
        return os.open(path, flags, dir_fd=folder)
    finally:
        if folder >= 0:
            os.close(folder)
