"""What the versions reach, found behind every fault; and the path keys of HEAD's folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.nodes import Internal, Leaf, Listing, decode_node
from aeordb.maintenance.findings import (
    ENTRY,
    MISSING,
    RECORD,
    REFILL,
    REPAIR,
    TREE,
    Collector,
)
from aeordb.maintenance.reach import Root, Roots
from aeordb.native.faults import WalkFault
from aeordb.native.index import Index
from aeordb.native.verify import Faults, Row, Verification
from aeordb.native.walk import Marks, Walk, Walker, list_places
from aeordb.parallel.threads import run_workers

_FAULTS_MAX = 4096
_SMALL = 50_000
_PLACES_MAX = 1 << 20

# A damaged entry is found once more when the log is read: the same finding.
_KIND_OF = {
    -26: ENTRY,
    -22: ENTRY,
    -23: ENTRY,
    **dict.fromkeys((-40, -41, -42, -43, -57), RECORD),
    **dict.fromkeys((-51, -52, -53, -54, -55, -58), TREE),
}


def walk_roots(
    index: Index, roots: Iterable[Root], marks: Marks, out: Collector, *, jobs: int
) -> None:
    """Marks all that the roots reach and that is not marked yet.

    Raises PageFault, MapFault.
    """
    workers = jobs if marks.slots >= _SMALL else 1
    walking = Walk(index, marks, workers=workers, strict=True)
    faults = Faults(walking, _FAULTS_MAX)
    for root in roots:
        if root.root == c.ZERO_HASH:
            continue
        if root.listing is not None and index.find(root.root) is None:
            # The path key has a copy of the node; the node itself need not be there.
            for kind, keys in _below(root.listing):
                walking.add(kind, keys)
        else:
            walking.add(c.ENTRY_DIRECTORY, root.root)

    def work() -> None:
        walker = Walker(walking)
        while walker.run():
            pass

    run_workers(workers, work, walking.stop)
    for fault in faults:
        _add(fault, out)
    if len(faults) > _FAULTS_MAX:
        out.found += len(faults) - _FAULTS_MAX


def _add(fault: WalkFault, out: Collector) -> None:
    what = c.ENTRY_NAMES.get(fault.entry_type, "entry")
    kind = _KIND_OF.get(fault.code, MISSING)
    out.add(
        kind,
        offset=fault.offset or None,
        key=fault.key,
        hint=REPAIR if kind == TREE else REFILL,
        reason=f"the {what}: {fault.reason}",
    )


def _below(value: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        node = decode_node(value)
    except FormatError:
        return
    if isinstance(node, Internal):
        for key in node.keys:
            yield c.ENTRY_DIRECTORY, key
        return
    if isinstance(node, Leaf | Listing):
        for child in node.children:
            yield child.kind, child.hash


def check_folders(index: Index, verification: Verification, roots: Roots) -> tuple[list[Row], bool]:
    """Compares the `dir:` path keys of HEAD's folders, and notes those of the system's.

    (what is not as HEAD says, whether all folders could be gone through: if not, strays cannot be
    told). Raises PageFault, MapFault.
    """
    limit = _PLACES_MAX + 4 * len(verification.seen)
    found: list[Row] = []
    for root in roots.roots:
        if root.kind not in ("HEAD", "system") or root.root == c.ZERO_HASH:
            continue
        place = "" if root.kind == "HEAD" else root.name
        try:
            for places in list_places(index, root.root, place.encode(), limit=limit):
                rows = verification.places(places)
                if root.kind == "HEAD":
                    found += rows
        except WalkFault:
            return found, False
    return found, True
