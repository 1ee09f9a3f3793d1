"""The commands and the Python of README.md, run as they stand there."""

import re
import shutil

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.program import Folder
from tests.kit.rules import assert_file

README = (REPOSITORY / "README.md").read_text("utf-8")
INSTALL = 'python3 -m venv .venv && .venv/bin/pip install --quiet . && export PATH="$PWD/.venv/bin:'


def blocks(heading: str, language: str = "sh") -> list[str]:
    """The blocks of code under a heading."""
    section = re.split(r"^##+ ", README.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.M)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, flags=re.M | re.S)


@pytest.fixture
def files(fresh: Folder) -> Folder:
    """A folder with the files that the examples name."""
    for name in ("report.pdf", "a.txt", "notes.txt", "Pictures/1.jpg", "website/index.html"):
        path = fresh.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"this is {name}\n")
    fresh.add_program("pg_dump", "echo 'create table t;'")
    return fresh


def test_the_first_command(fresh: Folder) -> None:
    """It does the main job. Here the package is installed already, and there is less to copy."""
    script = blocks("Two commands")[0]
    first, _, rest = script.partition("\n")
    assert first.startswith(INSTALL)
    assert first.endswith(" &&")
    shutil.copytree(
        REPOSITORY / "tests",
        fresh.path / "tests",
        ignore=shutil.ignore_patterns("__pycache__", "[b-z]*", "*.aeordb"),
    )
    shutil.copy(REPOSITORY / "tests" / "conftest.py", fresh.path / "tests")
    (fresh.path / "tests" / "link").symlink_to("__init__.py")
    ended = fresh.ok(rest)
    assert ended.lines[-1] == "What came out is what went in."
    assert "Export complete." in ended.lines
    assert "Patch created." in ended.lines
    assert ended.lines.count("HEAD has been promoted.") == 2
    assert_file(fresh.path / "demo" / "restored.aeordb")
    assert fresh.ok(rest).lines[-1] == "What came out is what went in."


def test_the_command_line(files: Folder) -> None:
    """What later lines name, `/docs/notes.txt` and others, is put in behind the first one."""
    (everyday,) = blocks("The command line")
    init, _, rest = everyday.partition("\n")
    files.ok(init)
    files.ok("aeordb put notes.txt a.txt /docs/; aeordb put a.txt /drafts/")
    ended = files.ok(rest)
    assert "this is notes.txt" in ended.lines
    assert (files.path / "report.pdf").read_text() == "this is report.pdf\n"
    assert (files.path / "restored" / "1.jpg").read_text() == "this is Pictures/1.jpg\n"
    (backups,) = blocks("Backup and restore")
    ended = files.ok(backups)
    assert ended.lines.count("HEAD has been promoted.") == 3
    listed = [files.ok(f"aeordb ls -R -D {name}").out for name in ("data.aeordb", "again.aeordb")]
    assert listed[0] == listed[1]
    assert len(list((files.path / "nightly").glob("backup-head-*.aeordb"))) == 1
    for name in ("data", "restored", "again"):
        assert_file(files.path / f"{name}.aeordb")


def test_the_library(files: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    (files.path / "big.mp4").write_bytes(bytes(range(256)) * 10_000)
    (code,) = blocks("The library", "python")
    monkeypatch.chdir(files.path)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert_file(files.path / "data.aeordb")
    assert_file(files.path / "full.aeordb")
