"""The guard before every route: ids, deadlines, overload, and one answer for whatever goes wrong.

Deadlines are watched by one task that looks at all requests once a second: a timer for each read
would cost more than the read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from typing import TYPE_CHECKING, Any, Final

from aeordb.server.errors import BusyError, ClientGoneError, HTTPError, answer, from_fault
from aeordb.server.logs import log_request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from aeordb.server.settings import Limits

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOOK_SECONDS: Final = 1.0


class Watched:
    """One request: what it waits for, and since when (seconds of the loop)."""

    __slots__ = ("began", "bytes_in", "late", "started", "status", "task", "waiting")

    def __init__(self, task: asyncio.Task[Any], now: float) -> None:
        self.task = task
        self.began = now
        self.waiting: float | None = None
        self.bytes_in = 0
        self.late = False
        self.started = False
        self.status = 0


class Guard:
    """The outermost application."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.requests: set[Watched] = set()
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or answers in its place."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        watched = Watched(task, loop.time())
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        id_header = (b"x-request-id", request_id.encode())

        async def taken() -> Message:
            watched.waiting = loop.time()
            message = await receive()
            watched.waiting = None
            if message["type"] == "http.request":
                watched.bytes_in += len(message.get("body", b""))
                if not message.get("more_body", False):
                    # From here on a wait is one for the client's end: it may take its time.
                    watched.bytes_in = -1
            return message

        async def given(message: Message) -> None:
            if message["type"] == "http.response.start":
                watched.started = True
                watched.status = message["status"]
                message["headers"] = [*message.get("headers", ()), id_header]
            watched.waiting, watched.bytes_in = loop.time(), -1
            await send(message)
            watched.waiting = None

        self.requests.add(watched)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            if len(self.requests) > self.limits.requests:
                raise BusyError("the server has too many requests at once")
            await self.app(scope, _Receive(taken, receive, watched), given)
        except ClientGoneError:
            watched.status = watched.status or 499
        except asyncio.CancelledError:
            # Too slow, or at the end of the time that a server that stops gives.
            task.uncancel()
            error = _late() if watched.late else BusyError("the server stops")
            await self._fail(scope, receive, given, watched, error)
        except Exception as error:
            await self._fail(scope, receive, given, watched, error)
        finally:
            self.requests.discard(watched)
            log_request(scope, watched.status, loop.time() - watched.began, request_id)

    async def _fail(
        self, scope: Scope, receive: Receive, send: Send, watched: Watched, error: Exception
    ) -> None:
        response = answer(from_fault(error))
        if watched.started:
            # Half an answer must not pass for a whole one.
            abort(scope)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(response(scope, receive, send), self.limits.body_seconds)
            return
        abort(scope)

    async def _look(self) -> None:
        """Stops the requests whose clients are too slow, until there is none."""
        loop = asyncio.get_running_loop()
        while self.requests:
            await asyncio.sleep(_LOOK_SECONDS)
            now = loop.time()
            for watched in list(self.requests):
                if watched.waiting is not None and not watched.late and self._is_late(watched, now):
                    watched.late = True
                    watched.task.cancel()

    def _is_late(self, watched: Watched, now: float) -> bool:
        assert watched.waiting is not None
        if now - watched.waiting > self.limits.body_seconds:
            return True
        if watched.bytes_in < 0:
            return False
        allowed = self.limits.body_seconds + watched.bytes_in / self.limits.body_rate
        return now - watched.began > allowed


class _Receive:
    """What a request reads its body with; waiting for the client's end is not watched."""

    __slots__ = ("_plain", "_watched", "_with_deadline")

    def __init__(self, with_deadline: Receive, plain: Receive, watched: Watched) -> None:
        self._with_deadline = with_deadline
        self._plain = plain
        self._watched = watched

    async def __call__(self) -> Message:
        if self._watched.bytes_in < 0:
            return await self._plain()
        return await self._with_deadline()


def _late() -> HTTPError:
    headers = {"Connection": "close"}
    return HTTPError(408, "the request took too long to come", headers=headers)


def _request_id(scope: Scope) -> str:
    """The id that the client gave, if it is a plain word; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if _ID.fullmatch(text):
                return str(text)
    return f"{random.getrandbits(64):016x}"  # to tell requests apart; it is no secret


def abort(scope: Scope) -> None:
    """Drops the connection, if the server that runs us tells us of it."""
    connection = scope.get("state", {}).get("connection")
    if connection is not None:
        connection.drop()
