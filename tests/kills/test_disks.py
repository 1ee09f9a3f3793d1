"""The power is cut under real file systems: what the disk had then is mounted, and opens.

The database lies in an ext4 or XFS of its own. A copy of the image, made at one moment while the
writer goes on, or right after it was killed, is what a power cut leaves: the journal is replayed,
and what was acknowledged when the copy was made must be there.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from aeordb.testing.scenario import Rows, State
from tests.kills.child import Orders
from tests.kills.counts import cycles, lives
from tests.kills.history import History
from tests.kills.judging import assert_verified, judge, model_at, read_state
from tests.kills.parent import Child, states_of
from tests.kit.disks import Disk, disk, host
from tests.kit.killing import wait_for_writes

Backups = Mapping[str, tuple[str, Rows]]
Count = Callable[[str], None]
LENGTH = 60
RUNS = cycles(2, short=1)
LIVING = 3
NAME = "data.aeordb"


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """A folder for images."""
    with host(tmp_path / "host") as folder:
        yield folder


@pytest.mark.parametrize("life", lives(1, 4))
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_power_cuts(kind: str, life: int, images: Path, backups: Backups, count: Count) -> None:
    """Each run goes on with what the last cut of the one before it left."""
    rng = random.Random(f"{kind} {life}")
    image, state = images / "first.img", None
    for run in range(RUNS):
        cuts = cut_power(rng, kind, image, state, backups)
        for number, (cut, allowed, states) in enumerate(cuts):
            try:
                state = judge_cut(kind, cut, allowed, states)
            except AssertionError as error:
                raise AssertionError(f"life {life}, run {run}, cut {number}: {error}") from error
            count(f"cuts of {kind}")
        image.unlink()
        for cut, *_ in cuts[:-1]:
            cut.unlink()
        image = cuts[-1][0]


Cut = tuple[Path, list[State], list[State]]


def cut_power(
    rng: random.Random, kind: str, image: Path, state: State, backups: Backups
) -> list[Cut]:
    """Copies of the disk under a writer, then one after its death: each with the states that it
    may hold, and all states of the run."""
    cuts: list[Cut] = []
    with disk(kind, image) as mounted:
        path = mounted.folder / NAME
        history = History(
            rng, model_at(state), backups=backups, output=mounted.folder / "out.aeordb"
        )
        history.draw(LENGTH)
        states = states_of(path, history)
        with Child(Orders(str(path), history.operations)) as child:
            for number in range(LIVING):
                child.read(child.read_ready() + rng.randint(1, 9))
                wait_for_moment(rng, mounted, child)
                cut = image.with_name(f"{image.stem}-{number}.img")
                least = child.read_ready()
                mounted.cut(cut)
                cuts.append((cut, states[least : child.read_ready() + 2], states))
            child.process.kill()
            child.end()
            least = child.acknowledged
            cut = image.with_name(f"{image.stem}-last.img")
            mounted.cut(cut)
            cuts.append((cut, states[least : least + 2], states))
    return cuts


def wait_for_moment(rng: random.Random, mounted: Disk, child: Child) -> None:
    """Some write calls of the writer later, or some writes of the disk: in the middle of a sync."""
    count = rng.randint(0, 12)
    if rng.random() < 0.4:
        wait_for_writes(child.process, count)
        return
    until = mounted.writes + count
    while child.process.poll() is None and mounted.writes < until:
        pass


def judge_cut(kind: str, cut: Path, allowed: list[State], states: list[State]) -> State:
    """Mounts a copy of the cut, so that the cut itself stays what it is, and looks."""
    copy = cut.with_name("copy.img")
    Disk(cut, cut, "none").cut(copy)
    with disk(kind, copy) as mounted:
        path = mounted.folder / NAME
        found = judge(path, allowed, others=states)
        assert_verified(path)
    copy.unlink()
    return found


def test_the_cuts_are_cuts(images: Path) -> None:
    """A writer that syncs nothing loses what it acknowledged: the copies hold no caches."""
    image, cut = images / "first.img", images / "cut.img"
    operations = [["put", f"/{i}", i, 1000] for i in range(30)]
    with disk("ext4", image) as mounted:
        with Child(Orders(str(mounted.folder / NAME), operations, synced=False)) as child:
            child.read(31)
            mounted.cut(cut)
        whole = read_state(mounted.folder / NAME)
    assert whole is not None
    assert len(whole[0]) == 30
    with disk("ext4", cut) as mounted:
        path = mounted.folder / NAME
        assert not path.exists() or path.stat().st_size < 1000
