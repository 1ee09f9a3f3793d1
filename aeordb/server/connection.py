"""One connection: uvicorn's, with a deadline for the headers and a bound on how many there are."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aeordb.server.errors import RETRY_SECONDS
from aeordb.server.settings import Limits

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


class Connection(HttpToolsProtocol):
    """One connection. A request finds it as `connection` in its scope's state."""

    limits: Limits
    """Set on a subclass for each server, since uvicorn makes the instances."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "connection": self}
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._in_head = False
        self._in_body = False
        # What came last are bytes of headers alone.
        self._only_head = True
        # Of the headers that come: the bytes that the parser told of, and all of them.
        self._told_bytes = self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time in which the headers must come, or refuses one connection too many."""
        super().connection_made(transport)
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
        self._only_head = not self._in_body
        self._feed(data)
        if self._in_head and self._only_head:
            # The parser tells of a header only once it is whole.
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.header_bytes:
                self._refuse(_INVALID)
        if self._deadline is not None and not self._is_idle():
            self._stop_deadline()

    def on_message_begin(self) -> None:
        """The first byte of a request is there."""
        super().on_message_begin()
        self._in_head = True
        self._told_bytes = self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the target is there."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is there."""
        self._count(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request can be answered."""
        self._in_head = self._only_head = False
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self._in_body = True

    def on_message_complete(self) -> None:
        """The body is there."""
        if not self.parser.should_upgrade():
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out; a part of the next request may be here already."""
        super().on_response_complete()
        if self._is_idle() and self._deadline is None and self._in_head:
            self._start_deadline()

    def drop(self) -> None:
        """Ends the connection at once; what is not sent yet is thrown away, also by the system."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def shutdown(self) -> None:
        """The server stops: an idle connection ends now, another after its answer."""
        self._stop_deadline()
        if not self._refused:
            super().shutdown()

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            method = self.parser.get_method()
            if method == b"CONNECT":
                self._refuse(_INVALID)
                return
            # The parser takes the body for the other protocol. We know none: the same request
            # without that wish.
            self.parser = httptools.HttpRequestParser(self)
            self._feed(self._head_without_upgrade(method) + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(_INVALID)

    def _head_without_upgrade(self, method: bytes) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (method, self.url)]
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(
                    word for word in value.split(b",") if word.strip().lower() != b"upgrade"
                )
            if name != b"upgrade":
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _count(self, length: int) -> None:
        self._told_bytes += length
        if self._told_bytes > self.limits.header_bytes:
            raise ValueError("the headers are too long")

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
        if not self._is_idle() and not self._in_body:
            # It was the next request: the one before gets its answer.
            self.cycle.keep_alive = False
            return
        if self._is_idle():
            self.transport.write(answer)
        self.transport.close()
        # One that does not take its answer is dropped all the same.
        self.loop.call_later(self.limits.body_seconds, self.drop)
