"""The crash driver: does what it is told, and cuts the power at every call of it.

from aeordb.testing import explore_crashes, put, snapshot

def test_no_cut_loses_anything(tmp_path):
    report = explore_crashes(tmp_path, [put("/a.txt", b"1"), snapshot("v1")])
    assert report.states > 50
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aeordb.testing.judge import Judge, Look, Rules
from aeordb.testing.replay import Disk
from aeordb.testing.scenario import Step, prepare, record


@dataclass(frozen=True)
class CrashReport:
    """What was looked at: `calls` that change files or make changes durable, distinct `states` that
    a cut could leave, and how many of these were `written` to again."""

    calls: int
    states: int
    written: int


def explore_crashes(
    folder: Path,
    steps: Sequence[Step],
    *,
    before: Sequence[Step] = (),
    thorough: bool = False,
    write_every: int = 5,
    look: Look | None = None,
    rules: Rules | None = None,
) -> CrashReport:
    """Does `steps` on a new database in `folder`, and judges what a power cut could leave of them.

    Each state must open without a scan as what the last acknowledged step left, or the one in
    flight; a sample must verify clean, export the same, and take another commit. AssertionError
    says which cut left something else, and where that file is.

    Args:
        folder: is there, and holds no database yet.
        steps: what the power is cut in: of `aeordb.testing.scenario`, or a :class:`Step` of yours,
            which also tells the model what it did. An operation is one commit.
        before: steps that are done already, on a database that was closed since.
        thorough: leaves everything that the fault model allows, else some of each kind.
        write_every: every how manieth state is verified, exported and written to.
        look, rules: checks of your own, see :class:`Judge`.
    """
    path = folder / "data.aeordb"
    model = prepare(path, before)
    recording = record(path, steps, model=model)
    if recording.error is not None:
        raise recording.error
    if thorough:
        disk = Disk(torn=None, mixed=8, subsets=10, chosen=200, sectors=64, stale=True)
    else:
        disk = Disk(torn=4, mixed=2, subsets=3, chosen=4, sectors=2, stale=True)
    judge = Judge(folder / "images", recording, look=look, rules=rules)
    states = judge.check_all(disk, write_every=write_every)
    return CrashReport(len(recording.trace.calls), states, judge.written)
