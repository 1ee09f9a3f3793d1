"""A power cut at any moment of an export, a patch or an import: what is written is whole or not
there, what is read stays as it is."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import aeordb
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.judge import rows_of
from aeordb.testing.recording import CHANGES, MKDIR, QuickLayer, Recorder
from aeordb.testing.replay import Disk, Trace
from aeordb.testing.scenario import CLOSE, KILL, Model, Step, prepare, record
from tests.crash import count
from tests.crash.form import new_disk
from tests.crash.judge import Judge
from tests.crash.test_cuts import BASE
from tests.kit.folders import noise, prose
from tests.kit.rules import check_file

MORE = [
    s.put("/a.txt", b"from the backup\n"),
    s.put("/more/large.bin", noise("large", 40_000)),
    s.put("/more/text", prose("text", 900)),
    s.delete("/folder/deep"),
    s.symlink("a.txt", "/more/link"),
]


class Backups:
    """A copy of the database that went on: its version as an export and as a patch."""

    def __init__(self, path: Path, model: Model) -> None:
        other = path.with_name("other.aeordb")
        shutil.copyfile(path, other)
        self.full, self.patch = path.with_name("full.backup"), path.with_name("patch.backup")
        after = Model(dict(model.rows), dict(model.names))
        with use_layer(QuickLayer()), aeordb.open(other, "r+", jobs=1) as database:
            base = database.head.hex()
            for step in MORE:
                step.do(database)
                step.note(after)
            database.export(self.full)
            database.export_patch(self.patch, base)
            self.version = database.head.hex()
        self.rows = after.head()

    def take(self, which: str, *, promote: bool = False) -> Step:
        """Imports one of them."""
        backup = self.patch if which == "patch" else self.full

        def note(model: Model) -> None:
            if promote:
                model.go_to(self.rows)
            elif model.head() != self.rows:
                model.names[f"imported-{self.version[:12]}"] = self.rows

        return Step(f"import {which}", lambda db: db.import_(backup, promote=promote), note)

    def promote(self) -> Step:
        """Makes the imported version the current one; the snapshot that kept it goes."""

        def note(model: Model) -> None:
            model.go_to(self.rows)
            model.names.pop(f"imported-{self.version[:12]}", None)

        return Step("promote", lambda db: db.promote(self.version), note)


IMPORTS: dict[str, Callable[[Backups], Sequence[Step]]] = {
    "full": lambda b: [b.take("full"), CLOSE],
    "full-promoted": lambda b: [b.take("full", promote=True), s.put("/new", b"new")],
    "patch": lambda b: [b.take("patch"), CLOSE],
    "patch-promoted": lambda b: [b.take("patch", promote=True), s.put("/new", b"new")],
    "promoted-later": lambda b: [b.take("patch"), b.promote()],
    "again": lambda b: [b.take("full", promote=True), b.take("full", promote=True), CLOSE],
}


@pytest.mark.parametrize("first", [CLOSE, KILL], ids=lambda step: step.name)
@pytest.mark.parametrize("name", IMPORTS)
def test_cut_at_any_call_of_an_import(name: str, first: Step, tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    model = prepare(path, [*BASE, first])
    recording = record(path, IMPORTS[name](Backups(path, model)), model=model)
    assert recording.error is None
    judge = Judge(tmp_path / "images", recording, oracle_every=6)
    judge.check_all(new_disk(), write_every=7)
    assert set(recording.states) == set(judge.seen.values())
    if name == "again":
        begun, acked = recording.trace.begun[1], recording.trace.acked[1]
        assert not [c for c in recording.trace.calls[begun:acked] if c.kind in CHANGES]


def write_export(database: aeordb.Database, output: Path) -> None:
    database.export(output)


def write_patch(database: aeordb.Database, output: Path) -> None:
    database.export_patch(output, "v1")


@pytest.mark.parametrize("write", [write_export, write_patch])
def test_cut_at_any_call_of_an_export(
    write: Callable[[aeordb.Database, Path], None], tmp_path: Path
) -> None:
    """Its output is whole or not there, and is there once it is acknowledged, also in folders that
    it made; what a cut left of it is in nobody's way."""
    path, output = tmp_path / "data.aeordb", tmp_path / "new" / "folder" / "output.aeordb"
    model = prepare(path, BASE)
    recorder = Recorder()
    trace = Trace(recorder.calls, {str(path): path.read_bytes()})
    with use_layer(recorder), aeordb.open(path, "r", jobs=1) as database:
        write(database, output)
    whole = output.read_bytes()
    assert sum(call.kind == MKDIR for call in recorder.calls) == 2
    if write is write_export:
        with aeordb.open(output, "r") as copy:
            assert rows_of(copy.at()) == model.head()
        assert check_file(output) == []
    done = 0
    seen: set[bytes] = set()
    for image in new_disk(torn=9, mixed=9, sectors=9, subsets=6).images(trace):
        assert image.files[str(path)] == trace.before[str(path)], image.cause
        found = image.files.get(str(output))
        assert found == whole or (found is None and image.count < len(trace.calls)), image.cause
        done += found is not None
        count.note(image)
        left = image.files.get(f"{output}.part")
        if left is None or image.digest() in seen:
            continue
        seen.add(image.digest())
        if len(seen) % 9 == 0:
            place = tmp_path / "images" / "output.aeordb"
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.mkdir()
            place.with_name("output.aeordb.part").write_bytes(left)
            with use_layer(QuickLayer()), aeordb.open(path, "r", jobs=1) as database:
                write(database, place)
            assert place.read_bytes() == whole
            assert [entry.name for entry in place.parent.iterdir()] == ["output.aeordb"]
    assert done
    assert len(seen) > 20


def test_an_export_that_is_done_stays_with_the_folders_that_it_made(tmp_path: Path) -> None:
    """The name was made durable in its folder, but a new folder's own name in the one above was
    not: after a power cut the export that had been reported as done was gone, folder and all."""
    path, output = tmp_path / "data.aeordb", tmp_path / "new" / "folder" / "output.aeordb"
    prepare(path, BASE[:1])
    recorder = Recorder()
    with use_layer(recorder), aeordb.open(path, "r", jobs=1) as database:
        database.export(output)
    disk = Disk({str(path): b""})
    for call in recorder.calls:
        disk.follow(call)
    last = [i for i in disk.images(Trace()) if i.count == 0]
    assert last
    assert all(str(output) in image.files for image in last)
    made = [call.name for call in recorder.calls if call.kind == MKDIR]
    assert made == [str(tmp_path / "new"), str(tmp_path / "new" / "folder")]
    synced = [call.name for call in recorder.calls if call.kind == "folder"]
    assert synced == [str(tmp_path), str(tmp_path / "new"), str(output.parent)]
