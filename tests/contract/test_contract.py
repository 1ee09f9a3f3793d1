"""Any sequence of calls leaves what a dict would hold: with 1 and 4 jobs, fresh and reopened.

The long version: `AEORDB_MODEL_STEPS=100000 pytest -s tests/contract/test_contract.py`.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import aeordb
from aeordb.storage import store
from aeordb.storage.datafile import use_layer
from aeordb.testing import strategies
from aeordb.testing.clock import Clock, use_clock
from aeordb.testing.compare import check_database
from aeordb.testing.machine import SETTINGS, DatabaseMachine
from aeordb.testing.model import Model
from aeordb.testing.operations import Operation
from aeordb.testing.pair import DatabasePair
from aeordb.testing.recording import QuickLayer
from tests.kit.layout import FLAG_CLEAN, SLOT_LENGTH, MalformedError, read_slot
from tests.kit.rules import assert_file

STEPS = int(os.environ.get("AEORDB_MODEL_STEPS", "0"))
EXAMPLES = int(os.environ.get("AEORDB_EXAMPLES", "25"))
# Shrinking what failed in a long run takes minutes; the steps that failed say enough there.
PHASES = (Phase.generate,) if STEPS else (Phase.reuse, Phase.generate, Phase.shrink)
MEMORY = Path("/dev/shm")


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases of these tests lie in memory, where there is such a place."""
    if MEMORY.is_dir():
        monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))


class Machine(DatabaseMachine):
    """Files are looked at by the independent reader, too."""

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[Path, tuple[int, int]] = {}

    def open_database(self, path: Path) -> aeordb.Database:
        if path.exists():
            self.left[path] = last_commit(path)
        return cast(aeordb.Database, super().open_database(path))

    def check_file(self, path: Path) -> None:
        super().check_file(path)
        # What a crash left is as it was, if nothing was written since.
        number, marker = self.left.get(path, (0, FLAG_CLEAN))
        untouched = last_commit(path)[0] == number and not marker & FLAG_CLEAN
        assert_file(path, closed=not untouched)


def last_commit(path: Path) -> tuple[int, int]:
    """The sequence and the flags of the live slot."""
    header = path.read_bytes()[: 2 * SLOT_LENGTH]
    found = []
    for start in (0, SLOT_LENGTH):
        with contextlib.suppress(MalformedError):
            slot = read_slot(header[start : start + SLOT_LENGTH])
            assert slot.ours is not None
            found.append((slot.sequence, slot.ours.flags))
    return max(found)


WAYS = [(1, False), (4, False), (1, True), (4, True)]
IDS = ["fresh-1", "fresh-4", "reopened-1", "reopened-4"]


@pytest.mark.parametrize(("jobs", "reopens"), WAYS, ids=IDS)
def test_a_database_does_what_a_dict_would(jobs: int, reopens: bool) -> None:
    machine = type("Run", (Machine,), {"jobs": jobs, "reopens": reopens})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=EXAMPLES))


@pytest.mark.skipif(not STEPS, reason="AEORDB_MODEL_STEPS says how many")
@pytest.mark.timeout(0)
def test_many_steps() -> None:
    """Longer histories than the others have, until so many steps are done."""
    how = settings(SETTINGS, max_examples=50, stateful_step_count=60, phases=PHASES, database=None)
    before, turn = DatabasePair.steps, 0
    while (done := DatabasePair.steps - before) < STEPS:
        print(f"{done} of {STEPS} steps", flush=True)
        jobs, reopens = WAYS[turn % 4]
        machine = type("Run", (Machine,), {"jobs": jobs, "reopens": reopens and turn % 3 == 0})
        run_state_machine_as_test(machine, settings=how)
        turn += 1
    print(f"{done} steps, nothing found", flush=True)


Answers = list[object]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    history=strategies.histories(max_size=12, max_chunks=6),
    records=st.sampled_from([2, 20, 512]),
    overflow=st.sampled_from([0, 512]),
)
def test_one_history_has_one_outcome(history: list[Operation], records: int, overflow: int) -> None:
    """With 1 and 4 jobs, in one handle and in one opened for each step: the same answers, the same
    versions to the bit, the same exports and patches to the byte."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "CHECKPOINT_RECORDS", records)
        patch.setattr(store, "OVERFLOW_LIMIT", overflow)
        done = [
            run(history, Path(folder) / name, jobs, reopens)
            for name, (jobs, reopens) in zip(IDS, WAYS, strict=True)
        ]
    for name, (answers, backups) in zip(IDS[1:], done[1:], strict=True):
        assert answers == done[0][0], f"other answers: {name}"
        assert backups == done[0][1], f"other backups: {name}"


def run(
    history: list[Operation], folder: Path, jobs: int, reopens: bool
) -> tuple[Answers, list[bytes]]:
    """The answers to a history, and the exports and patches of what it leads to."""
    folder.mkdir()
    path = folder / "data.aeordb"
    answers: Answers = []
    with use_layer(QuickLayer()), use_clock(Clock()) as clock:
        model = Model(clock)
        db = aeordb.open(path, "x", jobs=jobs)
        model.saw_root(db.head)
        try:
            for operation in history:
                # More than the entries of one step take: else their times would run on into it.
                clock.move(60_000)
                if reopens:
                    db.close()
                    db = aeordb.open(path, jobs=jobs)
                found, expected = operation.on(db), operation.on(model)
                assert found.code == expected.code, operation
                model.saw_root(db.head)
                answers.append((found.code, found.result if operation.method != "gc" else None))
            clock.move(60_000)
            check_database(db, model)
            answers += [(db.head, db.snapshots.list(), db.forks.list(), list(db.walk()))]
            backups = list(backups_of(db, model, folder))
        finally:
            db.close()
    assert_file(path)
    return answers, backups


def backups_of(db: aeordb.Database, model: Model, folder: Path) -> Iterator[bytes]:
    """An export of each version, and a patch from each to HEAD."""
    for i, version in enumerate(sorted(model.versions())):
        full = folder / f"{i}.aeordb"
        db.export(full, version)
        yield full.read_bytes()
        report = db.export_patch(folder / f"patch-{i}.aeordb", version)
        if report.output is not None:
            yield Path(report.output).read_bytes()
