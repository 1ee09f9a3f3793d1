"""Our own command line does what the library does; one that does not is found out."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aeordb.testing import differ
from aeordb.testing.differ import Difference, compare, find_difference, shortest
from aeordb.testing.operations import (
    Operation,
    delete,
    forks_create,
    gc,
    mkdir,
    move,
    put,
    snapshots_create,
    snapshots_rename,
    snapshots_restore,
    symlink,
    transaction,
)
from tests.kit.child import ENVIRONMENT

OURS = [sys.executable, "-m", "aeordb"]
HISTORY = [
    put("/a.txt", b"1" * 1000),
    symlink("a.txt", "/-r"),
    move("/a.txt", "/ä/*"),
    mkdir("/only/the/library/has/this"),
    snapshots_create("v1"),
    put("/ä", b"a folder"),
    delete("/none"),
    forks_create("work", "v1"),
    put("/e", b"", "image/png"),
    move("/e", "/ä"),
    delete("/ä"),
    gc(compact=True),
    snapshots_rename("v1", "0123abcd"),
    snapshots_restore("v1"),
    transaction([put("/b", b"")]),
]

WRONG_CODE = """
import sys
from aeordb.cli.main import main
code = main()
sys.exit(1 if code == 20 else code)
"""

# Its exports lack a file, and all that it says of them is right.
LOSES_A_FILE = """
import contextlib, io, os, shutil, sys
import aeordb
from aeordb.cli.main import main
code = main()
if "export" in sys.argv and code == 0:
    output = sys.argv[sys.argv.index("--output") + 1]
    shutil.move(output, output + ".whole")
    with aeordb.open(output + ".whole") as db:
        for path in list(db)[-1:]:
            db.delete(path)
        db.export(output)
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def same_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that are started use the aeordb that these tests use."""
    for name in ("PYTHONPATH", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, ENVIRONMENT[name])


def program(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "program"
    path.write_text(f"#!{shlex.quote(sys.executable)}\n{text}")
    path.chmod(0o755)
    return [str(path)]


def test_our_own_program_agrees() -> None:
    assert compare([OURS], HISTORY) is None


def test_random_histories_agree() -> None:
    assert find_difference([OURS], examples=1, max_size=4) is None


def test_a_wrong_exit_code_is_found(tmp_path: Path) -> None:
    wrong = program(tmp_path, WRONG_CODE)
    found = compare([wrong], [put("/a", b"1"), delete("/none"), put("/b", b"1")])
    assert found is not None
    assert (found.program, found.what) == (wrong[0], "the exit code")
    assert (found.expected, found.found) == (20, 1)
    assert shortest([wrong], found).history == (delete("/none"),)
    assert "delete('/none')" in str(found)


def test_a_file_that_is_lost_in_exports_is_found(tmp_path: Path) -> None:
    wrong = program(tmp_path, LOSES_A_FILE)
    history: list[Operation] = [put("/a", b"1"), put("/b/c", b"2"), put("/a", b"3")]
    found = compare([wrong], history)
    assert isinstance(found, Difference)
    assert found.step == "export of 'HEAD'"
    assert found.what == "the tree in it"
    assert found.expected is not None
    assert isinstance(found.expected, dict)
    assert found.expected["path"] == "/b/c"


def test_of_a_random_history_the_shortest_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the programs, which take their time."""

    def compare(commands: object, history: Sequence[Operation]) -> Difference | None:
        methods = [operation.method for operation in history]
        if "delete" not in methods or "put" not in methods[: methods.index("delete")]:
            return None
        return Difference("it", "delete", "the exit code", 0, 1, tuple(history))

    monkeypatch.setattr(differ, "compare", compare)
    found = find_difference([OURS], examples=1000, max_size=12)
    assert found is not None
    assert [operation.method for operation in found.history] == ["put", "delete"]
