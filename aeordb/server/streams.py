"""Answers that are sent a block at a time."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from starlette.responses import Response

from aeordb.server.errors import ClientGoneError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aeordb.server.threads import Threads
    from aeordb.server.uploads import Memory
    from aeordb.storage.protocols import Buffer

BLOCK: Final = 256 << 10
# While there is memory for it: each block costs two changes of thread.
_LARGE: Final = 2 << 20
_AT_ONCE: Final = 2
_MEMORY: Final = (_AT_ONCE + 2) * _LARGE  # loaded ahead, being sent, and what the connection holds


class Source(Protocol):
    """What an answer is made of."""

    def loads(self, size: int) -> Iterator[Callable[[], Buffer]]:
        """Calls that give the blocks of about `size` bytes in order; other threads make them, some
        at the same time. None of them gives no bytes but at the end."""

    def take(self, block: Buffer) -> Buffer:
        """What is sent of the next block, in order."""


class WholeFile:
    """A file on disk, from where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._fd = file.fileno()
        self._offset = file.tell()

    def loads(self, size: int) -> Iterator[Callable[[], Buffer]]:
        """Endless."""
        for offset in count(self._offset, size):
            yield partial(os.pread, self._fd, size, offset)

    def take(self, block: Buffer) -> Buffer:
        """All of it."""
        return block


class Stream(Response):
    """`length` bytes of a source. `close` is called once, when no thread reads any more."""

    def __init__(
        self,
        threads: Threads,
        memory: Memory,
        source: Source,
        length: int,
        *,
        close: Callable[[], object] = lambda: None,
        status: int = 200,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(None, status, {**headers, "content-length": str(length)})
        self._threads = threads
        self._memory = memory
        self._source = source
        self._left = length
        self._close = close
        self._ahead: deque[asyncio.Future[Buffer]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it. What cannot be read ends the connection: no half answer passes for a whole."""
        large = self._left > BLOCK and self._memory.take(_MEMORY)
        loads = self._source.loads(_LARGE if large else BLOCK)
        gone = asyncio.create_task(_until_gone(receive))
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
            self._load_ahead(loads, _AT_ONCE if large else 1)
            while self._left:
                block = self._source.take(await self._next())
                if gone.done():
                    raise ClientGoneError
                if not block:
                    raise EOFError("a file is shorter than it was")
                block = block[: self._left]
                self._left -= len(block)
                # The next ones are read while this one is on its way.
                self._load_ahead(loads, _AT_ONCE if large else 1)
                await send(
                    {"type": "http.response.body", "body": block, "more_body": self._left > 0}
                )
        finally:
            gone.cancel()
            if large:
                self._memory.give(_MEMORY)
            # Threads may still be reading; the file is closed behind them.
            if self._ahead:
                await asyncio.wait(self._ahead)
            for future in self._ahead:
                if not future.cancelled():
                    future.exception()
            await self._threads.run(self._close)

    def _load_ahead(self, loads: Iterator[Callable[[], Buffer]], limit: int) -> None:
        while len(self._ahead) < limit and self._left and (load := next(loads, None)):
            self._ahead.append(asyncio.ensure_future(self._threads.run(load)))

    async def _next(self) -> Buffer:
        return await self._ahead.popleft() if self._ahead else b""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
