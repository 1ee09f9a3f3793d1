"""A database that is wrong is found out, by the very example that the documentation shows."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

import aeordb
from aeordb.testing import machine
from aeordb.testing.machine import SETTINGS, DatabaseMachine
from aeordb.testing.pair import DatabasePair
from tests.kit.child import ENVIRONMENT


class Wrapper:
    """A database whose calls are another's; what is wrong is in the subclasses."""

    def __init__(self, database: aeordb.Database) -> None:
        self.inner: Any = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class LeavesOne(Wrapper):
    """Deletes a folder, but for its last file."""

    def delete(self, path: str, *, recursive: bool = False) -> int:
        left = [s.path for s in self.walk(path) if s.kind == "file"] if recursive else []
        data = self.inner[left[-1]] if left else b""
        count: int = self.inner.delete(path, recursive=recursive)
        if left:
            self.inner.put(left[-1], data)
        return count


class ForgetsTimes(Wrapper):
    """Moves a file by putting it anew."""

    def move(self, source: str, target: str) -> None:
        self.inner.move(source, target)
        if self.stat(target).kind == "file":
            data = self.inner[target]
            self.inner.delete(target)
            self.inner.put(target, data)


class KeepsOld(Wrapper):
    """Does not promote what it imports if something is there."""

    def import_(self, files: Any, *, promote: bool = False, force: bool = False) -> Any:
        wanted = promote and not any(self.walk())
        return self.inner.import_(files, promote=wanted, force=force)


class ExportsLess(Wrapper):
    """Leaves symlinks out of exports."""

    def export(self, output: Path, version: str = "HEAD", **options: Any) -> Any:
        whole = Path(f"{output}.whole")
        report = self.inner.export(whole, version, **options)
        with aeordb.open(whole) as copy:
            for stat in list(copy.walk()):
                if stat.kind == "symlink":
                    copy.delete(stat.path)
            copy.export(output, **options)
        return report


BUGS: list[Callable[[aeordb.Database], Wrapper]] = [
    LeavesOne,
    ForgetsTimes,
    KeepsOld,
    ExportsLess,
]


@pytest.mark.parametrize("bug", BUGS)
def test_a_wrong_database_is_found_out(bug: Callable[[aeordb.Database], Wrapper]) -> None:
    class Machine(DatabaseMachine):
        shrink_seconds = 0

        def open_database(self, path: Path) -> Any:
            return bug(super().open_database(path))

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Machine, settings=settings(SETTINGS, max_examples=200, database=None)
        )


MY_STORE = """
import aeordb

class Store(aeordb.Database):
    def move(self, source, target):
        super().move(source, target)
        if self.stat(target).kind == "file":
            self.put(target, self[target][1:])  # the planted bug

def open(path):
    found = aeordb.open(path, "a")
    found.__class__ = Store
    return found
"""


def example() -> str:
    """The five lines of the documentation."""
    assert machine.__doc__ is not None
    lines = [line for line in machine.__doc__.splitlines() if line.startswith("    ")]
    return textwrap.dedent("\n".join(lines))


def test_the_five_lines_of_the_documentation_find_a_planted_bug(tmp_path: Path) -> None:
    text = example()
    assert len(text.splitlines()) == 5
    (tmp_path / "test_example.py").write_text(f"import my_store\n{text}\n")
    (tmp_path / "my_store.py").write_text(MY_STORE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTHONSAFEPATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout
    assert "state.begin(" in done.stdout
    assert "AssertionError: found Stat(" in done.stdout


def test_steps_are_counted_and_settings_can_be_set() -> None:
    class Machine(DatabaseMachine):
        pass

    assert Machine.TestCase.settings is SETTINGS
    before = DatabasePair.steps
    how = settings(SETTINGS, max_examples=1, stateful_step_count=5, database=None)
    run_state_machine_as_test(Machine, settings=how)
    assert DatabasePair.steps > before
