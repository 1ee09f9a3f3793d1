"""Symlinks, checked as file records are: address, place, target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aeordb.backup.known import Known
from aeordb.backup.layers import NOWHERE, Layers
from aeordb.errors import DamagedError, quote
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.keys import symlink_identity_key
from aeordb.format.nodes import Child
from aeordb.format.records import SymlinkRecord
from aeordb.storage.protocols import Entry
from aeordb.tree.relocate import target_fault

if TYPE_CHECKING:
    from aeordb.backup.check import Checked


class SymlinkCheck:
    """Checks listed symlinks; notes what the database lacks of them."""

    def __init__(self, layers: Layers, result: Checked) -> None:
        self._layers = layers
        self._result = result

    def check(self, folder: str, known: Known, children: Sequence[Child]) -> None:
        """Checks the symlinks of one listing; holes are noted, other faults raise DamagedError."""
        keys = b"".join([child.hash for child in children])
        below = folder if folder != "/" else ""
        for child, where in zip(children, self._layers.locate(keys, c.KV_SYMLINK), strict=True):
            if where != 0 and known.holds(child):
                continue
            path = f"{below}/{child.name}"
            if where == NOWHERE:
                self._result.holes.add(c.ENTRY_SYMLINK, child.hash, path)
                continue
            entry = self._layers.fetch(where, child.hash, c.ENTRY_SYMLINK)
            reason = fault(entry, child, path)
            if reason:
                raise DamagedError(
                    key=child.hash,
                    entry_type=c.ENTRY_SYMLINK,
                    offset=entry.offset,
                    reason=f"{quote(path[:1_000])}: {reason}",
                    path=path[:1_000],
                )
            self._note(where, child.hash, entry)

    def _note(self, where: int, key: bytes, entry: Entry) -> None:
        result = self._result
        result.entries += 1
        if where == self._layers.bottom:
            return
        result.newest = max(result.newest, entry.time)
        result.symlinks += where == 0
        if not self._layers.views[self._layers.bottom].has_many([key])[0]:
            result.wanted[where].entries.add(entry.offset, key)
            return
        own = self._layers.intact(key, c.ENTRY_SYMLINK)
        if own is None or _updated(own) < _updated(entry):
            result.wanted[where].renewed.add(entry.offset, key)


def fault(entry: Entry, child: Child, path: str) -> str:
    """What is wrong with a listed symlink's record, or ""."""
    try:
        record = SymlinkRecord.decode(entry.value)
    except FormatError as error:
        return error.reason
    if record.path != path:
        return "its record is that of another path"
    if child.size:
        return f"a symlink of {child.size} bytes"
    if entry.version != c.VALUE_VERSION:
        return f"of the unknown version {entry.version}"
    if symlink_identity_key(record.path, record.target) != child.hash:
        return "its record has another address"
    wrong = target_fault(record.target)
    return f"its target: {wrong}" if wrong else ""


def _updated(entry: Entry) -> int:
    try:
        return SymlinkRecord.decode(entry.value).updated
    except FormatError:
        return -(1 << 63)
