"""The files of a backup folder: how they are called, what they are, and which of them may go.

Retention deletes only what a backup task made of this very database: files by the task's names,
which hold a finished export or patch, of a version that the database has or that the task noted.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from aeordb.backup.sink import PART
from aeordb.errors import AeorDBError
from aeordb.format import constants as c
from aeordb.storage.datafile import remove
from aeordb.storage.locks import holder
from aeordb.storage.state import read_header

SUFFIX = ".aeordb"
HEAD_LABEL = "head"
_LABEL_BYTES = 180
_NAME = re.compile(r"(backup|patch)-(.+)-(\d{8}T\d{6}\.\d{3}Z)\.aeordb", re.DOTALL)
UNCHECKED = ".unchecked"
"""Behind the name of a backup until it was read back."""
_UNFINISHED = re.compile(
    _NAME.pattern + re.escape(UNCHECKED) + "(?:" + re.escape(PART) + ")?", re.DOTALL
)
_PREFIX = {"full": "backup", "patch": "patch"}

Kind = Literal["full", "patch"]


@dataclass(frozen=True, slots=True)
class BackupFile:
    """An export or patch in a backup folder; `label` and `stamp` are None where its name is not
    one that a backup task gives. `base` is None of an export."""

    path: str
    kind: Kind
    version: bytes
    base: bytes | None
    label: str | None = None
    stamp: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)


def make_label(snapshot: str | None) -> str:
    """What stands for the version in a file's name: `head`, or the snapshot's name made fit."""
    if snapshot is None:
        return HEAD_LABEL
    fit = "".join(ch if ch.isprintable() and ch != "/" else "_" for ch in snapshot)
    return fit.encode()[:_LABEL_BYTES].decode(errors="ignore") or "_"


def make_name(kind: Kind, label: str, time: int) -> str:
    """A backup's file name; `time` in milliseconds: `backup-head-20260419T030000.000Z.aeordb`."""
    moment = datetime.fromtimestamp(time // 1000, UTC)
    return f"{_PREFIX[kind]}-{label}-{moment:%Y%m%dT%H%M%S}.{time % 1000:03}Z{SUFFIX}"


def list_unfinished(folder: str, label: str, before: float) -> list[str]:
    """Files that runs for this label have not given a name yet and last wrote to before that time
    (seconds since 1970), as far as their names tell."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            match = _UNFINISHED.fullmatch(name)
            if match is not None and match[2] == label:
                found.append(os.path.join(folder, name))
    return [path for path in found if _last_written(path) < before]


def _last_written(path: str) -> float:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return math.inf
    return status.st_mtime if stat.S_ISREG(status.st_mode) else math.inf


def list_backups(folder: str, *, live: tuple[int, int]) -> list[BackupFile]:
    """The exports and patches in a folder, whoever made them, the newest first by name.

    Never `live`, the database itself (device, inode), under whatever name it stands there. What
    cannot be read is left out; so are symlinks. Of a file that somebody writes to, as to a
    database, the name does not count.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = (_read(os.path.join(folder, name), live) for name in names)
    return sorted(filter(None, found), key=lambda file: file.stamp or "", reverse=True)


def _read(path: str, live: tuple[int, int]) -> BackupFile | None:
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) == live:
            return None
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            header = read_header(fd, path)
            written_to = holder(fd) is not None
        finally:
            os.close(fd)
    except (OSError, AeorDBError):
        return None
    if header.backup_type == c.BACKUP_EXPORT:
        kind: Kind = "full"
    elif header.backup_type == c.BACKUP_PATCH:
        kind = "patch"
    else:
        return None
    base = header.base if kind == "patch" else None
    match = _NAME.fullmatch(os.path.basename(path))
    # A task's file is as it was written: one commit, by us.
    as_written = header.sequence == 1 and header.spare is not None
    if match is None or match[1] != _PREFIX[kind] or not as_written or written_to:
        return BackupFile(path, kind, header.target, base)
    return BackupFile(path, kind, header.target, base, match[2], match[3])


def chain_of(file: BackupFile, files: Iterable[BackupFile]) -> list[BackupFile] | None:
    """The export and the patches that lead to a file's version, the file first; None if a link is
    missing."""
    by_version: dict[bytes, BackupFile] = {}
    for other in files:
        if other.label == file.label and (other.kind == "full" or other.version not in by_version):
            by_version[other.version] = other
    chain = [file]
    while chain[-1].base is not None:
        before = by_version.get(chain[-1].base)
        if before is None or before in chain:
            return None
        chain.append(before)
    return chain


def choose(
    files: Sequence[BackupFile], label: str, keep: int, own: Callable[[BackupFile], bool]
) -> list[BackupFile]:
    """Which files may go so that `keep` of the task's are left, the oldest first.

    `files`: all of the folder, the newest first. A file stays that a patch which stays starts
    from, whoever made that patch; then more than `keep` are left.
    """
    mine = [file for file in files if file.label == label and own(file)]
    candidates = mine[keep:]
    staying = [file for file in files if file not in candidates]
    needed = [file.base for file in staying if file.base is not None]
    while needed:
        base = needed.pop()
        for file in [file for file in candidates if file.version == base]:
            candidates.remove(file)
            if file.base is not None:
                needed.append(file.base)
    return candidates[::-1]


def delete(files: Iterable[BackupFile]) -> list[str]:
    """Deletes the files; their paths."""
    deleted = []
    for file in files:
        remove(file.path)
        deleted.append(file.path)
    return deleted
