"""The process: sockets, signals, and an end at which everything acknowledged is on disk."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import TYPE_CHECKING, Final

import uvicorn

from aeordb.errors import AeorDBError
from aeordb.server import logs
from aeordb.server.app import create_app
from aeordb.server.connection import Connection
from aeordb.server.priority import hurry
from aeordb.server.settings import Settings

if TYPE_CHECKING:
    from aeordb import Database

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# Threads give way to the loop sooner than Python's 5 ms: one that exports shall not delay requests.
_SWITCH_SECONDS: Final = 0.0005
_OTHER_FILES: Final = 512


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say. Raises UsageError, AeorDBError."""
    settings.check()
    host = settings.host.strip("[]")
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AeorDBError(f"cannot listen on {host}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(4096)
    except OSError as error:
        sock.close()
        raise AeorDBError(
            f"cannot listen on {host}, port {settings.port}: {error.strerror}",
            hint="Another server may be running there; --port chooses another port.",
        ) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server:
    """Serves an open database until SIGTERM, SIGINT or :meth:`stop`.

    No new connection is taken from then on; those that are idle end at once, requests get
    `stop_seconds`. A second signal does not wait for them. What a request began to commit is
    committed in any case.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        sock: socket.socket,
        *,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`sock` listens (:func:`listen`); `ready` is called once the server answers."""
        limits = settings.limits
        config = uvicorn.Config(
            create_app(database, settings),
            http=type("Connection", (Connection,), {"limits": limits}),
            ws="none",
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(limits.idle_seconds),
            timeout_graceful_shutdown=int(limits.stop_seconds),
        )
        self._settings = settings
        self._sock = sock
        self._server = _Server(config, ready)

    def run(self) -> None:
        """Serves; returns when all requests have ended."""
        logs.set_up(self._settings.log_format)
        _allow_files(self._settings.limits.connections)
        sys.setswitchinterval(_SWITCH_SECONDS)
        hurry()
        self._server.run([self._sock])

    def stop(self) -> None:
        """Has :meth:`run` end; from any thread."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server, which ends well when it is told to end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; connections whose time is over are dropped, not waited for."""
        await super().shutdown(sockets)
        self._drop_all()
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Ends on a signal; unlike uvicorn's own, it does not send itself the signal again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self._on_signal) for sig in _SIGNALS}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if self.should_exit:
            # No longer waiting for clients; the end of the lifespan still commits.
            self.config.timeout_graceful_shutdown = 0
            self._drop_all()
        self.should_exit = True

    def _drop_all(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.drop()


def _allow_files(connections: int) -> None:
    """Raises this process's limit of open files to what the connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
