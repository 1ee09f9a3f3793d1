"""What a file of aeordb is, from its header alone."""

from __future__ import annotations

import os

from aeordb.database.results import Info
from aeordb.errors import NotADatabaseError
from aeordb.format import constants as c
from aeordb.storage.state import read_header
from aeordb.storage.store import check_kind


def info(path: str | os.PathLike[str]) -> Info:
    """What the file is: database, full export or patch. Reads 512 bytes; takes no lock.

    Raises NotADatabaseError, DamagedError.
    """
    name = os.fspath(path)
    try:
        check_kind(name)
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotADatabaseError(path=name, reason="there is no such file") from None
    try:
        header = read_header(fd, name)
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    backup = header.backup_type != c.BACKUP_NONE
    return Info(
        path=name,
        kind={c.BACKUP_EXPORT: "export", c.BACKUP_PATCH: "patch"}.get(
            header.backup_type, "database"
        ),  # type: ignore[arg-type]
        head=header.head,
        base=header.base if backup else None,
        target=header.target if backup else None,
        entries=header.entry_count,
        size=size,
        stage=header.stage,
        created=header.created_at,
        updated=header.updated_at,
    )
