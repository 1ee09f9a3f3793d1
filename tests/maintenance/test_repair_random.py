"""Random damage: what a repair gives is whole by every rule, holds no wrong byte, and says what is
gone."""

import itertools
import random
import time
from pathlib import Path

import pytest

import aeordb
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import QuickLayer
from aeordb.testing.scenario import CLOSE, KILL, prepare
from tests.crash.judge import state_of
from tests.kit.folders import FIRST_TIME, noise, prose
from tests.kit.rules import check_file

STEPS = [
    s.put("/a.txt", b"first\n"),
    s.put("/f/b.bin", noise("b", 3000)),
    s.put("/f/c.txt", prose("c", 2000)),
    s.symlink("c.txt", "/f/l"),
    s.mkdir("/e"),
    s.snapshot("v1"),
    s.put("/a.txt", b"second"),
    s.move("/f/b.bin", "/m.bin"),
    s.delete("/f/c.txt"),
    s.put("/f/g/h/i.txt", b"deep"),
    s.snapshot("v2"),
    s.restore("v1"),
    s.put("/last", b"x" * 600),
]
LOG = 512 + 65_536
CASES = 40


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file in each run."""
    ticks = itertools.count(FIRST_TIME * 1000)
    monkeypatch.setattr(time, "time_ns", lambda: next(ticks) * 1_000_000)


@pytest.mark.parametrize("seed", range(4))
def test_random_damage(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "data.aeordb"
    rng = random.Random(seed)
    with use_layer(QuickLayer()):
        state = prepare(path, [*STEPS, KILL if seed % 2 else CLOSE]).state()
        assert state is not None
        good = path.read_bytes()
        # Records of what was once at a path may come back with a listing that is lost.
        known = {row for rows in (state[0], *(rows for _, rows in state[1])) for row in rows}
        for _ in range(CASES):
            content = bytearray(good)
            for _ in range(1 + seed):
                low, high = rng.choice([(LOG, len(good))] * 5 + [(0, 512), (512, LOG)])
                at = rng.randrange(low, high)
                for i in range(at, min(at + rng.choice([1, 10, 200, 2000]), len(good))):
                    content[i] ^= rng.randrange(1, 256)
            path.write_bytes(content)
            check(path, state, known)


def check(path: Path, state: s.State, known: set[s.Row]) -> None:
    assert state is not None
    report = aeordb.repair(path, jobs=1)
    if report.output is None:
        with aeordb.open(path, "r", jobs=1) as db:
            assert state_of(db) == state
        return
    # No hash covers an entry's time: a flip may make it that of another one.
    assert [x for x in check_file(report.output) if "the same time" not in x] == []
    assert aeordb.verify(report.output, deep=True, jobs=1).findings == ()
    assert aeordb.repair(report.output, jobs=1).output is None
    with aeordb.open(report.output, "r", jobs=1) as db:
        found = state_of(db)
    Path(report.output).unlink()
    assert found is not None
    for rows in (found[0], *(rows for _, rows in found[1])):
        assert {row for row in rows if row[1] != "folder"} <= known
    if report.complete and not report.gap_bytes:
        assert found == state
    if not report.rebuilt and not report.kept_as and report.changed:
        lost = [x.path for x in report.lost if "HEAD" in x.versions]
        gone = {row[0] for row in state[0]} - {row[0] for row in found[0]}
        changed = [x for x in report.changed if x.version == "HEAD" and x.old is not None]
        assert not changed or all(_is_below(name, lost) for name in gone)


def _is_below(path: str, lost: list[str]) -> bool:
    return any(path == name or path.startswith(name.rstrip("/") + "/") for name in lost)
