"""A disk that is full at any moment costs the operation, and nothing else: the same handle goes on
when there is room again."""

import shutil
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import AeorDBError, NotDurableError
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import QuickLayer, Recorder
from aeordb.testing.replay import Image, Trace
from aeordb.testing.scenario import CLOSE, CREATE, KILL, Model, Recording, record
from tests.crash.judge import Judge, state_of
from tests.crash.test_failed_syncs import SCENARIOS, make
from tests.kit.rules import check_file


@pytest.mark.parametrize("short", [False, True], ids=["at-once", "after-a-part"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_full_disk(name: str, short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tmp_path / "original.aeordb"
    path = tmp_path / "data.aeordb"
    model, steps = make(name, original, monkeypatch)
    steps = [step for step in steps if step not in (CLOSE, KILL)] + [CLOSE]
    for number in range(1000):
        for killed in (False, True):
            path.unlink(missing_ok=True)
            if original.exists():
                shutil.copyfile(original, path)
            own = Model(dict(model.rows), dict(model.names))
            recorder = Recorder(fail_call=number, short=short)
            recording = record(path, steps, model=own, recorder=recorder)
            if recording.error is not None:
                assert isinstance(recording.error, NotDurableError), repr(recording.error)
            try:
                go_on(recording, steps, own, killed, tmp_path)
            except AssertionError as error:
                at = recorder.failed[0] if recorder.failed else -1
                raise AssertionError(f"fault {number} at call {at}: {error}") from error
        if not recorder.failed:
            break
    assert number > 8


def go_on(
    recording: Recording, steps: list[s.Step], model: Model, killed: bool, tmp_path: Path
) -> None:
    path, database = recording.path, recording.database
    if recording.error is not None:
        if recording.stopped is CREATE:
            assert not path.exists()
            assert not path.with_name(path.name + ".part").exists()
        elif killed or database is None:
            if database is not None:
                s.kill(database)
            calm = Recording(Trace(), [model.state()], Model(), path, recording.recorder)
            judge = Judge(tmp_path / "images", calm)
            judge.check(Image({str(path): path.read_bytes()}, 0, "after the fault"))
            database = None
        else:
            with use_layer(QuickLayer()):
                assert state_of(database) == model.state()
        assert recording.stopped is not None
        rest = steps[steps.index(recording.stopped) :]
        if recording.stopped is CLOSE:
            rest = [s.put("/after", b"close"), CLOSE]
        again = record(path, rest, model=model, database=database)
        assert again.error is None, repr(again.error)
    findings = check_file(path)
    assert not findings, findings[:5]
    with aeordb.open(path, "r") as database:
        assert state_of(database) == model.state()


def test_an_unfinished_transaction_on_a_full_disk_can_be_tried_again(tmp_path: Path) -> None:
    """The caller sees the error inside the block, and the database is as before it."""
    path = tmp_path / "data.aeordb"
    model = s.prepare(path, [s.put("/a.txt", b"1")])
    with use_layer(Recorder(fail_call=3)), aeordb.open(path, "r+") as database:
        with pytest.raises(AeorDBError):
            database.put("/large.bin", bytes(range(256)) * 40_000)
        assert state_of(database) == model.state()
        database.put("/b.txt", b"2")
        model.put("/b.txt", b"2")
    assert check_file(path) == []
    with aeordb.open(path, "r") as database:
        assert state_of(database) == model.state()


def test_a_new_name_that_finds_no_room_is_an_error_of_ours(tmp_path: Path) -> None:
    """The last step of making a database is its name; an error there came as a bare OSError, for
    which the command line has no exit code."""
    path = tmp_path / "data.aeordb"
    renaming = 3
    recording = record(path, [CREATE], recorder=Recorder(fail_call=renaming))
    assert isinstance(recording.error, NotDurableError)
    assert [call.kind for call in recording.recorder.calls][-2:] == ["sync", "unlink"]
    assert [p.name for p in tmp_path.iterdir()] == ["data.aeordb.lock"]
