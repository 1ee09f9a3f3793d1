"""A server in a process of its own, for the length of a test, and a client of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import aeordb

_NEEDED = ("fastapi", "uvicorn", "jwt", "cronsim", "prometheus_client")
_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What a server answered; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running server: its address (`http://127.0.0.1:PORT`), its file, and its root key."""

    url: str
    path: Path
    root_key: str = field(repr=False)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """Sends a request, with the root key unless another `key` is given ("": with none).

        `target` begins with a slash and is sent as it is; `json` becomes the body. An answer of
        any status is an answer.
        """
        given = {"Content-Type": "application/octet-stream", **(headers or {})}
        if json is not None:
            body = _dumps(json)
            given["Content-Type"] = "application/json"
        token = self.root_key if key is None else key
        if token:
            given["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + target, data=body, headers=given, method=method)
        # No proxy of the environment: it is this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read())


def _dumps(value: object) -> bytes:
    return json.dumps(value).encode()


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)


def missing_module() -> str | None:
    """The first module that a server needs and that is not installed, or None."""
    return next((name for name in _NEEDED if find_spec(name) is None), None)


@contextmanager
def serve(path: Path) -> Iterator[Server]:
    """Runs `aeordb start` over a database, made here with a root key if it is not there.

    Its backups go to `backups` beside it. Raises RuntimeError if the server does not start, or
    does not end well.
    """
    with aeordb.open(path, "a") as database:
        root_key = database.create_root_key()
    command = [sys.executable, "-m", "aeordb", "start", "-D", str(path), "--json", "--port", "0"]
    command += ["--backup-dir", str(path.parent / "backups")]
    with path.with_suffix(".log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, cwd=path.parent, env=_environment()
        )
        try:
            assert process.stdout is not None
            yield Server(ready(process.stdout, log)["url"], path, root_key)
        finally:
            code = end(process)
        if code != 0:
            raise RuntimeError(f"the server ended with {code}: {text_of(log)}")


def ready(stdout: IO[bytes], log: IO[bytes]) -> dict[str, str]:
    """What the server says once it listens: one JSON object, over several lines or in one.

    Raises RuntimeError with the log if it ends before.
    """
    text = ""
    while line := stdout.readline().decode():
        text += line
        with contextlib.suppress(ValueError):
            return dict(json.loads(text)["result"])
    raise RuntimeError(f"the server did not start: {text}{text_of(log)}")


def end(process: subprocess.Popen[bytes]) -> int:
    """Asks a server to end, and kills one that does not; its exit code."""
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode


def text_of(log: IO[bytes]) -> str:
    """What a server has written to its log."""
    log.seek(0)
    return log.read().decode(errors="replace")


def _environment() -> dict[str, str]:
    """This process's, without what would set options, and with the aeordb that runs here."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEORDB_")}
    here = str(Path(aeordb.__file__).parents[1])
    known = clean.get("PYTHONPATH")
    clean["PYTHONPATH"] = os.pathsep.join([here, known] if known else [here])
    clean["PYTHONSAFEPATH"] = "1"
    return clean
