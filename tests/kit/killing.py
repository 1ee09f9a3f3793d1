"""Processes that are killed at a chosen moment: by themselves at a file call, or from outside."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from aeordb.storage.datafile import Bytes, OsLayer, use_layer
from tests.kit.child import ENVIRONMENT


class KillingLayer(OsLayer):
    """The process kills itself at the call number `last` (from 1; 0: never), `calls` counts them.

    Instead of that call; `torn`: after half of what it was to write. Nothing is synced: a process
    that is killed leaves what it wrote to the system.
    """

    def __init__(self, last: int, *, torn: bool = False) -> None:
        self.calls = 0
        self._last = last
        self._torn = torn

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self._count()
        return super().open(path, flags, mode)

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        if self._torn and self.calls + 1 == self._last:
            super().pwrite(fd, bytes(data)[: len(data) // 2], offset)
        self._count()
        return super().pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        self._count()

    def truncate(self, fd: int, size: int) -> None:
        self._count()
        super().truncate(fd, size)

    def punch(self, fd: int, offset: int, length: int) -> None:
        self._count()
        super().punch(fd, offset, length)

    def mkdir(self, path: str) -> None:
        self._count()
        super().mkdir(path)

    def rename_noreplace(self, source: str, target: str) -> None:
        self._count()
        super().rename_noreplace(source, target)

    def replace(self, source: str, target: str) -> None:
        self._count()
        super().replace(source, target)

    def unlink(self, path: str) -> None:
        self._count()
        super().unlink(path)

    def fsync_folder(self, path: str) -> None:
        self._count()


_CHILD = """
import sys
import aeordb
from aeordb.storage.datafile import use_layer
from tests.kit.killing import KillingLayer

layer, sys.argv[1:] = KillingLayer(int(sys.argv[2])), sys.argv[3:]
with use_layer(layer):
    exec(%r, {"aeordb": aeordb, "sys": sys})
print(layer.calls)
"""


def killed_at(call: int, code: str, *arguments: object) -> int | None:
    """Runs `code` in a process that kills itself at its file call number `call` (from 1).

    `arguments` are its sys.argv[1:]. None if it was killed, else how many calls it made.
    """
    process = subprocess.run(
        [sys.executable, "-c", _CHILD % code, "-", str(call), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    if process.returncode == -signal.SIGKILL:
        return None
    assert process.returncode == 0, process.stderr
    return int(process.stdout)


def program(last: int = 0, *, torn: bool = False) -> list[str]:
    """The command `aeordb`; with `last` it kills itself at that call (:class:`KillingLayer`)."""
    if not last:
        return [sys.executable, "-m", "aeordb"]
    return [sys.executable, "-m", "tests.kit.killing", str(last), str(int(torn))]


def writes_of(process: "subprocess.Popen[bytes]") -> int | None:
    """How many write calls of a process the system has counted; None where it does not tell."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{process.pid}/io").read_text()
        return int(text.partition("syscw:")[2].split()[0])
    return None


def wait_for_writes(process: "subprocess.Popen[bytes]", count: int) -> None:
    """Returns at once when a process has made so many more write calls, or has ended."""
    before = writes_of(process)
    while process.poll() is None:
        now = writes_of(process)
        if before is None or now is None or now >= before + count:
            break


def main() -> int:
    """Runs the program with the layer."""
    from aeordb.cli.main import main as run

    last, torn, *arguments = sys.argv[1:]
    with use_layer(KillingLayer(int(last), torn=torn == "1")):
        return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
