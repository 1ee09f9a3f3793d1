"""One connection: uvicorn's, with a deadline for the headers and a bound on how many there are."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import suppress
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from aeordb.server.errors import RETRY_SECONDS
from aeordb.server.settings import Limits

_HELD_MAX: Final = 64 << 10
# struct linger: on, no seconds.
_LINGER_NOT: Final = (1).to_bytes(4, sys.byteorder) + bytes(4)


def _raw(status: str, code: str, message: str, more: str = "") -> bytes:
    body = json.dumps({"error": {"code": code, "message": message}})
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{more}Connection: close\r\n\r\n{body}"
    ).encode()


_BUSY: Final = _raw(
    "503 Service Unavailable",
    "failed",
    "the server has too many connections",
    f"Retry-After: {RETRY_SECONDS}\r\n",
)
_INVALID: Final = _raw("400 Bad Request", "usage", "this is no valid HTTP request")
_LATE: Final = _raw("408 Request Timeout", "usage", "the request took too long to come")


class Cork:
    """A transport that sends the parts of a small answer together: each send is a system call, in
    which another thread takes over."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._length = 0

    def write(self, data: bytes) -> None:
        """Sends, at the latest once the loop has nothing else to do."""
        if not data:
            return
        if self._length + len(data) > _HELD_MAX:
            self._flush()
            self._transport.write(data)
            return
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._length += len(data)

    def close(self) -> None:
        """Sends what is held, and closes."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """As the transport's."""
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._held:
            held, self._held, self._length = self._held, [], 0
            self._transport.write(b"".join(held))


class Connection(H11Protocol):
    """One connection. A request finds it as `connection` in its scope's state."""

    limits: Limits
    """Set on a subclass for each server, since uvicorn makes the instances."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "connection": self}
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time in which the headers must come, or refuses one connection too many."""
        super().connection_made(cast(asyncio.Transport, Cork(transport, self.loop)))
        if len(self.connections) > self.limits.connections:
            self._refuse(_BUSY)
        else:
            self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what waits."""
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the client's; headers that are complete stop the time."""
        if self._refused:
            return
        if self._deadline is None and self._is_idle():
            self._start_deadline()
        super().data_received(data)
        if self._deadline is not None and not self._is_idle():
            self._stop_deadline()

    def on_response_complete(self) -> None:
        """An answer is out; a part of the next request may be here already."""
        super().on_response_complete()
        if self._is_idle() and self._deadline is None and self.conn.trailing_data[0]:
            self._start_deadline()

    def drop(self) -> None:
        """Ends the connection at once; what is not sent yet is thrown away, also by the system."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP."""
        self._refuse(_INVALID)

    def shutdown(self) -> None:
        """The server stops: an idle connection ends now, another after its answer."""
        self._stop_deadline()
        if not self._refused:
            super().shutdown()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.limits.header_seconds, self._expire)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self._is_idle():
            self._refuse(_LATE)

    def _refuse(self, answer: bytes) -> None:
        self._refused = True
        self._stop_deadline()
        if self.transport.is_closing():
            return
        if self._is_idle():
            self.transport.write(answer)
        self.transport.close()
        # One that does not take its answer is dropped all the same.
        self.loop.call_later(self.limits.body_seconds, self.drop)
