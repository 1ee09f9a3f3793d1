"""What every database must be after its writer was killed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import aeordb
from aeordb.storage.datafile import use_layer
from aeordb.testing.judge import check_commit as judge_commit
from aeordb.testing.recording import ReadOnlyLayer
from aeordb.testing.scenario import Model, State
from tests.crash.judge import model_of, no_scan, state_of
from tests.kit.rules import assert_file

IMPORTED = "imported-"


def read_state(path: Path) -> State:
    """What the database holds, opened by a reader that neither scans nor changes it.

    Without the names that an import gives by itself: their roots are those of backups.
    """
    if not path.exists():
        return None
    with use_layer(ReadOnlyLayer()), no_scan(), aeordb.open(path, "r", jobs=1) as database:
        state = state_of(database)
    assert state is not None
    head, names = state
    return head, tuple(row for row in names if not row[0].startswith(IMPORTED))


def judge(path: Path, allowed: Sequence[State], *, others: Sequence[State] = ()) -> State:
    """One of the states is there, and another commit works (in a copy).

    `others`: all states of the history, to say which one was found instead.
    """
    found = read_state(path)
    assert found in allowed, describe(found, allowed, others)
    if found is not None:
        check_commit(path)
    return found


def assert_verified(path: Path, *, torn: bool = False) -> bool:
    """`verify` finds nothing in what is there.

    `torn`: a process ended in the middle of a write, which may have been that of the header slot
    not in force. Half a slot is no slot, as verify says: whether it did so.
    """
    findings = aeordb.verify(path, jobs=1).findings if path.exists() else ()
    if torn and [finding.kind for finding in findings] == ["header-slot"]:
        return True
    assert not findings, findings[:5]
    return False


def check_commit(path: Path) -> None:
    """Another commit works, leaves the rest as it was, and keeps all rules: in a copy."""
    copy = path.with_name("copy") / path.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, copy)
    with no_scan():
        with aeordb.open(copy, "r", jobs=1) as database:
            found = state_of(database)
        judge_commit(copy, found)
    assert_file(copy)
    shutil.rmtree(copy.parent)


def model_at(state: State) -> Model:
    """A model that begins at a state; None: no database yet."""
    return Model() if state is None else model_of(state)


def describe(found: State, allowed: Sequence[State], others: Sequence[State]) -> str:
    """What is wrong, in numbers of states where it can be said so, else by the paths."""
    numbers = [i for i, state in enumerate(others) if state == found]
    if numbers:
        return f"state {numbers} was found, {[others.index(state) for state in allowed]} allowed"
    if found is None or allowed[0] is None:
        return f"found {found and 'a database'}, {allowed[0] and 'a database'} is allowed"
    missing, more = (set(allowed[0][0]) - set(found[0]), set(found[0]) - set(allowed[0][0]))
    names = [name for name, _ in found[1]], [name for name, _ in allowed[0][1]]
    return f"no such state; missing {sorted(missing)[:5]}, more {sorted(more)[:5]}, names {names}"
