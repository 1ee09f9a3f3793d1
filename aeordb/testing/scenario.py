"""Databases that are written to while the calls are recorded, and what they must hold after
each step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aeordb
from aeordb.errors import AeorDBError
from aeordb.native.hashing import blake3
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import QuickLayer, Recorder
from aeordb.testing.replay import Trace

Row = tuple[str, str, int, str]
Rows = tuple[Row, ...]
State = tuple[Rows, tuple[tuple[str, Rows], ...]] | None
"""HEAD's rows (path, kind, size, BLAKE3 or target), and those of each name; None: no file."""

SYSTEM = "system"
"""The name under which a state has the API keys and the configuration."""


@dataclass
class Model:
    """A database as plain dictionaries."""

    rows: dict[str, Row] = field(default_factory=dict)
    names: dict[str, Rows] = field(default_factory=dict)

    def state(self) -> State:
        return self.head(), tuple(sorted(self.names.items()))

    def head(self) -> Rows:
        return tuple(sorted(self.rows.values()))

    def put(self, path: str, data: bytes) -> None:
        self._parents(path)
        self.rows[path] = (path, "file", len(data), blake3(data).hex())

    def symlink(self, target: str, path: str) -> None:
        self._parents(path)
        self.rows[path] = (path, "symlink", 0, target)

    def mkdir(self, path: str) -> None:
        self._parents(path)
        self.rows[path] = (path, "folder", 0, "")

    def delete(self, path: str) -> None:
        for name in [n for n in self.rows if n == path or n.startswith(path + "/")]:
            del self.rows[name]

    def move(self, source: str, target: str) -> None:
        for name in [n for n in self.rows if n == source or n.startswith(source + "/")]:
            _, kind, size, what = self.rows.pop(name)
            moved = target + name[len(source) :]
            self.rows[moved] = (moved, kind, size, what)

    def go_to(self, rows: Rows) -> None:
        """HEAD becomes a version."""
        self.rows = {row[0]: row for row in rows}

    def system(self, *rows: Row) -> None:
        """Keys and configuration: sets these rows."""
        known = {row[0]: row for row in (*self.names.get(SYSTEM, ()), *rows)}
        self.names[SYSTEM] = tuple(sorted(known.values()))

    def _parents(self, path: str) -> None:
        parts = path.split("/")[1:-1]
        for i in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:i])
            self.rows[folder] = (folder, "folder", 0, "")


@dataclass(frozen=True)
class Step:
    """Something done to a database, and the same to the model."""

    name: str
    do: Callable[[aeordb.Database], object]
    note: Callable[[Model], object] = lambda model: None


# Steps that `record` knows: the file is made, opened, closed, or its process is killed.
CREATE = Step("create", lambda database: None)
REOPEN = Step("reopen", lambda database: None)
CLOSE = Step("close", lambda database: None)
KILL = Step("kill", lambda database: None)


def put(path: str, data: bytes) -> Step:
    """Puts a file."""
    return Step(f"put {path}", lambda db: db.put(path, data), lambda m: m.put(path, data))


def put_many(files: dict[str, bytes]) -> Step:
    """Puts files in one commit."""

    def do(database: aeordb.Database) -> None:
        with database.transaction() as tx:
            for path, data in files.items():
                tx.put(path, data)

    def note(model: Model) -> None:
        for path, data in files.items():
            model.put(path, data)

    return Step(f"put {len(files)} files", do, note)


def give_up(path: str, data: bytes) -> Step:
    """A transaction that is rolled back once its entries are in the file."""

    def do(database: aeordb.Database) -> None:
        tx = database.transaction()
        try:
            tx.put(path, data)
            tx.writer.flush()
        finally:
            tx.rollback()

    return Step(f"give up {path}", do)


def delete(path: str) -> Step:
    """Deletes a file, symlink or folder with all that is in it."""
    return Step(
        f"delete {path}", lambda db: db.delete(path, recursive=True), lambda m: m.delete(path)
    )


def mkdir(path: str) -> Step:
    """Makes an empty folder."""
    return Step(f"mkdir {path}", lambda db: db.mkdir(path), lambda m: m.mkdir(path))


def move(source: str, target: str) -> Step:
    """Moves a file or a folder."""
    return Step("move", lambda db: db.move(source, target), lambda m: m.move(source, target))


def symlink(target: str, path: str) -> Step:
    """Makes a symlink at `path`."""
    return Step("symlink", lambda db: db.symlink(target, path), lambda m: m.symlink(target, path))


def snapshot(name: str) -> Step:
    """Makes a snapshot of HEAD."""
    return Step(
        f"snapshot {name}",
        lambda db: db.snapshots.create(name),
        lambda m: m.names.__setitem__(name, m.head()),
    )


def drop_snapshot(name: str) -> Step:
    """Deletes a snapshot."""
    return Step(
        f"delete snapshot {name}",
        lambda db: db.snapshots.delete(name),
        lambda m: m.names.pop(name),
    )


def restore(name: str) -> Step:
    """HEAD becomes what a snapshot holds."""
    return Step(
        f"restore {name}",
        lambda db: db.snapshots.restore(name),
        lambda m: m.go_to(m.names[name]),
    )


def fork(name: str) -> Step:
    """Makes a fork of HEAD."""
    return Step(
        f"fork {name}",
        lambda db: db.forks.create(name),
        lambda m: m.names.__setitem__(f"fork {name}", m.head()),
    )


def promote_fork(name: str) -> Step:
    """HEAD becomes what the fork is."""
    return Step(
        f"promote {name}",
        lambda db: db.forks.promote(name),
        lambda m: m.go_to(m.names[f"fork {name}"]),
    )


def promote(name: str) -> Step:
    """HEAD becomes a snapshot's version."""
    return Step(f"promote {name}", lambda db: db.promote(name), lambda m: m.go_to(m.names[name]))


def make_key(label: str) -> Step:
    """Makes an API key."""
    return Step(
        f"make key {label}",
        lambda db: db.api_keys.create(label),
        lambda m: m.system((f"key {label}", "key", 0, "")),
    )


def revoke_key(label: str) -> Step:
    """Revokes the key of this label."""

    def do(database: aeordb.Database) -> None:
        database.api_keys.revoke(
            next(k.key_id for k in database.api_keys.list() if k.label == label)
        )

    return Step(f"revoke key {label}", do, lambda m: m.system((f"key {label}", "revoked", 0, "")))


def gc(*, compact: bool = False) -> Step:
    """Collects garbage; changes no state."""
    return Step("compact" if compact else "gc", lambda db: db.gc(compact=compact))


def reserve(entries: int) -> Step:
    """Growth of its own, ahead of a bulk operation."""

    def do(database: aeordb.Database) -> None:
        store = database._store
        with store.mutex:
            store.abort(store.begin(entries))

    return Step(f"reserve {entries}", do)


def kill(database: aeordb.Database) -> None:
    """What a killed process leaves: the descriptors are closed, nothing else is done."""
    database._store._acted = False
    database.close()


@dataclass
class Recording:
    """A trace and what the database held: `states[i]` after i acknowledged steps.

    `error` is what stopped the recording, in the middle of `stopped`; `database` is then the
    handle that met it, still open (None: it was being opened or closed).
    """

    trace: Trace
    states: list[State]
    model: Model
    path: Path
    recorder: Recorder
    error: AeorDBError | None = None
    stopped: Step | None = None
    database: aeordb.Database | None = None

    def bounds(self, count: int) -> tuple[int, int]:
        return self.trace.bounds(count)


def record(
    path: Path,
    steps: Sequence[Step],
    *,
    model: Model | None = None,
    recorder: Recorder | None = None,
    database: aeordb.Database | None = None,
) -> Recording:
    """Does the steps on the file at `path`, with the calls recorded.

    An error of ours ends it (see `Recording`); the state that the step would have led to is the
    last of `states` then.
    """
    recorder = recorder or Recorder()
    exists = path.exists()
    model = model or Model()
    trace = Trace(recorder.calls, {str(path): path.read_bytes()} if exists else {})
    recording = Recording(trace, [model.state() if exists else None], model, path, recorder)
    with use_layer(recorder):
        for step in steps:
            try:
                if step is REOPEN:
                    database = aeordb.open(path, "r+", jobs=1)
                    continue
                if step in (CLOSE, KILL):
                    assert database is not None
                    closing, database = database, None
                    (kill if step is KILL else aeordb.Database.close)(closing)
                    continue
                if step is not CREATE and database is None:
                    database = aeordb.open(path, "r+", jobs=1)
                trace.begun.append(len(recorder.calls))
                if step is CREATE:
                    database = aeordb.open(path, "x", jobs=1)
                else:
                    assert database is not None
                    step.do(database)
            except AeorDBError as error:
                recording.error, recording.stopped, recording.database = error, step, database
                if step not in (REOPEN, CLOSE, KILL):
                    after = Model(dict(model.rows), dict(model.names))
                    step.note(after)
                    recording.states.append(after.state())
                return recording
            trace.acked.append(len(recorder.calls))
            step.note(model)
            recording.states.append(model.state())
    if database is not None:
        kill(database)
    return recording


def prepare(path: Path, steps: Sequence[Step]) -> Model:
    """Does the steps without a record; what the model then says."""
    model = Model()
    with use_layer(QuickLayer()):
        database = aeordb.open(path, "x", jobs=1)
        closed = False
        for step in steps:
            if step in (CLOSE, KILL):
                (kill if step is KILL else aeordb.Database.close)(database)
                closed = True
                continue
            if closed:
                database, closed = aeordb.open(path, "r+", jobs=1), False
            step.do(database)
            step.note(model)
        if not closed:
            database.close()
    return model
