"""The other side of a child: reads what it acknowledges, and kills it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from aeordb.testing.scenario import State
from tests.kills.child import Orders
from tests.kills.history import History
from tests.kit.child import ENVIRONMENT


class Child:
    """A process that obeys orders, with what it acknowledged so far; killed at the latest when its
    `with` block ends."""

    def __init__(self, orders: Orders) -> None:
        self.acknowledged = 0
        self.killed = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(orders.encode())
        self.process.stdin.close()
        self._acks = self.process.stdout.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.end()

    def read(self, count: int) -> None:
        """Reads acknowledgements until there are so many, or the child has ended."""
        while self.acknowledged < count:
            got = os.read(self._acks, count - self.acknowledged)
            if not got:
                break
            self.acknowledged += len(got)

    def read_ready(self) -> int:
        """Reads what is acknowledged already, and waits for nothing; how much that is in all."""
        os.set_blocking(self._acks, False)
        try:
            while got := os.read(self._acks, 4096):
                self.acknowledged += len(got)
        except BlockingIOError:
            pass
        finally:
            os.set_blocking(self._acks, True)
        return self.acknowledged

    def end(self) -> None:
        """Waits for its end; whether it was `killed`. It must not have ended in another way."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if self.process.stdout.closed:
            return
        while got := os.read(self._acks, 4096):
            self.acknowledged += len(got)
        said = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        code = self.process.wait()
        assert code in (0, -signal.SIGKILL), said
        self.killed = code != 0


def states_of(path: Path, history: History) -> list[State]:
    """The states after so many acknowledgements, for a child that is about to start."""
    before = history.states[0] if path.exists() else None
    return [before, *history.states]
