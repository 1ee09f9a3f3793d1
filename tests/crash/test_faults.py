"""Whatever call of whatever operation fails, and however: it is reported as an error of ours, the
database is as before or as after, and works again once the fault is gone. After a failed sync this
process writes no more to the file. What a disk swallows is damage when it is read, never wrong
bytes."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import aeordb
import aeordb.storage.store as store
from aeordb.errors import AeorDBError, DamagedError, NotADatabaseError, NotDurableError
from aeordb.format.system import CRON
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.faults import FAULTS, LOST, Fault, FaultLayer, Made
from aeordb.testing.recording import QuickLayer
from aeordb.testing.scenario import KILL, Step, kill, prepare
from aeordb.versions.system import put_system_file, read_system_file
from tests.crash.form import FULL
from tests.crash.judge import rows_of, state_of
from tests.crash.test_gc_cuts import BASE as GARBAGE
from tests.kit.folders import FIRST_TIME, noise, prose
from tests.kit.rules import check_file

NAME = "data.aeordb"
CHANGING = ("pwrite", "fdatasync", "truncate", "punch")
# So many of the faults are tried at each call, in turn.
AT_ONCE = 100 if FULL else 4

BASE: Sequence[Step] = (
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 3000)),
    s.snapshot("v1"),
    s.put("/folder/deep/c.txt", prose("c", 700)),
    s.symlink("a.txt", "/link"),
)
Do = Callable[[aeordb.Database, Path], object]
State = tuple[Any, ...]


@dataclass(frozen=True)
class Operation:
    """What is done to a database, and what it makes beside it.

    `warm`: the first act after opening is not part of it. `made`: a file that is there whole, or
    not at all.
    """

    do: Do
    base: Sequence[Step] = BASE
    warm: bool = True
    made: str = ""
    records: int = 512


def other_backups(folder: Path) -> None:
    """An export and a patch of a database that went on from the one in the folder."""
    other = folder / "other.aeordb"
    shutil.copyfile(folder / NAME, other)
    with use_layer(QuickLayer()), aeordb.open(other, "r+", jobs=1) as database:
        database.snapshots.create("here")
        database.put("/new/large.bin", noise("import", 300_000))
        database.put("/a.txt", b"imported")
        database.delete("/folder/b.bin")
        database.export(folder / "full.aeordb")
        database.export_patch(folder / "patch.aeordb", "here")
    for path in (other, folder / "other.aeordb.lock", folder / f"{NAME}.lock"):
        path.unlink()


def write_cron(database: aeordb.Database, _: Path) -> None:
    text = b'{"schedules": []}'
    database.run(lambda tx: put_system_file(tx.writer, CRON, text, "application/json"))


def put_many(database: aeordb.Database, _: Path) -> None:
    with database.transaction() as tx:
        for i in range(20):
            tx.put(f"/many/{i}.txt", prose(i, 300 + i))
        tx.delete("/a.txt")


def keep_one_backup(database: aeordb.Database, folder: Path) -> None:
    """The second of two, of which one stays."""
    database.backup(folder / "backups", retention_count=1, now=2_000_000_000_000)


GARBAGE_AT_THE_END = [*GARBAGE, s.put("/huge", noise("huge", 200_000)), s.delete("/huge")]

OPERATIONS: dict[str, Operation] = {
    "first-act": Operation(lambda db, _: db.put("/a.txt", b"2"), warm=False),
    "first-act-unclean": Operation(
        lambda db, _: db.put("/a.txt", b"2"), base=[*GARBAGE, KILL], warm=False
    ),
    "put": Operation(lambda db, _: db.put("/new.txt", prose("new", 2000))),
    "overwrite": Operation(lambda db, _: db.put("/a.txt", prose("third", 5000))),
    "ten-chunks": Operation(lambda db, _: db.put("/large.bin", noise("large", 10 * 262_144))),
    "many": Operation(put_many),
    "delete": Operation(lambda db, _: db.delete("/folder", recursive=True)),
    "mkdir": Operation(lambda db, _: db.mkdir("/x/y/z")),
    "move": Operation(lambda db, _: db.move("/folder", "/elsewhere")),
    "symlink": Operation(lambda db, _: db.symlink("a.txt", "/folder/link")),
    "snapshot": Operation(lambda db, _: db.snapshots.create("v2")),
    "drop-snapshot": Operation(lambda db, _: db.snapshots.delete("v1")),
    "restore": Operation(lambda db, _: db.snapshots.restore("v1")),
    "promote": Operation(lambda db, _: db.promote("v1")),
    "key": Operation(lambda db, _: db.api_keys.create("a label")),
    "cron": Operation(write_cron),
    "checkpoint": Operation(lambda db, _: db.put("/new.txt", b"new"), records=3),
    "growth": Operation(lambda db, _: s.reserve(900).do(db)),
    "gc": Operation(lambda db, _: db.gc(), base=GARBAGE_AT_THE_END),
    "gc-in-batches": Operation(lambda db, _: db.gc(), base=GARBAGE, records=12),
    "compact": Operation(lambda db, _: db.gc(compact=True), base=GARBAGE),
    "import": Operation(lambda db, at: db.import_(at / "full.aeordb")),
    "import-patch": Operation(lambda db, at: db.import_(at / "patch.aeordb", force=True)),
    "import-promote": Operation(lambda db, at: db.import_(at / "full.aeordb", promote=True)),
    "export": Operation(lambda db, at: db.export(at / "out.aeordb"), made="out.aeordb"),
    "patch": Operation(lambda db, at: db.export_patch(at / "out.aeordb", "v1"), made="out.aeordb"),
    "backup": Operation(keep_one_backup),
    "close": Operation(lambda db, _: db.close()),
    "close-unclean": Operation(lambda db, _: db.close(), base=GARBAGE),
}


@pytest.fixture(autouse=True)
def batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aeordb.maintenance.sweep._BATCH_ENTRIES", 40)
    monkeypatch.setattr("aeordb.maintenance.sweep._ROUND", 8)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_fault(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(name, tmp_path, monkeypatch)
    tried = 0
    for fault, call in bench.faults():
        try:
            bench.try_one(fault)
        except Exception as error:
            raise AssertionError(f"{name}: {fault} at {call}: {error!r}") from error
        tried += 1
    assert tried >= len(bench.calls) - bench.first


class Bench:
    """One operation, tried on copies of one database under one fault after the other."""

    def __init__(self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operation = OPERATIONS[name]
        self.original = folder / "original"
        self.folder = folder / "work"
        self.path = self.folder / NAME
        self.original.mkdir()
        self._ticks = itertools.count(FIRST_TIME * 1000)
        monkeypatch.setattr(time, "time_ns", lambda: next(self._ticks) * 1_000_000)
        prepare(self.original / NAME, self.operation.base)
        if name.startswith("import"):
            other_backups(self.original)
        if name == "backup":
            with use_layer(QuickLayer()), aeordb.open(self.original / NAME, jobs=1) as database:
                database.backup(self.original / "backups", now=1_900_000_000_000)
        monkeypatch.setattr(store, "CHECKPOINT_RECORDS", self.operation.records)
        self.layer = self._fresh()
        self.first = 0
        with use_layer(self.layer):
            database = self._open()
            self.before = whole_state(database)
            self.operation.do(database, self.folder)
            calls = self.layer.calls
            if name.startswith("close"):
                database = aeordb.open(self.path, "r", jobs=1)
            self.after = whole_state(database)
            self.calls = calls[:]
            kill(database)

    def faults(self) -> Iterator[tuple[Fault, Made]]:
        """Faults at each call of the operation: all, or some of them in turn."""
        kinds = [
            *((what, lasting, False) for what in FAULTS for lasting in (False, True)),
            ("EIO", False, True),
        ]
        turn = itertools.cycle(kinds)
        for number, call in enumerate(self.calls):
            if number < self.first:
                continue
            tried = 0
            for what, lasting, drops in itertools.islice(turn, len(kinds)):
                fault = Fault(what, 0, lasting, drops=drops)
                if not fault.picks(call) or (drops and call.kind != "fdatasync"):
                    continue
                at = sum(map(fault.picks, self.calls[:number]))
                yield Fault(what, at, lasting, drops=drops), call
                tried += 1
                if tried >= AT_ONCE:
                    break

    def try_one(self, fault: Fault) -> None:
        layer = self.layer = self._fresh(fault)
        database, error = None, None
        with use_layer(layer):
            try:
                database = self._open()
                self.operation.do(database, self.folder)
            except AeorDBError as caught:
                error = caught
            assert layer.hit
            if fault.what == LOST:
                self._check_lost(database)
                return
            if error is not None:
                assert isinstance(error, NotDurableError), repr(error)
                assert error.exit_code == 16
            if database is not None and database._store._fd < 0:
                database = None
            broken = any(c.kind == "fdatasync" and c.path == str(self.path) for c in layer.hit)
            allowed = [self.after] if error is None else [self.before, self.after]
            if database is not None:
                found = whole_state(database)
                assert found in allowed, "the handle that met it"
                self._go_on(database, layer, broken=broken)
            layer.mend()
            self._check_left(allowed, broken=broken or database is None)
            self._check_names(error)

    def _go_on(self, database: aeordb.Database, layer: FaultLayer, *, broken: bool) -> None:
        """The handle refuses after a failed sync, and else goes on once the fault is gone."""
        if broken:
            count = len(layer.calls)
            assert not database.writable
            for _ in range(2):
                with pytest.raises(NotDurableError, match="read-only in this process"):
                    database.put("/refused.txt", b"refused")
            database.close()
            own = [c for c in layer.calls[count:] if c.path == str(self.path)]
            assert {c.kind for c in own} <= {"close"}, own
            return
        try:
            database.put("/again.txt", b"under the same fault, if it lasts")
        except NotDurableError:
            if not database.writable:
                database.close()
                return
        layer.mend()
        database.put("/again.txt", b"the fault is gone")
        assert database["/again.txt"] == b"the fault is gone"
        database.delete("/again.txt")
        database.close()
        assert check_file(self.path) == []

    def _check_left(self, allowed: Sequence[State], *, broken: bool) -> None:
        """A fresh open finds one of the states, and can write."""
        with aeordb.open(self.path, "r", jobs=1) as database:
            assert whole_state(database) in allowed, "a fresh open"
        if broken:
            with aeordb.open(self.path, "r+", jobs=1) as database:
                assert whole_state(database) in allowed, "a fresh writer"
                database.put("/again.txt", b"a fresh open")
            assert check_file(self.path) == []

    def _check_names(self, error: AeorDBError | None) -> None:
        """What stands beside the database: backups whole, and a working file only where it could
        not be removed."""
        kept = any(call.kind == "unlink" for call in self.layer.hit)
        for path in sorted(self.folder.rglob("*")):
            name = path.name
            if path.is_dir() or name in (NAME, f"{NAME}.lock"):
                continue
            if name.endswith((".part", ".compact", ".unchecked")):
                assert kept, name
                continue
            assert name.endswith(".aeordb"), name
            assert aeordb.verify(path, jobs=1).ok, name
            assert name != self.operation.made or error is None or kept, f"{name} is there"
        backups = list((self.folder / "backups").glob("*.aeordb"))
        assert backups or not (self.folder / "backups").exists(), "the only backup is gone"

    def _check_lost(self, database: aeordb.Database | None) -> None:
        """A disk that says OK and keeps nothing: no content is read that was never there, and what
        verify has nothing to say about is whole."""
        if database is not None:
            kill(database)
        for cut in (False, True):
            if cut:
                self.layer.lose_unsynced()
            with suppress(DamagedError, NotADatabaseError):
                with aeordb.open(self.path, "r", jobs=1) as again:
                    self._check_bytes(again)
                if aeordb.verify(self.path, jobs=1).ok:
                    with aeordb.open(self.path, "r", jobs=1) as again:
                        assert whole_state(again) in (self.before, self.after)

    def _check_bytes(self, database: aeordb.Database) -> None:
        rows = {row for state in (self.before, self.after) for row in state[0][0]}
        rows |= {row for state in (self.before, self.after) for _, of in state[0][1] for row in of}
        view = database.at("HEAD")
        for stat in view.walk("/", hidden=True):
            if stat.kind != "file":
                continue
            try:
                found = rows_of(_One(view, stat))
            except DamagedError:
                continue
            assert rows.issuperset(found), f"wrong bytes: {found}"

    def _fresh(self, *faults: Fault) -> FaultLayer:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.original, self.folder)
        # The same times, so the same keys and calls, each time.
        self._ticks = itertools.count((FIRST_TIME + 100) * 1000)
        return FaultLayer(*faults, inner=QuickLayer(), remember=any(f.what == LOST for f in faults))

    def _open(self) -> aeordb.Database:
        database = aeordb.open(self.path, "r+", jobs=1)
        if self.operation.warm:
            database.put("/warm", b"")
            self.first = len(self.layer.calls)
        return database


@dataclass(frozen=True)
class _One:
    """A view of one file alone."""

    view: Any
    stat: Any

    def walk(self, *_: object, **__: object) -> list[Any]:
        return [self.stat]

    def read(self, path: str) -> bytes:
        data: bytes = self.view.read(path)
        return data


def whole_state(database: aeordb.Database) -> State:
    """HEAD, names, the number of keys and the schedules."""
    keys = len(database.api_keys.list())
    return state_of(database), keys, read_system_file(database.reader(), CRON)
