"""Compares programs that have aeordb's command line: the same history through each, and through the
library.

Each program works on a file of its own. Compared are exit codes, what `--json` says (but for times,
hashes of versions and the like), the trees that come of it, exports, imports, and what each program
reads in the files of the others:

    found = find_difference([["aeordb"], ["./my-aeordb"]])
    assert found is None, found

A difference comes with the shortest history that still leads to one.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

import aeordb
from aeordb.database.plain import plain
from aeordb.errors import ExistsError, NotFoundError
from aeordb.testing import strategies
from aeordb.testing.operations import Operation, outcome

Command = Sequence[str]
History = Sequence[Operation]
Facts = dict[str, Any]

# Of a listing's line; times are the programs' own.
_COMPARED = ("path", "kind", "size", "content_type", "hash", "target")
_COUNTS = ("files", "chunks", "directories")
_SECONDS = 120


@dataclass(frozen=True)
class Difference:
    """Where a program did not do what the library does."""

    program: str
    step: str
    what: str
    expected: object
    found: object
    history: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        lines = [f"  {operation!r}" for operation in self.history]
        head = f"{self.program}: {self.step}: {self.what} is {self.found!r}, not {self.expected!r}"
        return "\n".join([head, "after", *(lines or ["  nothing"])])


class _DifferError(Exception):
    """Carries a difference to whoever asked."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


def find_difference(
    commands: Sequence[Command], *, examples: int = 10, max_size: int = 8
) -> Difference | None:
    """Tries random histories until one shows a difference; the shortest that does, or None.

    `commands`: each a program with its first arguments. `examples`: how many histories, of at most
    `max_size` operations each.
    """
    found: list[Difference] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.histories(max_size=max_size, max_chunks=1, with_transactions=False))
    def search(history: list[Operation]) -> None:
        difference = compare(commands, history)
        if difference is not None:
            found.append(difference)
            raise _DifferError(difference)

    try:
        search()
    except _DifferError:
        return shortest(commands, found[0])
    return None


def shortest(commands: Sequence[Command], difference: Difference) -> Difference:
    """Leaves out operations, one after the other, as long as there is a difference."""
    best = difference
    at = len(best.history) - 1
    while at >= 0:
        shorter = compare(commands, best.history[:at] + best.history[at + 1 :])
        best = shorter or best
        at = min(at, len(best.history)) - 1
    return best


def compare(commands: Sequence[Command], history: History) -> Difference | None:
    """Runs a history through all programs and the library; the first difference, or None.

    Operations that the command line does not have (a transaction, mkdir) are passed over.
    """
    known = [operation for operation in history if command_line(operation)]
    with tempfile.TemporaryDirectory(prefix="aeordb-") as folder:
        library = _Library(Path(folder) / "library")
        programs = [_Program(c, Path(folder) / f"program-{i}") for i, c in enumerate(commands)]
        try:
            for operation in known:
                library.step(operation)
                for program in programs:
                    program.step(operation, library)
            for program in programs:
                program.finish(library)
            for program in programs:
                places = {p.name: p.path for p in programs if p is not program}
                for name, path in {library.name: library.path, **places}.items():
                    program.read(path, library, f"in the file of {name}")
        except _DifferError as error:
            return replace(error.difference, history=tuple(known))
        finally:
            library.database.close()
    return None


def command_line(operation: Operation) -> list[str]:
    """The arguments that do the same; none where the command line has no such thing."""
    values, options = operation.arguments, dict(operation.options)
    match operation.method:
        case "put":
            kind = options.get("content_type")
            typed = [] if kind is None else ["--content-type", kind]
            return ["put", *typed, "--", "-", values[0]]
        case "symlink":
            return ["ln", "--", *values]
        case "move":
            return ["mv", "--", *values]
        case "delete":
            return ["rm", *(["-r"] if options else []), "--", *values]
        case "snapshots.create" | "forks.create" as method:
            return [method.split("s.")[0], "create", "--at", values[1], "--", values[0]]
        case "promote":
            return ["promote", "--hash", *values]
        case "gc":
            return ["gc", *(["--compact"] if options else [])]
        case method if "." in method:
            noun, verb = method.split("s.")
            return [noun, verb, "--", *values]
    return []


class _Library:
    """The library, used as the command line uses it."""

    name = "the library"

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "data.aeordb"
        self.database = aeordb.open(self.path, "x")
        self.code, self.exit_code = "ok", 0
        self.facts: Facts = {}

    def step(self, operation: Operation) -> None:
        """Does it; notes its error's codes, or the facts that `--json` must show."""
        done = outcome(lambda: self._run(operation))
        self.code = done.code
        self.exit_code = 0 if done.error is None else done.error.exit_code
        self.facts = done.result if done.error is None else {}

    def _run(self, operation: Operation) -> Facts:
        values = operation.arguments
        match operation.method:
            case "put":
                return {"files": 1, "bytes": operation.run(self.database).size}
            case "delete":
                return {"deleted": operation.run(self.database)}
            case "symlink":
                with self.database.transaction() as tx:
                    if tx.exists(values[1]):
                        raise ExistsError(path=values[1])
                    tx.symlink(*values)
                return {"target": values[0], "path": values[1]}
            case "move":
                source, target = values
                if self._is_folder(target):
                    target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
                self.database.move(source, target)
                return {"moved": [{"from": source, "to": target}]}
        operation.run(self.database)
        return {}

    def _is_folder(self, path: str) -> bool:
        try:
            return self.database.stat(path).kind == "folder"
        except NotFoundError:
            return False

    def listing(self) -> list[Facts]:
        """The lines of a listing of everything."""
        return lines_of(map(plain, self.database.walk(hidden=True)))

    def files(self) -> dict[str, bytes]:
        """All files."""
        found = self.database.walk(hidden=True)
        return {stat.path: self.database[stat.path] for stat in found if stat.kind == "file"}

    def counts(self, report: object) -> Facts:
        """What a report counts."""
        return {name: getattr(report, name) for name in _COUNTS}


class _Program:
    """A program, and its file."""

    def __init__(self, command: Command, folder: Path) -> None:
        folder.mkdir()
        self.name = " ".join(command)
        self.path = folder / "data.aeordb"
        self._command = list(command)
        self._folder = folder
        self._run(["init"], "init", 0)

    def step(self, operation: Operation, library: _Library) -> None:
        """Does what the library has done."""
        data = operation.arguments[1] if operation.method == "put" else b""
        arguments = command_line(operation)
        ran = self._run(arguments, repr(operation), library.exit_code, stdin=data)
        self._same(repr(operation), "the code", library.code, ran.get("code"))
        result = ran.get("result") or {}
        for name, expected in library.facts.items():
            self._same(repr(operation), f"result.{name}", plain(expected), result.get(name))

    def finish(self, library: _Library) -> None:
        """Reads all that there is, exports and imports a version or two, and compares."""
        self.read(self.path, library, "at the end")
        for noun, names in (
            ("snapshot", library.database.snapshots.list()),
            ("fork", library.database.forks.list()),
        ):
            step = f"{noun} list"
            items = self._run([noun, "list"], step, 0)["result"]["items"]
            self._same(step, "the names", [n.name for n in names], [i["name"] for i in items])
            for named in names[:1]:
                chosen = ["--snapshot", named.name]
                if noun == "fork":
                    chosen = ["--hash", self._resolve(named.name)]
                self._version(named.name, library, chosen)
        self._same("verify", "ok", True, self._run(["verify"], "verify", 0)["result"]["ok"])
        if not library.database.snapshots.list():
            self._version("HEAD", library, [])

    def _version(self, name: str, library: _Library, chosen: list[str]) -> None:
        """Exports a version and the patch from it to HEAD; imports both into a new database."""
        number = len(list(self._folder.iterdir()))
        full, patch, new = (self._folder / f"{number}.{kind}" for kind in ("full", "patch", "new"))
        expected = library.database.export(full, name, dry_run=True)
        step = f"export of {name!r}"
        ran = self._run(["export", "--output", str(full), *chosen], step, 0)["result"]
        for key, count in library.counts(expected).items():
            self._same(step, f"result.{key}", count, ran.get(key))
        with aeordb.open(full, "r") as exported:
            tree = lines_of(map(plain, exported.walk(hidden=True)))
            wanted = lines_of(map(plain, library.database.at(name).walk(hidden=True)))
            self._same(step, "the tree in it", wanted, tree)
        step = f"diff from {name!r}"
        self._run(["diff", "--output", str(patch), "--from", name], step, 0)
        files = [str(file) for file in (full, patch) if file.exists()]
        given_files = [argument for file in files for argument in ("--file", file)]
        self._run(["import", "--promote", *given_files], f"import of {name!r}", 0, database=new)
        with aeordb.open(new, "r") as imported:
            tree = lines_of(map(plain, imported.walk(hidden=True)))
            self._same(f"import of {name!r}", "the tree", library.listing(), tree)

    def _resolve(self, name: str) -> str:
        with aeordb.open(self.path, "r") as database:
            return database.resolve(name).hex()

    def read(self, path: Path, library: _Library, step: str) -> None:
        """Lists and reads everything in a file, which may be another program's."""
        copy = path.with_suffix(".copy")
        shutil.copyfile(path, copy)
        ran = self._run(["ls", "-R", "--all"], f"ls {step}", 0, database=copy)
        self._same(f"ls {step}", "the listing", library.listing(), lines_of(ran["result"]["items"]))
        files = library.files()
        if files:
            done = self._start(["cat", "--", *files], copy, b"")
            self._same(f"cat {step}", "the exit code", 0, done.returncode)
            if done.stdout != b"".join(files.values()):
                self._same(f"cat {step}", "the content", "as it was put", "something else")

    def _run(
        self,
        arguments: Sequence[str],
        step: str,
        exit_code: int,
        *,
        stdin: bytes = b"",
        database: Path | None = None,
    ) -> Facts:
        done = self._start(["--json", *arguments], database or self.path, stdin)
        self._same(step, "the exit code", exit_code, done.returncode)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            self._same(step, "standard output", "one JSON object", done.stdout[:200])
        self._same(step, "ok", exit_code == 0, answer.get("ok"))
        return dict(answer)

    def _start(
        self, arguments: Sequence[str], database: Path, stdin: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._command, "-D", str(database), *arguments],
            input=stdin,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )

    def _same(self, step: str, what: str, expected: object, found: object) -> None:
        if expected != found:
            raise _DifferError(Difference(self.name, step, what, *_first(expected, found)))


def lines_of(items: Any) -> list[Facts]:
    """The lines of a listing, without what may differ."""
    return [{name: item.get(name) for name in _COMPARED} for item in items]


def _first(expected: object, found: object) -> tuple[object, object]:
    """The first line in which two listings differ, or both things as they are."""
    if isinstance(expected, list) and isinstance(found, list):
        for one, other in itertools.zip_longest(expected, found):
            if one != other:
                return one, other
    return expected, found
