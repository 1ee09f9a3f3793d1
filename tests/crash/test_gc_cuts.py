"""A power cut at any moment of a gc or a compact leaves a file that opens, without a scan, with all
that it held; the next writer, and the next gc, go on with it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

import aeordb
import aeordb.maintenance.sweep as sweep
import aeordb.storage.store as store
from aeordb.errors import NotDurableError
from aeordb.maintenance.compact import SUFFIX
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import PUNCH, QuickLayer, Recorder
from aeordb.testing.replay import Image
from aeordb.testing.scenario import CLOSE, KILL, Step, prepare, record
from tests.crash.form import FULL, new_disk
from tests.crash.judge import Judge, state_of
from tests.kit.folders import noise, prose
from tests.kit.rules import check_file

GC = s.gc()
COMPACT = s.gc(compact=True)

# Garbage of every kind: old versions, a deleted snapshot's alone, deletions, large and small.
BASE = [
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 9000)),
    s.snapshot("v1"),
    s.put("/folder/b.bin", noise("b2", 3000)),
    s.put("/folder/deep/c.txt", prose("c", 700)),
    s.put("/gone.bin", noise("gone", 20_000)),
    s.snapshot("v2"),
    s.delete("/gone.bin"),
    s.symlink("a.txt", "/link"),
    s.put("/last", noise("last", 5000)),
    s.drop_snapshot("v2"),
    s.delete("/last"),
]
SCENARIOS: dict[str, Sequence[Step]] = {
    "gc": [GC],
    "gc-twice": [GC, s.put("/new", noise("new", 400)), GC],
    "gc-then-close": [GC, CLOSE],
    "gc-then-put": [GC, s.put("/new", noise("new", 2500)), s.put("/b", b"b"), CLOSE],
    "killed-gc": [GC, KILL, s.put("/new", b"new"), KILL, GC, CLOSE],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"


@pytest.mark.parametrize("first", [CLOSE, KILL], ids=lambda step: step.name)
@pytest.mark.parametrize("name", SCENARIOS)
def test_cut_at_any_call_of_a_gc(name: str, first: Step, path: Path, tmp_path: Path) -> None:
    model = prepare(path, [*BASE, first])
    recording = record(path, SCENARIOS[name], model=model)
    assert recording.error is None
    assert any(call.kind == PUNCH for call in recording.trace.calls)
    judge = GcJudge(tmp_path / "images", recording, oracle_every=4)
    judge.check_all(
        new_disk(torn=2),
        every=1 if FULL else 2,
        write_every=5,
    )
    assert judge.written


def test_cut_at_any_call_of_a_gc_in_many_batches(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages in many batches, ranges in many rounds, with index entries in pages and hot tail."""
    monkeypatch.setattr(sweep, "_BATCH_ENTRIES", 40)
    monkeypatch.setattr(sweep, "_ROUND", 4)
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 12)
    model = prepare(path, BASE)
    recording = record(path, [GC, s.put("/new", b"new"), CLOSE], model=model)
    assert recording.error is None
    judge = GcJudge(tmp_path / "images", recording, oracle_every=6)
    judge.check_all(new_disk(torn=1), write_every=7)


@pytest.mark.parametrize("first", [CLOSE, KILL], ids=lambda step: step.name)
def test_cut_at_any_call_of_a_compact(first: Step, path: Path, tmp_path: Path) -> None:
    model = prepare(path, [*BASE, first])
    steps = [COMPACT, s.put("/new", noise("new", 400)), CLOSE]
    recording = record(path, steps, model=model)
    assert recording.error is None
    judge = GcJudge(tmp_path / "images", recording, oracle_every=4)
    judge.check_all(new_disk(torn=2), write_every=3)


class GcJudge(Judge):
    """After a cut in a gc another gc does the rest; a cut copy may be left over."""

    def put(self, image: Image) -> Path | None:
        place = super().put(image)
        for left in self._folder.glob("image*" + SUFFIX):
            left.unlink()
        return place

    def _write(self, image: Image, found: s.State) -> None:
        super()._write(image, found)
        path = self.put(image)
        assert path is not None
        with use_layer(QuickLayer()), aeordb.open(path, jobs=1) as database:
            database.gc()
            assert state_of(database) == found, "after a gc"
            assert database.gc(dry_run=True).garbage_entries == 0
        findings = self.findings(path)
        assert not findings, findings[:5]


@pytest.mark.parametrize("short", [False, True], ids=["at-once", "after-a-part"])
@pytest.mark.parametrize("step", [GC, COMPACT], ids=lambda step: step.name)
def test_a_full_disk_costs_the_gc_and_nothing_else(step: Step, short: bool, path: Path) -> None:
    """Whatever call finds the disk full: the same handle reads on, and the next gc does it all."""
    model = prepare(path, BASE)
    content = path.read_bytes()
    for number in range(1000):
        path.write_bytes(content)
        recorder = Recorder(fail_call=number, short=short)
        with use_layer(recorder), aeordb.open(path, jobs=1) as database:
            with suppress(NotDurableError):
                step.do(database)
            recorder.mend()
            assert state_of(database) == model.state()
            database.gc()
            assert state_of(database) == model.state()
            assert database.gc(dry_run=True).garbage_entries == 0
        assert check_file(path) == []
        assert [p.name for p in path.parent.iterdir() if p.name.endswith(SUFFIX)] == []
        if not recorder.failed:
            break
    assert number > 5
