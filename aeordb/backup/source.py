"""A backup file as import sees it: what its header says, and reading it (FORMAT.md, section 6)."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Literal

from aeordb.errors import DamagedError, UsageError, quote
from aeordb.format import constants as c
from aeordb.storage.source import SourceView, open_source

Kind = Literal["full", "patch"]


class Source:
    """An export or a patch, open to be read; a context manager.

    `version` is the root that it leads to, `base` the one that a patch starts from (None of an
    export), `view` reads its entries: each checked against its integrity hash, nothing more.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises NotADatabaseError, DamagedError; UsageError for a database that is no backup."""
        self.path = os.fspath(path)
        self.view: SourceView = open_source(self.path)
        try:
            self._read_header()
        except BaseException:
            self.view.close()
            raise

    def _read_header(self) -> None:
        header = self.view.header
        if header.backup_type not in (c.BACKUP_EXPORT, c.BACKUP_PATCH):
            if header.backup_type == c.BACKUP_NONE:
                raise UsageError(
                    f"{quote(self.path)} is a database, not a backup",
                    hint="Make an export of it with `aeordb export`, and import that.",
                )
            self._refuse(f"a backup of the unknown type {header.backup_type}")
        self.kind: Kind = "full" if header.backup_type == c.BACKUP_EXPORT else "patch"
        self.version = header.target
        self.base = header.base if self.kind == "patch" else None
        if header.target == c.ZERO_HASH:
            self._refuse("its header names no version")
        if self.kind == "full" and header.base != header.target:
            self._refuse("an export whose base is not its target")

    def _refuse(self, reason: str) -> None:
        raise DamagedError(path=self.path, offset=0, reason=reason)

    def count(self, kv_type: int) -> int:
        """How many entries of a KV type the file's index holds; reads every index page."""
        return self.view.count(kv_type)

    def close(self) -> None:
        """Closes the file."""
        self.view.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
