"""Names of files on a disk whose power may go: which changes of them are durable by now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aeordb.testing.tearing import subsets

# So many unsynced changes of names, and every subset of them is a variant.
_ALL_OF = 4


@dataclass(frozen=True)
class _Change:
    """What one call did to names: the file `number` got `target`, and no longer has `source`."""

    folder: str
    source: str = ""
    target: str = ""
    number: int = 0
    made: str = ""


class Names:
    """Numbers of files by name: `now`, as processes see it, and as the disk may have it."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self._durable: dict[str, int] = {}
        self._pending: list[_Change] = []

    def add(self, name: str, number: int) -> None:
        """A name that is durable."""
        self.now[name] = self._durable[name] = number

    def create(self, name: str, number: int) -> None:
        """A new name for a new file."""
        self._do(_Change(_folder(name), target=name, number=number))

    def rename(self, source: str, target: str) -> None:
        """The file of one name has another one, in the place of what had that."""
        self._do(_Change(_folder(target), source, target, self.now[source]))

    def unlink(self, name: str) -> None:
        """The name is gone."""
        if name in self.now:
            self._do(_Change(_folder(name), source=name))

    def mkdir(self, name: str) -> None:
        """A new folder: until it is durable, so is nothing in it."""
        self._do(_Change(_folder(name), made=name))

    def sync(self, folder: str) -> None:
        """The names in this folder are durable now."""
        folder = os.path.abspath(folder)
        for change in self._pending:
            if change.folder == folder:
                _make(self._durable, change)
        self._pending = [change for change in self._pending if change.folder != folder]

    def variants(self) -> Iterator[tuple[dict[str, int], str]]:
        """What the names may be after a cut; first of all as they are."""
        count = len(self._pending)
        yield self.now, ""
        if count <= _ALL_OF:
            which = [kept for kept in subsets(count) if len(kept) < count]
        else:
            which = [tuple(range(i)) for i in range(count)]
            which += [tuple(j for j in range(count) if j != i) for i in range(count)]
        for kept in which:
            yield self._with(kept), f", of {count} changes of names only {list(kept)}"

    def _do(self, change: _Change) -> None:
        _make(self.now, change)
        self._pending.append(change)

    def _with(self, kept: Sequence[int]) -> dict[str, int]:
        names = dict(self._durable)
        for i in kept:
            _make(names, self._pending[i])
        for i, change in enumerate(self._pending):
            if change.made and i not in kept:
                inside = change.made + os.sep
                names = {n: number for n, number in names.items() if not n.startswith(inside)}
        return names


def _make(names: dict[str, int], change: _Change) -> None:
    if change.source:
        names.pop(change.source, None)
    if change.target:
        names[change.target] = change.number


def _folder(name: str) -> str:
    return os.path.dirname(os.path.abspath(name))
