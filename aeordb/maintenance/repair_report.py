"""What a repair did, and what it could not bring back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LostPath:
    """A path that is gone from `versions`, and the versions in which something still stands there.

    Versions are called `HEAD`, `snapshot NAME`, `fork NAME` or `system`.
    """

    path: str
    versions: tuple[str, ...]
    stands_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RebuiltFolder:
    """A folder whose listing was made anew from the records of its paths; `children` it has now."""

    path: str
    version: str
    children: int


@dataclass(frozen=True, slots=True)
class ChangedVersion:
    """A version that has another root now; `old` is None where nothing told it any more."""

    version: str
    old: bytes | None
    new: bytes


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was done.

    `output` is the repaired file, None where nothing was wrong and nothing was written; `bytes`
    and `entries` are of it. `mended` entries had a damaged header, key or integrity hash, which
    their content told; `replaced` ones stood in the file a second time; `refilled` ones came from
    backups; `unreadable` ones were left out. So were `gap_bytes` of the log in which no entry could
    be told: what they held is only known where something needs it. `lost_names`: so many snapshots
    and forks are gone altogether, their names with them. `kept_as`: HEAD is the newest version that
    was complete; a newer one was not, and what is left of it has this snapshot.
    """

    path: str
    output: str | None
    head: bytes
    entries: int = 0
    bytes: int = 0
    mended: int = 0
    replaced: int = 0
    refilled: int = 0
    unreadable: int = 0
    gap_bytes: int = 0
    changed: tuple[ChangedVersion, ...] = ()
    rebuilt: tuple[RebuiltFolder, ...] = ()
    lost: tuple[LostPath, ...] = ()
    lost_names: int = 0
    kept_as: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything is back: no path or name is lost, and no listing had to be
        guessed."""
        return not (self.lost or self.rebuilt or self.lost_names or self.kept_as)
