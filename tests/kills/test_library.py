"""A process that uses the library is killed at any moment; the next one goes on with the file."""

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import aeordb
from aeordb.testing.scenario import Rows, State
from tests.kills.child import Orders
from tests.kills.counts import cycles, lives
from tests.kills.history import History
from tests.kills.judging import assert_verified, describe, judge, model_at, read_state
from tests.kills.parent import Child, states_of
from tests.kit.killing import wait_for_writes
from tests.kit.rules import assert_file

Backups = Mapping[str, tuple[str, Rows]]
Count = Callable[[str], None]
CYCLES = cycles(12, short=10)
# More than a child gets done before it is killed, nearly always.
LENGTH = 60
KINDS = ("call", "half a write", "acknowledged", "writes", "export beside")


@pytest.mark.parametrize("life", lives(6, CYCLES))
def test_killed_processes(life: int, tmp_path: Path, backups: Backups, count: Count) -> None:
    """A file goes through one kill after the other, and is never made good in between.

    The process kills itself at its n-th file call, instead of it or half-way through; or it is
    killed when its n-th acknowledgement came, or some write calls later, while it goes on.
    """
    rng = random.Random(f"library {life}")
    path = tmp_path / "data.aeordb"
    state: State = None
    torn = False
    for cycle in range(CYCLES):
        kind = KINDS[(life + cycle) % len(KINDS)]
        try:
            state, killed = run(rng, kind, path, state, backups)
            torn = assert_verified(path, torn=torn or kind == "half a write")
        except AssertionError as error:
            raise AssertionError(f"life {life}, cycle {cycle}, {kind}: {error}") from error
        count("kills through the library" if killed else "histories that ended before the kill")
    assert_lives_on(path, state)


def run(
    rng: random.Random, kind: str, path: Path, state: State, backups: Backups
) -> tuple[State, bool]:
    """One cycle; what was found after it, and whether the child was killed."""
    output = path.with_name("out.aeordb")
    history = History(
        rng, model_at(state), backups=backups, output=output, alone=kind != "export beside"
    )
    history.draw(LENGTH)
    states = states_of(path, history)
    last = 0
    if kind in ("call", "half a write"):
        last = rng.choice([rng.randint(1, 40), rng.randint(1, 400)])
    orders = Orders(str(path), history.operations, last=last, torn=kind == "half a write")
    with Child(orders) as child:
        if kind == "acknowledged":
            child.read(rng.randint(1, 40))
            child.process.kill()
        elif kind == "writes":
            child.read(rng.randint(0, 25))
            wait_for_writes(child.process, rng.choice([rng.randint(1, 12), rng.randint(1, 120)]))
            child.process.kill()
        elif kind == "export beside":
            child.read(rng.randint(1, 20))
            check_export(child, path, states)
            child.process.kill()
        child.end()
    done = child.acknowledged
    return judge(path, states[done : done + 2], others=states), child.killed


def check_export(child: Child, path: Path, states: list[State]) -> None:
    """An export made beside the writer holds one state, of the time when it was made."""
    output = path.with_name("beside.aeordb")
    least = child.read_ready()
    with aeordb.open(path, "r", jobs=1) as database:
        database.export(output)
    most = child.read_ready() + 1
    found = read_state(output)
    heads = [state and (state[0], ()) for state in states]
    assert found in heads[least : most + 1], describe(found, heads[least : most + 1], heads)
    assert_file(output)
    output.unlink()


def assert_lives_on(path: Path, state: State) -> None:
    """What killed processes left half-made is in nobody's way, and does not pile up."""
    output = path.with_name("out.aeordb")
    output.unlink(missing_ok=True)
    with aeordb.open(path, jobs=1) as database:
        database.gc(compact=True)
        database.export(output)
    assert read_state(path) == state
    assert_file(path)
    assert_file(output)
    assert sorted(os.listdir(path.parent)) == ["data.aeordb", "data.aeordb.lock", "out.aeordb"]
