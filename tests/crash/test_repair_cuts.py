"""A power cut at any moment of a repair: the damaged file is as it was, or, where it is to be
repaired in place, it is that or the whole repaired one; the copy is whole or not there."""

from pathlib import Path

import pytest

import aeordb
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import QuickLayer, ReadOnlyLayer, Recorder
from aeordb.testing.replay import Trace
from aeordb.testing.scenario import KILL, prepare
from tests.crash import count
from tests.crash.form import new_disk
from tests.crash.judge import no_scan, state_of
from tests.kit.damage import damage
from tests.kit.folders import noise, prose
from tests.kit.rules import check_file

STEPS = [
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 3000)),
    s.snapshot("v1"),
    s.put("/folder/deep/c.txt", prose("c", 700)),
    s.delete("/a.txt"),
    s.symlink("b.bin", "/folder/link"),
]


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in-place"])
@pytest.mark.parametrize("what", ["all", "both-slots", "hot-tail"])
def test_cut_at_any_call_of_a_repair(path: Path, what: str, in_place: bool) -> None:
    model = prepare(path, [*STEPS, KILL])
    damage(path, what)
    before = path.read_bytes()
    target = str(path) if in_place else f"{path}.repaired"
    recorder = Recorder()
    trace = Trace(recorder.calls, {str(path): before})
    with use_layer(recorder):
        report = aeordb.repair(path, in_place=in_place, jobs=1)
    assert report.output == target
    whole = Path(target).read_bytes()
    seen = set()
    folder = path.with_name("images")
    folder.mkdir()
    done = 0
    for image in new_disk(torn=2, mixed=1).images(trace):
        count.note(image)
        if not in_place:
            assert image.files[str(path)] == before, image.cause
        found = image.files.get(target)
        if found is None or (in_place and found == before):
            continue
        if found in seen:
            continue
        seen.add(found)
        assert found == whole, image.cause
        done += 1
        place = folder / "image.aeordb"
        place.write_bytes(found)
        with use_layer(ReadOnlyLayer()), no_scan(), aeordb.open(place, "r", jobs=1) as db:
            assert state_of(db) == model.state()
        with use_layer(QuickLayer()), aeordb.open(place, jobs=1) as db:
            db.put("/after", b"the cut")
        assert check_file(place) == []
    assert done == 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"
