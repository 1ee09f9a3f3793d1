"""Answers that are sent a block at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from aeordb.server.errors import ClientGoneError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aeordb.server.threads import Threads
    from aeordb.server.uploads import Memory

BLOCK: Final = 256 << 10
# While there is memory for it: each block costs two changes of thread.
_LARGE: Final = 1 << 20
_AT_ONCE: Final = 3  # read ahead, being sent, and what the connection holds


class Stream(Response):
    """`length` bytes that `read` gives, a block at a time, read on other threads.

    `read(count)` gives at most so many bytes, and none only at the end. `close` is called once.
    """

    def __init__(
        self,
        threads: Threads,
        memory: Memory,
        read: Callable[[int], bytes],
        length: int,
        *,
        close: Callable[[], object],
        status: int = 200,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(None, status, {**headers, "content-length": str(length)})
        self._threads = threads
        self._memory = memory
        self._block = BLOCK
        self._read = read
        self._left = length
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it. What cannot be read ends the connection: no half answer passes for a whole."""
        if self._left > BLOCK and self._memory.take(_AT_ONCE * _LARGE):
            self._block = _LARGE
        gone = asyncio.create_task(_until_gone(receive))
        ahead: asyncio.Future[bytes] | None = None
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if not self._left:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            ahead = self._next()
            while ahead is not None:
                block = await ahead
                if gone.done():
                    raise ClientGoneError
                if not block:
                    raise EOFError("a file is shorter than it was")
                self._left -= len(block)
                # The next block is read while this one is on its way.
                ahead = self._next() if self._left else None
                await send(
                    {"type": "http.response.body", "body": block, "more_body": self._left > 0}
                )
        finally:
            gone.cancel()
            if self._block == _LARGE:
                self._memory.give(_AT_ONCE * _LARGE)
            if ahead is not None:
                # A thread may still be reading; the file is closed behind it.
                await asyncio.wait([ahead])
                if not ahead.cancelled():
                    ahead.exception()
            await self._threads.run(self._close)

    def _next(self) -> asyncio.Future[bytes]:
        count = min(self._block, self._left)
        return asyncio.ensure_future(self._threads.run(self._read, count))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
