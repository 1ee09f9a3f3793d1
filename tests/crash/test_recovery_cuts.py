"""A second cut, while a writer repairs what the first one left."""

from pathlib import Path

import pytest

import aeordb
import aeordb.storage.store as store
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import QuickLayer
from aeordb.testing.replay import Disk, Image
from aeordb.testing.scenario import CLOSE, KILL, Recording, prepare, record
from tests.crash.form import FULL
from tests.crash.judge import Judge, model_of
from tests.crash.test_cuts import BASE, grow_setup
from tests.kit.folders import noise

NEXT = [s.put("/next.txt", noise("next", 800)), s.put("/a.txt", b"next"), CLOSE]


def small_disk() -> Disk:
    """Each image of the first cut gets all those of a second one: there are enough."""
    return Disk(torn=1, mixed=1, sectors=1, stale=True)


def first_images(recording: Recording, every: int) -> dict[bytes, Image]:
    """Each `every`th image of a trace, always those with a header slot on its way."""
    chosen: dict[bytes, Image] = {}
    last = -1
    for count, image in enumerate(small_disk().images(recording.trace)):
        call = recording.trace.calls[image.count - 1]
        slot = image.count > 0 and call.kind == "write" and call.end <= 512 and image.count != last
        if slot or count % every == 0:
            last = image.count
            chosen.setdefault(image.digest(), image)
    return chosen


def cut_twice(recording: Recording, tmp_path: Path, *, every: int) -> int:
    second = tmp_path / "second.aeordb"
    name = str(recording.path)
    total = 0
    for image in first_images(recording, every).values():
        if name not in image.files:
            continue
        second.write_bytes(image.files[name])
        judge = Judge(tmp_path / "images", recording, oracle_every=100)
        state = judge.check(image, write=False)
        again = record(second, NEXT, model=model_of(state))
        assert again.error is None
        try:
            judge = Judge(tmp_path / "images", again, oracle_every=20)
            total += judge.check_all(small_disk(), write_every=40)
        except AssertionError as error:
            raise AssertionError(f"first cut at {image.cause}; then at {error}") from error
    return total


@pytest.mark.parametrize(
    "kind", ["clean", "unclean", "checkpoint", "growth", "past-the-edge", "gc"]
)
def test_a_cut_during_the_first_act_after_a_cut(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.aeordb"
    every = {"growth": 120, "past-the-edge": 2000, "checkpoint": 200, "gc": 80}.get(kind, 45)
    every = every // 15 if FULL else every
    if kind in ("growth", "past-the-edge"):
        model, steps = grow_setup(kind.replace("growth", "small"), path, monkeypatch)
    elif kind == "gc":
        garbage = [s.put("/a.txt", noise(i, 900 * i)) for i in range(6)]
        model, steps = prepare(path, [*BASE, *garbage, s.delete("/a.txt")]), [s.gc(), CLOSE]
    else:
        model = prepare(path, [*BASE, KILL if kind == "unclean" else CLOSE])
        steps = [s.put("/b.txt", b"b"), s.put("/a.txt", noise("a", 3000)), CLOSE]
        if kind == "checkpoint":
            monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 2)
    recording = record(path, steps, model=model)
    assert cut_twice(recording, tmp_path, every=every) > 20


def test_a_writer_that_only_looked_changes_nothing(tmp_path: Path) -> None:
    """The first act comes with the first write: opening and closing leaves the bytes alone."""
    path = tmp_path / "data.aeordb"
    prepare(path, [*BASE, KILL])
    before = path.read_bytes()
    with use_layer(QuickLayer()), aeordb.open(path, "r+") as database:
        assert database["/a.txt"] == b"first\n"
    assert path.read_bytes() == before
