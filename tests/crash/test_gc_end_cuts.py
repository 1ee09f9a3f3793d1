"""A power cut while gc cuts off the room at the log's end: the tail that counts is never in it."""

from pathlib import Path

import pytest

from aeordb.testing import scenario as s
from aeordb.testing.recording import PUNCH, TRUNCATE
from aeordb.testing.replay import Disk
from aeordb.testing.scenario import CLOSE, KILL, Step, prepare, record
from tests.crash.form import FULL
from tests.crash.test_gc_cuts import BASE, GC, GcJudge
from tests.kit.folders import noise


@pytest.mark.parametrize("first", [CLOSE, KILL], ids=lambda step: step.name)
def test_cut_while_the_end_is_cut_off(first: Step, tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    end = [s.put("/huge", noise("huge", 200_000)), s.delete("/huge")]
    model = prepare(path, [*BASE, *end, first])
    size = path.stat().st_size
    recording = record(path, [GC, s.put("/new", noise("new", 400)), CLOSE], model=model)
    assert recording.error is None
    assert path.stat().st_size < size - 150_000
    kinds = {call.kind for call in recording.trace.calls}
    assert {PUNCH, TRUNCATE} <= kinds
    judge = GcJudge(tmp_path / "images", recording, oracle_every=1 if FULL else 6)
    judge.check_all(
        Disk({}, torn=4 if FULL else 1, mixed=1),
        every=1 if FULL else 3,
        write_every=1 if FULL else 9,
    )
    assert judge.written
