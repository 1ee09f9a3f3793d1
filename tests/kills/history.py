"""Random histories: what a process is told to do, and what the database holds after each step.

An operation is a list that JSON can carry: its name, then what it is done with. `step_of` makes it
a step that does it to a database, and notes it in the model.
"""

import contextlib
import copy
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aeordb
from aeordb.testing import scenario as s
from aeordb.testing.scenario import Model, Rows, State, Step
from tests.kit.folders import noise, prose

Operation = list[Any]
Backups = Mapping[str, tuple[str, Rows]]
"""By the path of a backup: its version's hash in hex, and what is in it."""

_SNAPSHOTS = 3
_LARGE = 2_700_000


def content(seed: int, size: int) -> bytes:
    """The bytes of a file in a history."""
    return (noise if seed % 2 else prose)(seed, size)


def step_of(operation: Operation, backups: Backups | None = None) -> Step:
    """The step that an operation stands for; one that imports notes what is in `backups`."""
    name, *arguments = operation
    if name in _IMPORTS:
        return _IMPORTS[name](*arguments, backups or {})
    return _STEPS[name](*arguments)


def _put(path: str, seed: int, size: int) -> Step:
    return s.put(path, content(seed, size))


def _many(puts: list[tuple[str, int, int]], deletes: list[str]) -> Step:
    """A transaction with puts, then deletions."""

    def do(database: aeordb.Database) -> None:
        with database.transaction() as tx:
            for path, seed, size in puts:
                tx.put(path, content(seed, size))
            for path in deletes:
                tx.delete(path)

    def note(model: Model) -> None:
        for path, seed, size in puts:
            model.put(path, content(seed, size))
        for path in deletes:
            model.delete(path)

    return Step("many", do, note)


def _bulk(folder: str, seed: int, count: int) -> Step:
    return s.put_many({f"{folder}/{i}.txt": b"%d of %d" % (i, seed) for i in range(count)})


def _gc(compact: bool) -> Step:
    return Step("gc", lambda db: db.gc(compact=compact))


def _export(output: str) -> Step:
    def do(database: aeordb.Database) -> None:
        with contextlib.suppress(FileNotFoundError):
            Path(output).unlink()
        database.export(output)

    return Step("export", do)


def _import(path: str, promote: bool, backups: Backups) -> Step:
    def note(model: Model) -> None:
        if promote:
            model.go_to(backups[path][1])

    return Step("import", lambda db: db.import_(path, promote=promote), note)


def _promote(path: str, version: str, backups: Backups) -> Step:
    return Step("promote", lambda db: db.promote(version), lambda m: m.go_to(backups[path][1]))


_STEPS: dict[str, Callable[..., Step]] = {
    "put": _put,
    "many": _many,
    "bulk": _bulk,
    "delete": s.delete,
    "mkdir": s.mkdir,
    "move": s.move,
    "symlink": s.symlink,
    "snapshot": s.snapshot,
    "drop": s.drop_snapshot,
    "restore": s.restore,
    "grow": s.reserve,
    "give up": lambda path, seed, size: s.give_up(path, content(seed, size)),
    "gc": _gc,
    "export": _export,
}
_IMPORTS: dict[str, Callable[..., Step]] = {"import": _import, "promote": _promote}


class History:
    """Operations drawn by a seed, and the states that they lead to.

    Args:
        rng: what everything is drawn from.
        model: what the database holds before; left as it is.
        backups: what may be imported.
        output: where exports go.
        alone: nobody reads meanwhile, so that gc and growth need not wait.
    """

    def __init__(
        self,
        rng: random.Random,
        model: Model,
        *,
        backups: Backups,
        output: Path,
        alone: bool = True,
    ) -> None:
        self.operations: list[Operation] = []
        self.states: list[State] = [model.state()]
        self._rng = rng
        self._model = copy.deepcopy(model)
        self._backups = backups
        self._output = output
        self._alone = alone
        self._fresh = 0

    def draw(self, count: int) -> None:
        """Adds so many operations."""
        while count > 0:
            for operation in self._next():
                step_of(operation, self._backups).note(self._model)
                self.operations.append(operation)
                self.states.append(self._model.state())
                count -= 1

    def _next(self) -> Sequence[Operation]:
        rng, kinds = self._rng, _WEIGHTS if self._alone else _BESIDE
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        drawn: Operation | None = None
        match kind:
            case "put":
                drawn = ["put", *self._file()]
            case "give up":
                drawn = ["give up", *self._file()]
            case "many":
                drawn = self._draw_many()
            case "bulk":
                count = rng.randint(40, 160)
                drawn = ["bulk", f"/bulk{rng.randrange(3)}", rng.randrange(1000), count]
            case "mkdir":
                drawn = ["mkdir", self._new("empty")]
            case "symlink":
                drawn = ["symlink", "some/where", self._new("link")]
            case "delete" | "move":
                drawn = self._draw_change(kind)
            case "snapshot" | "drop" | "restore":
                drawn = self._draw_name(kind)
            case "gc":
                drawn = ["gc", rng.random() < 0.25]
            case "grow":
                drawn = ["grow", rng.choice([2000, 6000, 14000])]
            case "export":
                drawn = ["export", str(self._output)]
            case "import":
                return self._draw_import()
        return [] if drawn is None else [drawn]

    def _file(self) -> tuple[str, int, int]:
        rng = self._rng
        size = rng.choice([rng.randrange(100), rng.randrange(4000), rng.randrange(60_000)])
        if rng.random() < 0.06:
            size = rng.randrange(_LARGE)
        path = f"/d{rng.randrange(4)}/f{rng.randrange(12)}.bin"
        return path, rng.randrange(1 << 30), size

    def _new(self, word: str) -> str:
        """A path that was not used before: taken back by a restore, it may come twice."""
        while True:
            self._fresh += 1
            path = f"/{word}{self._rng.randrange(1000)}-{self._fresh}"
            if path not in self._model.rows:
                return path

    def _draw_many(self) -> Operation:
        puts = {path: (path, seed, size) for path, seed, size in (self._file() for _ in range(9))}
        files = [row[0] for row in self._model.head() if row[1] == "file" and row[0] not in puts]
        deletes = self._rng.sample(files, min(len(files), self._rng.randrange(4)))
        return ["many", list(puts.values()), deletes]

    def _draw_change(self, kind: str) -> Operation | None:
        rows = self._model.head()
        if not rows:
            return None
        path, what, *_ = self._rng.choice(rows)
        return ["delete", path] if kind == "delete" else ["move", path, self._new(what)]

    def _draw_name(self, kind: str) -> Operation | None:
        names = sorted(self._model.names)
        if kind == "snapshot" and len(names) < _SNAPSHOTS:
            free = [f"v{i}" for i in range(9) if f"v{i}" not in names]
            return ["snapshot", self._rng.choice(free)]
        if kind == "snapshot":
            kind = "drop"
        return [kind, self._rng.choice(names)] if names else None

    def _draw_import(self) -> Sequence[Operation]:
        path = self._rng.choice(sorted(self._backups))
        if self._rng.random() < 0.5:
            return [["import", path, True]]
        return [["import", path, False], ["promote", path, self._backups[path][0]]]


_WEIGHTS = {
    "put": 40,
    "many": 12,
    "bulk": 6,
    "delete": 8,
    "move": 6,
    "mkdir": 2,
    "symlink": 2,
    "snapshot": 6,
    "drop": 2,
    "restore": 2,
    "give up": 3,
    "gc": 4,
    "grow": 2,
    "export": 2,
    "import": 3,
}
_BESIDE = {kind: weight for kind, weight in _WEIGHTS.items() if kind not in ("gc", "grow")}
