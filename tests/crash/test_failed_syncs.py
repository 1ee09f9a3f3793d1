"""A sync that fails makes the database read-only in this process, and leaves the old state or the
new one, whatever the kernel did with the pages and whatever the disk has of them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import aeordb
import aeordb.storage.store as store
from aeordb.errors import NotDurableError
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import CHANGES, QuickLayer, Recorder
from aeordb.testing.replay import Disk, Image, Trace
from aeordb.testing.scenario import (
    CLOSE,
    CREATE,
    KILL,
    Model,
    Recording,
    State,
    Step,
    prepare,
    record,
)
from tests.crash.form import FULL, new_disk
from tests.crash.judge import Judge, model_of, state_of
from tests.crash.test_cuts import BASE, grow_setup
from tests.kit.folders import noise

NEXT = [s.put("/next.txt", noise("next", 5000)), CLOSE]

SCENARIOS: dict[str, tuple[Step | None, Sequence[Step]]] = {
    "create": (None, [CREATE, s.put("/a.txt", b"1")]),
    "clean": (CLOSE, [s.put("/a.txt", b"1"), s.put("/a.txt", b"2"), CLOSE, s.put("/b", b"3")]),
    "unclean": (KILL, [s.put("/a.txt", b"1"), s.delete("/folder"), KILL, s.put("/b", b"3")]),
    "given-up": (CLOSE, [s.give_up("/x", noise("x", 1500)), CLOSE, s.put("/b", b"3")]),
    "checkpoint": (CLOSE, [s.put("/x", noise("x", 2000)), s.snapshot("v2"), s.put("/y", b"y")]),
    "growth": (CLOSE, []),
}


def make(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, Sequence[Step]]:
    first, steps = SCENARIOS[name]
    if name == "growth":
        return grow_setup("small", path, monkeypatch)
    if first is None:
        return Model(), steps
    model = prepare(path, [*BASE, first])
    if name == "checkpoint":
        monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 6)
    return model, steps


def check_refusal(recording: Recording) -> None:
    """The handle that met the failure reads, and writes no more."""
    database = recording.database
    if database is None:
        return
    count = len(recording.recorder.calls)
    with use_layer(recording.recorder):
        assert state_of(database) in recording.states[-2:]
        for _ in range(2):
            with pytest.raises(NotDurableError):
                database.put("/refused.txt", b"refused")
        assert state_of(database) in recording.states[-2:]
        database.close()
    assert not [call for call in recording.recorder.calls[count:] if call.kind in CHANGES]


def states_after(path: Path, recording: Recording) -> list[State]:
    """What the disk and the page cache may disagree about."""
    return (
        recording.states[-2:] if recording.stopped not in (CLOSE, KILL) else recording.states[-1:]
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_failed_sync(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tmp_path / "original.aeordb"
    path = tmp_path / "data.aeordb"
    model, steps = make(name, original, monkeypatch)
    count = 0
    for number in range(1000):
        path.unlink(missing_ok=True)
        if original.exists():
            shutil.copyfile(original, path)
        before = path.read_bytes() if path.exists() else None
        own = Model(dict(model.rows), dict(model.names))
        recording = record(path, steps, model=own, recorder=Recorder(fail_sync=number))
        if recording.error is None:
            assert not recording.recorder.failed
            break
        assert isinstance(recording.error, NotDurableError), recording.error
        check_refusal(recording)
        count += check_left(tmp_path, recording, before)
    assert number > 4
    assert count > 3 * number


def check_left(tmp_path: Path, recording: Recording, before: bytes | None) -> int:
    """All that the failed sync may have left, and then a second process and a cut."""
    path, calls = recording.path, recording.trace.calls
    allowed = states_after(path, recording)
    disk = Disk({str(path): before} if before is not None else {})
    for call in calls[: recording.recorder.failed[0]]:
        disk.follow(call)
    kept, dropped = disk.visible(), disk.durable()
    if str(path) not in kept:
        # It failed before there was a name.
        assert recording.stopped is CREATE
        assert not path.exists()
        assert not path.with_name(path.name + ".part").exists()
        return 4
    images = [Image(kept, 0, "kept"), Image(dropped, 0, "dropped")]
    images += [Image(files, 0, cause) for files, cause in disk.unsynced()]
    calm = Recording(Trace(), allowed[:1], Model(), path, recording.recorder)
    judge = Judge(tmp_path / "images", calm, early=allowed)
    for image in images:
        judge.check(image)
    # The page cache has what the disk lacks; another process goes on, and then the power goes.
    for seen in (kept, dropped) if FULL else (kept,):
        path.write_bytes(seen[str(path)])
        with use_layer(QuickLayer()), aeordb.open(path, "r") as database:
            state = state_of(database)
        second = record(path, NEXT, model=model_of(state))
        second.trace.before = {str(path): dropped[str(path)]}
        judge = Judge(tmp_path / "images", second, early=allowed, oracle_every=5)
        judge.check_all(new_disk(large=True, torn=1, mixed=1), write_every=50)
    return len(images)
