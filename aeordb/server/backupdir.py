"""The backup folder as requests see it: bare names of files in it, and nothing around it."""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final

from aeordb.errors import (
    AeorDBError,
    DamagedError,
    ExistsError,
    NotADatabaseError,
    NotFoundError,
    PathError,
    quote,
)
from aeordb.server.errors import RefusedBackupError
from aeordb.server.settings import Settings
from aeordb.server.uploads import new_file
from aeordb.storage.datafile import make_folders

NAME_MAX: Final = 200
_OURS: Final = ".aeordb-stream-"
_OPEN_FILE: Final = re.compile(r"/proc/self/fd/\d+")
# Next to a file of this name, others use these: what is being written, and the lock.
_RESERVED: Final = (".part", ".lock")
_claimed: Final[set[str]] = set()
_guard: Final = threading.Lock()


class BackupDir:
    """The folder that `--backup-dir` names."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.backup_path

    def make(self) -> str:
        """Makes the folder if it is not there; its path."""
        make_folders(self.path)
        return self.path

    def clean(self) -> None:
        """Takes away what a killed server was sending; called before the first request."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self.path):
                if name.startswith(_OURS):
                    os.unlink(os.path.join(self.path, name))

    def new(self, name: str) -> str:
        """The path for a new file. Raises PathError."""
        return os.path.join(self.path, check_name(name))

    @contextmanager
    def claim(self, path: str) -> Iterator[None]:
        """Keeps a path for one export: two at once would share what they write to.

        Raises ExistsError.
        """
        with _guard:
            if path in _claimed:
                raise ExistsError(path=path, hint="It is being written.")
            _claimed.add(path)
        try:
            yield
        finally:
            _claimed.discard(path)

    @contextmanager
    def open(self, name: str) -> Iterator[str]:
        """A path to a file in the folder, which stays that file whatever becomes of its name.

        Raises PathError, NotFoundError: also for a symlink, which could lead anywhere.
        """
        path = os.path.join(self.path, check_name(name))
        try:
            # Not blocking: somebody may have put a pipe there.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            fd = os.open(path, flags)
        except OSError:
            raise NotFoundError(what="backup", name=name) from None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotFoundError(what="backup", name=name)
            yield self.path_of(fd)
        finally:
            os.close(fd)

    def new_file(self) -> BinaryIO:
        """A file on the folder's disk without a name."""
        return new_file(self.make())

    def path_of(self, fd: int) -> str:
        """A path for an open file."""
        return f"/proc/self/fd/{fd}"

    def write_unnamed(self, write: Callable[[str], Any]) -> tuple[Any, int]:
        """Has a file written and takes its name away: the report, and the file open (or -1)."""
        path = os.path.join(self.make(), f"{_OURS}{secrets.token_hex(8)}.aeordb")
        try:
            report = write(path)
            fd = -1 if report.output is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return report, fd
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)

    @contextmanager
    def errors(self, name: str, path: str | None = None) -> Iterator[None]:
        """Makes errors about a backup say its name, not where it lies; what is wrong with it is
        the client's business."""
        try:
            yield
        except AeorDBError as error:
            for known in {*_OPEN_FILE.findall(error.message), path or name} - {name}:
                error.message = error.message.replace(quote(known), quote(name))
                error.message = error.message.replace(known, name)
            if "path" in error.facts and _is_local(error, self.path):
                error.facts["path"] = name
            if isinstance(error, DamagedError) and path is None and name != "the export":
                raise RefusedBackupError(error) from None
            if isinstance(error, NotADatabaseError):
                error.facts["path"] = name
            raise


def _is_local(error: AeorDBError, folder: str) -> bool:
    path = error.facts["path"]
    return isinstance(path, str) and path.startswith((folder, "/proc/self/fd/"))


def check_name(name: str) -> str:
    """A bare file name, or PathError: nothing that leads out of the folder, or into the way of the
    library's own files."""
    reason = ""
    if not name or "/" in name or "\\" in name or name in (".", ".."):
        reason = "it must be a bare file name"
    elif not name.isprintable():
        reason = "it has a control character"
    elif name.startswith("."):
        reason = "it begins with a dot"
    elif name.lower().endswith(_RESERVED):
        reason = f"it ends with {' or '.join(_RESERVED)}"
    elif len(os.fsencode(name)) > NAME_MAX:
        reason = f"it has more than {NAME_MAX} bytes"
    if reason:
        raise PathError(path=name, reason=reason, hint="The file lies in the backup folder.")
    return name
