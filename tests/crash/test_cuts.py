"""A power cut at any moment of any operation leaves a file that opens, without a scan, at the last
acknowledged state or the one in flight."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import aeordb
import aeordb.storage.growth as growth
import aeordb.storage.store as store
from aeordb import info
from aeordb.format.system import CRON
from aeordb.native.hashing import blake3
from aeordb.server.cronfile import add_schedule
from aeordb.server.settings import Settings
from aeordb.testing import scenario as s
from aeordb.testing.scenario import CLOSE, CREATE, KILL, REOPEN, Model, Step, prepare, record
from tests.crash.form import FULL, new_disk
from tests.crash.judge import Judge
from tests.kit.folders import noise, prose

BASE = [
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 3000)),
    s.snapshot("v1"),
    s.put("/folder/deep/c.txt", prose("c", 700)),
]


def schedule(name: str) -> Step:
    """A schedule is added to `cron.json`."""
    fields = {"id": name, "task_type": "gc", "schedule": "0 1 * * *", "args": {}, "enabled": True}

    def do(database: aeordb.Database) -> None:
        settings = Settings(str(database.path))
        database.run(lambda tx: add_schedule(tx.writer, settings, fields))

    def note(model: Model) -> None:
        before = CRON_NAMES.get(model.names.get(s.SYSTEM, ()), ())
        names = (*before, name)
        schedules = [{**fields, "id": other} for other in names]
        data = json.dumps({"schedules": schedules}, indent=2).encode()
        model.system((CRON, "file", len(data), blake3(data).hex()))
        CRON_NAMES[model.names[s.SYSTEM]] = names

    return Step(f"schedule {name}", do, note)


# Each is recorded on a database that was closed cleanly (first act included), the last one open.
CRON_NAMES: dict[s.Rows, tuple[str, ...]] = {}
OPERATIONS: dict[str, Sequence[Step]] = {
    "put": [s.put("/new.txt", prose("new", 2000))],
    "put-empty": [s.put("/empty", b"")],
    "overwrite": [s.put("/a.txt", b"second\n"), s.put("/a.txt", prose("third", 5000))],
    "ten-chunks": [s.put("/large.bin", noise("large", 10 * 262_144))],
    "delete": [s.delete("/a.txt"), s.delete("/folder")],
    "mkdir": [s.mkdir("/x/y/z")],
    "move": [s.move("/a.txt", "/folder/moved.txt"), s.move("/folder", "/elsewhere")],
    "symlink": [s.symlink("a.txt", "/folder/link")],
    "snapshot": [s.snapshot("v2"), s.drop_snapshot("v2"), s.drop_snapshot("v1")],
    "restore": [s.restore("v1"), s.put("/b", b"after")],
    "promote": [s.promote("v1"), s.fork("f"), s.put("/b", b"after"), s.promote_fork("f")],
    "key": [s.make_key("one"), s.make_key("two"), s.revoke_key("one")],
    "cron": [schedule("nightly"), schedule("weekly")],
    "many": [s.put_many({f"/many/{i}.txt": prose(i, 300 + i) for i in range(20)})],
    "close": [s.put("/x", b"x"), CLOSE],
    "close-twice": [s.put("/x", b"x"), CLOSE, s.put("/y", b"y"), CLOSE],
    "killed-then-written": [s.put("/x", noise("x", 3000)), KILL, s.put("/y", b"y"), CLOSE],
    "killed-twice": [s.put("/x", b"1"), KILL, s.put("/x", b"2"), KILL, s.put("/x", b"3")],
    "nothing": [REOPEN, CLOSE],
    "given-up": [s.give_up("/x", noise("x", 1500)), CLOSE],
    "given-up-between": [s.put("/x", b"x"), s.give_up("/x", noise("x", 1500)), CLOSE],
    "in-voids": [
        s.put("/big", noise("big", 9000)),
        *(s.put("/small", noise(i, 2500)) for i in range(6)),
        CLOSE,
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"


# What begins with the first act after an unclean close; with the exhaustive run, all.
UNCLEAN = (
    OPERATIONS
    if FULL
    else ("put", "given-up", "delete", "snapshot", "close", "nothing", "in-voids")
)


@pytest.mark.parametrize(
    ("name", "first"),
    [(name, CLOSE) for name in OPERATIONS] + [(name, KILL) for name in UNCLEAN],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_cut_at_any_call(name: str, first: Step, path: Path, tmp_path: Path) -> None:
    model = prepare(path, [*BASE, first])
    recording = record(path, OPERATIONS[name], model=model)
    judge = Judge(tmp_path / "images", recording, oracle_every=3)
    judge.check_all(new_disk(large=name == "ten-chunks", torn=4), write_every=4)
    assert judge.written
    assert set(recording.states) == set(judge.seen.values())


def test_cut_while_a_database_is_made(path: Path, tmp_path: Path) -> None:
    """The name stands for nothing or for the whole database."""
    recording = record(path, [CREATE, s.put("/a.txt", b"first"), CLOSE])
    judge = Judge(tmp_path / "images", recording)
    judge.check_all(new_disk())
    assert None in judge.seen.values()
    assert recording.states[2] in judge.seen.values()


@pytest.mark.parametrize("records", [0, 6])
def test_cut_at_any_call_of_a_checkpoint(
    records: int, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", records)
    model = prepare(path, BASE)
    steps = [s.put(f"/n/{i}", noise(i, 90 + i)) for i in range(2)]
    recording = record(path, [*steps, s.delete("/a.txt"), CLOSE], model=model)
    assert any(512 < call.offset < 66_000 for call in recording.trace.calls)
    Judge(tmp_path / "images", recording).check_all(new_disk(torn=3), write_every=3)


def history(commits: int) -> list[Step]:
    """Many index entries and a small tree."""
    return [s.put("/a.txt", noise(i, 40)) for i in range(commits)]


def grow_setup(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Model, Sequence[Step]]:
    """A database and steps during which its index grows."""
    if kind == "in-a-commit":
        # So many entries that a page is full: the commit itself finds it out.
        model = prepare(path, [*BASE, *history(330)])
        monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 1)
        monkeypatch.setattr(store, "OVERFLOW_LIMIT", 0)
        monkeypatch.setattr(growth, "OVERFLOW_LIMIT", 0)
        return model, [s.put("/b.txt", b"b"), s.put("/a.txt", b"a")]
    if kind == "past-the-edge":
        # The log goes on behind the larger block: only its first part moves.
        model = prepare(path, [*BASE, s.put("/big", noise("big", 700_000)), *history(5)])
    else:
        model = prepare(path, BASE)
    entries = 30_000 if kind == "two-stages" else 900
    return model, [s.put("/b.txt", b"b"), s.reserve(entries), s.put("/a.txt", b"c"), CLOSE]


GROWTHS = ["small", "past-the-edge", "in-a-commit", "two-stages"]


@pytest.mark.parametrize("kind", GROWTHS)
def test_cut_at_any_call_of_a_growth(
    kind: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, steps = grow_setup(kind, path, monkeypatch)
    stage = info(path).stage
    recording = record(path, steps, model=model)
    assert info(path).stage == (2 if kind == "two-stages" else stage + 1)
    judge = Judge(tmp_path / "images", recording, oracle_every=10)
    disk = new_disk(large=True, torn=1, mixed=1)
    judge.check_all(disk, write_every=29)
