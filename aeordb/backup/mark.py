"""Marking: what a version reaches, found by as many threads as there is use for (engine.md 6).

A walk has an index of its own: the newest committed one when it begins. What does not hold may be
the work of a writer that does not wait for walks, so the whole operation is done again while the
header moves; it is damage once the header has stood still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.records import FileRecord
from aeordb.native.faults import EntryFault, NativeFault, PageFault, WalkFault
from aeordb.native.index import Index
from aeordb.native.walk import Marks, Walk, Walker
from aeordb.parallel.threads import run_workers
from aeordb.storage.state import State
from aeordb.storage.view import View
from aeordb.tree.walk import walk

T = TypeVar("T")

# Fewer slots than this are walked sooner than threads are started.
_SMALL = 50_000
_TRIES = 5

_HINT = "Run `aeordb verify` to see what is hit."


def with_walk(view: View, work: Callable[[Index], T]) -> T:
    """Runs `work` with an index whose slots stay where they are; perhaps again with a newer one.

    Raises the NativeFault of the last try; :func:`damage` makes an error of it.
    """
    return with_state(view, lambda index, _: work(index))


def with_state(view: View, work: Callable[[Index, State], T]) -> T:
    """As :func:`with_walk`; `work` also gets the state that the index is of."""
    view.begin_walk()
    try:
        rebuild = False
        for _ in range(_TRIES):
            index, state = view.walk_index(rebuild=rebuild)
            try:
                return work(index, state)
            except NativeFault as error:
                fault = error
            if view.moved_since(state):
                continue
            if isinstance(fault, PageFault) and not (state.ours or state.rebuilt):
                # A bad page is what AeorDB's crash looks like.
                rebuild = True
                continue
            break
        raise fault
    finally:
        view.end_walk()


def mark(
    index: Index,
    roots: bytes,
    marks: Marks,
    folders: Marks | None = None,
    *,
    jobs: int,
    path_keys: bool = False,
    strict: bool = False,
) -> None:
    """Marks all that the directories `roots` (keys, joined) reach and that is not marked yet.

    `folders`: also gets a bit for each directory, but none for B-tree nodes below their roots.
    `path_keys`: also marks the path keys of the files and symlinks that it marks. `strict`: as for
    :class:`~aeordb.native.walk.Walk`.
    """
    workers = jobs if marks.slots >= _SMALL else 1
    walking = Walk(index, marks, folders, workers=workers, path_keys=path_keys, strict=strict)
    walking.add(c.ENTRY_DIRECTORY, roots)

    def work() -> None:
        walker = Walker(walking)
        while walker.run():
            pass

    run_workers(workers, work, walking.stop)


def damage(view: View, roots: Sequence[bytes], fault: NativeFault) -> DamagedError:
    """The error for a fault that a walk over `roots` met, with the path that leads to it."""
    key = fault.key if isinstance(fault, (WalkFault, EntryFault)) else None
    if key is None or not any(key):
        return DamagedError(path=view.path, reason=str(fault), hint=_HINT)
    entry_type = fault.entry_type if isinstance(fault, WalkFault) else 0
    what = c.ENTRY_NAMES.get(entry_type, "entry")
    return DamagedError(
        key=key,
        entry_type=entry_type or None,
        offset=getattr(fault, "offset", 0) or None,
        reason=f"the {what} {key.hex()}: {getattr(fault, 'reason', fault)}",
        path=_find_place(view, roots, key),
        hint=_HINT,
    )


def _find_place(view: View, roots: Sequence[bytes], key: bytes) -> str | None:
    """A path that leads to the entry; only asked once something is wrong, so it may be slow."""
    for root in roots:
        if root == key:
            return "/"
        try:
            for path, child in walk(view, root, hidden=True):
                if child.hash == key:
                    return path
                if child.kind == c.KIND_FILE and _has_chunk(view, child.hash, key):
                    return path
        except DamagedError as error:
            if error.path is not None and error.path != view.path:
                return error.path
    return None


def _has_chunk(view: View, record: bytes, key: bytes) -> bool:
    try:
        entry = view.read_as(record, c.ENTRY_FILE)
        return key in FileRecord.decode(entry.value, entry.version).chunks()
    except (DamagedError, FormatError):
        return False
