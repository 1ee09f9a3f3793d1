"""Commands are killed at any moment; the next ones find the old state or the new one, and work."""

import random
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import aeordb
from aeordb.testing.scenario import Model, Rows, State
from tests.crash.judge import rows_of
from tests.kills.counts import cycles, lives
from tests.kills.judging import assert_verified, judge, model_at, read_state
from tests.kit.child import ENVIRONMENT
from tests.kit.folders import Link, noise, prose, read_folder, write_folder
from tests.kit.killing import program, wait_for_writes
from tests.kit.rules import assert_file

Backups = Mapping[str, tuple[str, Rows]]
Count = Callable[[str], None]
CYCLES = cycles(10, short=5)
TREES = 3
_NAMES = ("v1", "v2", "v3")


@dataclass
class Command:
    """Arguments of `aeordb`, and what they do to the model."""

    arguments: list[str]
    note: Callable[[Model], object] = lambda model: None
    stdin: bytes = b""
    before: Callable[[], object] = field(default=lambda: None)


def make_trees(folder: Path) -> None:
    """Folders to be put over each other: no file has the same size in two of them."""
    for tree in range(TREES):
        items: dict[str, bytes | Link] = {
            f"sub{i % 4}/file-{i}.txt": prose((tree, i), i * 31 + tree) for i in range(40 - tree)
        }
        items["large.bin"] = noise(tree, 600_000 + tree)
        items[f"link{tree}"] = Link("sub1/file-1.txt")
        write_folder(folder / f"tree{tree}", items)


def put_tree(model: Model, folder: Path, dest: str, *, delete: bool) -> None:
    """What `put -r` does."""
    if delete:
        model.delete(dest)
    model.mkdir(dest)
    for name, data in sorted(read_folder(folder).items()):
        if isinstance(data, Link):
            model.symlink(data.target, f"{dest}/{name}")
        else:
            model.put(f"{dest}/{name}", data)


def draw(rng: random.Random, model: Model, folder: Path, backups: Backups) -> Command:
    """The next command."""
    rows, names = model.head(), sorted(model.names)
    kinds = ["tree"] * 5 + ["pipe", "pipe", "gc", "gc", "import", "import", "export", "new"]
    if rows:
        kinds += ["rm", "rm", "mv"]
    kinds += ["restore", "drop"] if names else []
    kinds += ["snapshot"] * 2 if len(names) < len(_NAMES) else []
    match rng.choice(kinds):
        case "tree":
            source, dest = folder / f"tree{rng.randrange(TREES)}", f"/t{rng.randrange(2)}"
            delete = rng.random() < 0.4
            options = ["--delete"] if delete else []
            return Command(
                ["put", "-r", *options, str(source), dest],
                lambda m: put_tree(m, source, dest, delete=delete),
            )
        case "pipe":
            path, data = f"/p{rng.randrange(20)}", noise(rng.random(), rng.randrange(900_000))
            return Command(["put", "-", path], lambda m: m.put(path, data), data)
        case "gc":
            return Command(["gc", *rng.choice([[], [], ["--compact"]])])
        case "import":
            backup = rng.choice(sorted(backups))
            return Command(
                ["import", "--file", backup, "--promote"],
                lambda m: m.go_to(backups[backup][1]),
            )
        case "new":
            backup, other = rng.choice(sorted(backups)), folder / "other.aeordb"
            return Command(["import", "-D", str(other), "--file", backup, "--promote"])
        case "export":
            output = folder / "out.aeordb"
            return Command(
                ["export", "--output", str(output)],
                before=lambda: output.unlink(missing_ok=True),
            )
        case "rm":
            path = rng.choice(rows)[0]
            return Command(["rm", "-r", path], lambda m: m.delete(path))
        case "mv":
            path, target = rng.choice(rows)[0], f"/moved-{rng.randrange(1 << 30)}"
            return Command(["mv", path, target], lambda m: m.move(path, target))
        case "snapshot":
            name = rng.choice([name for name in _NAMES if name not in names])
            return Command(
                ["snapshot", "create", name], lambda m: m.names.__setitem__(name, m.head())
            )
        case "drop":
            name = rng.choice(names)
            return Command(["snapshot", "delete", name], lambda m: m.names.pop(name))
        case _:
            name = rng.choice(names)
            return Command(
                ["snapshot", "restore", name],
                lambda m: m.go_to(m.names[name]),
            )


def run(rng: random.Random, kind: str, command: Command, path: Path) -> bool:
    """Runs a command and kills it; whether it was killed before it ended."""
    last = 0
    if kind in ("call", "half a write"):
        last = rng.choice([rng.randint(1, 12), rng.randint(1, 60)])
    command.before()
    environment = {name: value for name, value in ENVIRONMENT.items() if name[:7] != "AEORDB_"}
    with tempfile.TemporaryFile() as stdin:
        stdin.write(command.stdin)
        stdin.seek(0)
        process = subprocess.Popen(
            [*program(last, torn=kind == "half a write"), *command.arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "AEORDB_DATABASE": str(path)},
        )
    if kind == "writes":
        wait_for_writes(process, rng.choice([rng.randint(1, 12), rng.randint(1, 60)]))
        process.kill()
    _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), (command.arguments, said.decode())
    return process.returncode != 0


@pytest.mark.parametrize("life", lives(2, CYCLES))
def test_killed_commands(life: int, tmp_path: Path, backups: Backups, count: Count) -> None:
    """One command after the other is killed, until so many were; what ended well is there."""
    rng = random.Random(f"commands {life}")
    path = tmp_path / "data.aeordb"
    make_trees(tmp_path)
    aeordb.open(path, "x").close()
    state, killed, torn = read_state(path), 0, False
    while killed < CYCLES:
        kind = rng.choice(["call", "half a write", "writes"])
        model = model_at(state)
        command = draw(rng, model, tmp_path, backups)
        command.note(model)
        states: list[State] = [state, model.state()]
        try:
            ended = not run(rng, kind, command, path)
            state = judge(path, states[ended:], others=states)
            torn = assert_verified(path, torn=torn or kind == "half a write")
            check_other(tmp_path / "other.aeordb", backups)
        except AssertionError as error:
            number = f"life {life}, kill {killed}, {kind}"
            raise AssertionError(f"{number}, {command.arguments}: {error}") from error
        killed += not ended
        count("commands that ended before the kill" if ended else "kills of commands")
    assert_rest(tmp_path, path)


def check_other(path: Path, backups: Backups) -> None:
    """A database that an import made is not there, is empty, or is one of the backups."""
    if path.exists():
        with aeordb.open(path, "r", jobs=1) as database:
            found = rows_of(database.at("HEAD"))
        assert found in [(), *(rows for _, rows in backups.values())]


def assert_rest(folder: Path, path: Path) -> None:
    """What killed commands left is in nobody's way, and does not pile up."""
    output = folder / "out.aeordb"
    output.unlink(missing_ok=True)
    with aeordb.open(path, jobs=1) as database:
        database.gc(compact=True)
        database.export(output)
    assert_file(path)
    assert_file(output)
    allowed = {"data.aeordb", "data.aeordb.lock", "out.aeordb", "other.aeordb", "other.aeordb.lock"}
    left = {entry.name for entry in folder.iterdir() if entry.is_file()} - allowed
    assert left <= {"other.aeordb.part"}, left
