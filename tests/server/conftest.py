"""Servers for tests: one in a process of its own, and one in a thread with limits of one's own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import aeordb
from aeordb.server.run import Server, listen
from aeordb.server.settings import Limits, Settings
from tests.kit.rules import assert_file
from tests.kit.serving import Line, Serving

Address = tuple[str, int]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    """A server without keys over the new database `data.aeordb`; the file is checked afterwards."""
    path = tmp_path / "data.aeordb"
    with Serving(path, "--auth", "disabled") as serving:
        yield serving
    assert_file(path)


@pytest.fixture
def ask(served: Serving) -> Iterator[Line]:
    """A connection to that server."""
    with Line(served.address) as line:
        yield line


@pytest.fixture
def limited(tmp_path: Path) -> Callable[[Limits], "contextmanager[Address]"]:
    """Serves a new database with these limits in a thread; the address."""

    @contextmanager
    def serve(limits: Limits) -> Iterator[Address]:
        path = tmp_path / "limited.aeordb"
        backups = str(tmp_path / "backups")
        settings = Settings(str(path), port=0, backup_dir=backups, auth="disabled", limits=limits)
        started = threading.Event()
        with listen(settings) as sock, aeordb.open(path, "a") as db:
            server = Server(db, settings, sock, ready=started.set)
            thread = threading.Thread(target=server.run)
            address = sock.getsockname()[:2]
            thread.start()
            assert started.wait(30)
            try:
                yield address
            finally:
                server.stop()
                thread.join()
        assert_file(path)

    return serve
