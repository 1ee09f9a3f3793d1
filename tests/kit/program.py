"""The program `aeordb` for shell scripts: a fresh folder in which it can be called by its name."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import aeordb


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard output by lines."""
        return self.out.splitlines()


@dataclass(frozen=True)
class Folder:
    """A folder in which scripts run, with `aeordb` on their PATH and no variable of its own."""

    path: Path
    bin: Path

    def run(self, script: str, **environment: str) -> Ended:
        """Runs a script with `sh`, which stops at its first failure."""
        clean = {name: value for name, value in os.environ.items() if name[:7] != "AEORDB_"}
        ran = subprocess.run(
            ["sh", "-euc", script],
            cwd=self.path,
            env={**clean, "PATH": f"{self.bin}:{os.environ['PATH']}", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)

    def ok(self, script: str, **environment: str) -> Ended:
        """Runs a script that must succeed, and say nothing on standard error."""
        ended = self.run(script, **environment)
        assert (ended.code, ended.err) == (0, ""), ended
        return ended

    def inner(self, name: str) -> "Folder":
        """A folder in this one, made if it is not there."""
        (self.path / name).mkdir(exist_ok=True)
        return Folder(self.path / name, self.bin)

    def add_program(self, name: str, script: str) -> None:
        """Puts another program on the PATH."""
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)


def make_folder(path: Path) -> Folder:
    """A new folder at `path`, with the very package that the tests have as `aeordb`."""
    (path / "bin").mkdir(parents=True)
    (path / "work").mkdir()
    folder = Folder(path / "work", path / "bin")
    package = Path(aeordb.__file__).parents[1]
    command = f"PYTHONPATH='{package}' exec '{sys.executable}' -m aeordb \"$@\""
    folder.add_program("aeordb", command)
    return folder
