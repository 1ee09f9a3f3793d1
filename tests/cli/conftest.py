"""A command line in this process, and a database to run it on."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aeordb.cli.main import run
from tests.kit.rules import assert_file


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Standard output by lines."""
        return self.out.splitlines()


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Runs a command line in an empty folder; its environment has no AEORDB_ variables."""
    for name in os.environ:
        if name.startswith("AEORDB_") and name != "AEORDB_FIXTURES":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def ok(cli: Cli) -> Cli:
    """Runs a command line that must succeed."""

    def call(*arguments: str | Path) -> Ran:
        ran = cli(*arguments)
        assert ran.code == 0, ran.err
        return ran

    return call


@pytest.fixture
def data(ok: Cli, tmp_path: Path) -> Iterator[Path]:
    """`data.aeordb`, new, with three files and a symlink, and a snapshot of them, `v1`.

    Checked by the rules when the test is done.
    """
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"alpha\n")
    (source / "docs" / "b.txt").write_bytes(b"beta\n")
    (source / "docs" / "empty").write_bytes(b"")
    (source / "link").symlink_to("docs/b.txt")
    ok("init")
    ok("put", "-r", "source", "/")
    ok("snapshot", "create", "v1")
    yield tmp_path / "data.aeordb"
    assert_file(tmp_path / "data.aeordb")
