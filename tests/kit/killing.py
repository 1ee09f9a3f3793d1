"""Processes that kill themselves at a chosen file call."""

import signal
import subprocess
import sys

from tests.kit.child import ENVIRONMENT

_CHILD = """
import os, signal, sys
import aeordb
from aeordb.storage.datafile import OsLayer, use_layer

calls, last, sys.argv[1:] = 0, int(sys.argv[2]), sys.argv[3:]


class Layer(OsLayer):
    def _count(self):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self, path, flags, mode=0o644):
        self._count()
        return super().open(path, flags, mode)

    def pwrite(self, fd, data, offset):
        self._count()
        return super().pwrite(fd, data, offset)

    def fdatasync(self, fd):
        self._count()

    def truncate(self, fd, size):
        self._count()
        super().truncate(fd, size)

    def rename_noreplace(self, source, target):
        self._count()
        super().rename_noreplace(source, target)

    def replace(self, source, target):
        self._count()
        super().replace(source, target)

    def unlink(self, path):
        self._count()
        super().unlink(path)

    def fsync_folder(self, path):
        self._count()


with use_layer(Layer()):
    exec(%r, {"aeordb": aeordb, "sys": sys})
print(calls)
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
