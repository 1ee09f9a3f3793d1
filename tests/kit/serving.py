"""A server in a process of its own, and a client that sends exactly the bytes it is told to."""

import contextlib
import http.client
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aeordb.testing.server import Answer, end, ready, text_of
from tests.kit.child import ENVIRONMENT


class Serving:
    """`aeordb start` over a database, from the start of its `with` block to the end.

    `ready` is what it said when it was ready, `log` what it wrote to standard error, once it ended.
    `program` is the command that runs `aeordb`.
    """

    def __init__(
        self,
        database: Path,
        *options: str,
        program: Sequence[str] = (sys.executable, "-m", "aeordb"),
    ) -> None:
        self._command = [*program, "start", "-D", str(database)]
        self._command += ["--json", "--port", "0", "--backup-dir", str(database.parent / "backups")]
        self._command += options
        self._folder = database.parent
        self.log = ""

    def __enter__(self) -> Self:
        self._log = (self._folder / "server.log").open("w+b")
        clean = {name: value for name, value in ENVIRONMENT.items() if name[:7] != "AEORDB_"}
        self.process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=clean,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        try:
            self.ready = ready(self.process.stdout, self._log)
        except RuntimeError as error:
            self._end()
            raise AssertionError(str(error)) from None
        except BaseException:
            self._end()
            raise
        self.url: str = self.ready["url"]
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        self.address = (host.strip("[]"), int(port))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code = self._end()
        assert code == 0, f"the server ended with {code}: {self.log}"

    def _end(self) -> int:
        code = end(self.process)
        self.log = text_of(self._log)
        self._log.close()
        return code


class Line:
    """A kept connection to a server, made anew where the server closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._sock: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def __call__(
        self, method: str, target: bytes, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Sends a request with this very target, and reads its answer."""
        if self._sock is None:
            self._sock = socket.create_connection(self._address, timeout=60)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = [f"Host: {self._address[0]}:{self._address[1]}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method in ("PUT", "POST", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        head = b"%s %s HTTP/1.1\r\n" % (method.encode(), target)
        # The server may answer before it took all, and close.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._sock.sendall(head + "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        response = http.client.HTTPResponse(self._sock, method=method)
        try:
            response.begin()
            data = response.read()
        except OSError:
            self.close()
            raise
        fields = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        return Answer(response.status, fields, data)
