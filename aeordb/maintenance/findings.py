"""What verify finds: a closed list of kinds, findings, and the report (engine.md section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HEADER_SLOT: Final = "header-slot"
HEADER_FIELD: Final = "header-field"
HOT_TAIL: Final = "hot-tail"
PAGE: Final = "page"
MISPLACED: Final = "misplaced"
ENTRY: Final = "entry"
ADDRESS: Final = "address"
RECORD: Final = "record"
GAP: Final = "gap"
INDEX: Final = "index"
UNINDEXED: Final = "unindexed"
OUTDATED: Final = "outdated"
MISSING: Final = "missing"
TREE: Final = "tree"
PATH_KEY: Final = "path-key"
VOID: Final = "void"
OVERLAP: Final = "overlap"
TIME: Final = "time"
CONTENT: Final = "content"

KINDS: Final = {
    HEADER_SLOT: "a header slot cannot be read; the other one counts",
    HEADER_FIELD: "a field of the live header contradicts the file",
    HOT_TAIL: "the hot tail, the journal at the end of the file, does not hold",
    PAGE: "an index page does not hold",
    MISPLACED: "an index page has an entry that belongs to another page, or one key twice",
    ENTRY: "an entry's bytes do not match its integrity hash",
    ADDRESS: "an entry's key is not the address that its content gives",
    RECORD: "an entry's value cannot be decoded",
    GAP: "bytes in the log that belong to no entry",
    INDEX: "an index record points to no entry of its key",
    UNINDEXED: "an entry of the log that the index should have and lacks",
    OUTDATED: "the index has an older entry of a key than the log",
    MISSING: "a version needs an entry that is not there",
    TREE: "a version's tree holds what it must not",
    PATH_KEY: "a path key, by which AeorDB reads, does not say what HEAD says",
    VOID: "free space that is no void entry of zeros",
    OVERLAP: "free space that live entries, or other free space, lie in",
    TIME: "an entry's time is one that was never handed out",
    CONTENT: "a file's bytes do not have the content hash of its record",
}
"""Each kind of finding, and what it means; `--json` prints the kind."""

REPAIR: Final = "Run `aeordb verify --repair`."
REFILL: Final = "Run `aeordb verify --repair --from BACKUP` with a backup that holds it."
GARBAGE: Final = "No version needs it; `aeordb gc` frees it."
REWRITE: Final = "Nothing is lost; `aeordb verify --repair` sets it right."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold.

    `kind` is one of KINDS; `offset` the byte in the file, `key` the entry's index key, where these
    are known; `paths` and `versions` what it hits (perhaps only the first of many; a version's name
    is `HEAD`, `snapshot NAME`, `fork NAME` or `system`), `hint` what to do, `reason` the details.
    """

    kind: str
    offset: int | None = None
    key: bytes | None = None
    paths: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    hint: str = ""
    reason: str = ""

    @property
    def what(self) -> str:
        """What it is, in a sentence."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified, and what was found.

    `ok`: nothing was found. `found` counts all findings; `findings` holds the first of them (in
    the order of the checks). `notes` are remarks that are no damage. `entries` and `bytes` are of
    the log, `files` how many files were read whole.
    """

    ok: bool
    findings: tuple[Finding, ...]
    found: int
    notes: tuple[str, ...]
    path: str
    head: bytes
    entries: int
    bytes: int
    versions: int
    files: int
    seconds: float


FINDINGS_MAX: Final = 1000
"""So many findings are kept; the others are counted."""


class Collector:
    """Takes findings in the order in which they are made, each entry's of one kind once."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.found = 0
        self.notes: list[str] = []
        self._seen: set[tuple[str, int | None, bytes | None]] = set()

    def add(
        self,
        kind: str,
        *,
        offset: int | None = None,
        key: bytes | None = None,
        paths: tuple[str, ...] = (),
        versions: tuple[str, ...] = (),
        hint: str = REPAIR,
        reason: str = "",
    ) -> None:
        """Notes a finding."""
        known = kind, offset, key
        if known in self._seen:
            return
        self.found += 1
        if len(self.findings) < FINDINGS_MAX:
            self._seen.add(known)
            self.findings.append(Finding(kind, offset, key, paths, versions, hint, reason))

    def note(self, text: str) -> None:
        """Notes a remark that is no damage."""
        if text not in self.notes:
            self.notes.append(text)
