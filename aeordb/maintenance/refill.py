"""Entries that a damaged file lost, taken from backups or other databases by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.maintenance.repair_entries import CONTENT, Made, classify
from aeordb.storage.source import SourceView, open_source


class Refill:
    """Exports, patches and databases to look in, the first one first; a context manager.

    Nothing in them is trusted: an entry counts if its integrity hash holds and its key is the
    address of its content. `count`: how many entries were found.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Raises NotADatabaseError, DamagedError."""
        self._views: list[SourceView] = []
        self.count = 0
        try:
            for path in paths:
                self._views.append(open_source(path))
        except BaseException:
            self.close()
            raise

    def find(self, key: bytes, kind: int) -> Made | None:
        """The intact entry of this key and type, with its time there; None if nobody has it."""
        for view in self._views:
            try:
                entry = view.read(key)
            except DamagedError:
                continue
            if entry is None or entry.type != kind:
                continue
            where = classify(kind, entry.version, entry.compression, key, entry.value)
            if where == CONTENT:
                self.count += 1
                flags = entry.flags & c.ENTRY_FLAG_SYSTEM
                layout = entry.version, flags, entry.compression
                return Made(kind, *layout, key, entry.value, entry.time)
        return None

    def close(self) -> None:
        """Closes the files."""
        while self._views:
            self._views.pop().close()

    def __enter__(self) -> Refill:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
