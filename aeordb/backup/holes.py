"""What a version lacks: counted and named, so that one error tells all of it."""

from __future__ import annotations

from collections import Counter

from aeordb.errors import DamagedError, quote
from aeordb.format import constants as c

_NAMED = 5


class Holes:
    """Missing entries of one version, by the path that needs them."""

    def __init__(self) -> None:
        self.folders: Counter[str] = Counter()
        """Folders that lack directory nodes, and how many of these each is known to lack."""
        self.records: Counter[int] = Counter()
        self._key: bytes | None = None
        self._type = c.ENTRY_DIRECTORY
        self._path = ""

    def __len__(self) -> int:
        return sum(self.folders.values()) + sum(self.records.values())

    def add(self, entry_type: int, key: bytes, path: str) -> None:
        """Counts one missing entry that the file or folder at `path` needs."""
        if self._key is None:
            self._key, self._type, self._path = key, entry_type, path
        if entry_type == c.ENTRY_DIRECTORY:
            self.folders[path] += 1
        else:
            self.records[entry_type] += 1

    def error(self, source: str) -> DamagedError:
        """What to raise: how many entries are missing, the folders that lack nodes, a way out."""
        kinds = Counter(self.records)
        kinds[c.ENTRY_DIRECTORY] = sum(self.folders.values())
        parts = [
            f"{count:,} {_PLURAL[kind] if count > 1 else c.ENTRY_NAMES[kind]}"
            for kind, count in sorted(kinds.items())
            if count
        ]
        total = len(self)
        what = "1 entry is" if total == 1 else f"{total:,} entries are"
        reason = f"{what} missing in {quote(source)} and in the database: {', '.join(parts)}"
        hint = "Import the backups before it first; a patch needs the version that it starts from."
        if self.folders:
            names = [quote(path) for path in list(self.folders)[:_NAMED]]
            more = len(self.folders) - len(names)
            names += [f"{more:,} more folders"] if more else []
            verb = "lacks" if len(self.folders) == 1 else "lack"
            reason += f"; {', '.join(names)} {verb} directory nodes"
            hint = f"{hint}\n`import --salvage` rebuilds such folders from the records in the file."
        return DamagedError(
            key=self._key,
            entry_type=self._type,
            reason=reason,
            path=self._path,
            hint=hint,
            missing=total,
        )


_PLURAL = {
    c.ENTRY_CHUNK: "chunks",
    c.ENTRY_FILE: "file records",
    c.ENTRY_DIRECTORY: "directories",
    c.ENTRY_SYMLINK: "symlinks",
}
