"""Bodies of requests: small ones in memory, others in a file that has no name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, WithJsonSchema
from starlette.requests import ClientDisconnect

from aeordb.server.errors import ClientGoneError, HTTPError, invalid_request

if TYPE_CHECKING:
    from fastapi import Request

    from aeordb.server.settings import Limits
    from aeordb.server.threads import Threads

_IN_MEMORY: Final = 1 << 20
_BLOCK: Final = 1 << 20


class Memory:
    """What all bodies together may take of memory."""

    def __init__(self, limit: int) -> None:
        self.free = limit

    def take(self, count: int) -> bool:
        """Takes so many bytes, if they are free."""
        if count > self.free:
            return False
        self.free -= count
        return True

    def give(self, count: int) -> None:
        """Gives them back."""
        self.free += count


class Body:
    """A body that has come: `data` in memory, or `file`, which stands at its end."""

    def __init__(self, memory: Memory) -> None:
        self.size = 0
        self.data: bytes | bytearray = b""
        self.file: BinaryIO | None = None
        self._memory = memory
        self._taken = 0
        # The handler, and a call that goes on when its client is gone.
        self._users = 1

    def add(self, block: bytes) -> bool:
        """Takes a block into memory; False if there is no room for it."""
        if self.size + len(block) > _IN_MEMORY or not self._memory.take(len(block)):
            return False
        self._taken += len(block)
        if not self.data:
            self.data = block
        else:
            if isinstance(self.data, bytes):
                self.data = bytearray(self.data)
            self.data += block
        self.size += len(block)
        return True

    def share(self) -> None:
        """Keeps the body until another :meth:`close`."""
        self._users += 1

    def close(self) -> None:
        """Lets go of it."""
        self._users -= 1
        if self._users:
            return
        self._memory.give(self._taken)
        self._taken, self.data = 0, b""
        if self.file is not None:
            self.file.close()


@asynccontextmanager
async def receive(request: Request, folder: str) -> AsyncIterator[Body]:
    """The whole body of a request; `folder` is on the disk for those that memory has no room for.

    Raises HTTPError 413 before reading what says that it is too long, and ClientGoneError.
    """
    state = request.app.state
    limits: Limits = state.settings.limits
    threads: Threads = state.threads
    check_length(request, limits.upload_bytes)
    body = Body(state.memory)
    gathered = bytearray()
    try:
        async for block in blocks(request):
            length = body.size + len(gathered) + len(block)
            if limits.upload_bytes is not None and length > limits.upload_bytes:
                raise too_large(limits.upload_bytes)
            if body.file is None:
                if body.add(block):
                    continue
                body.file = await threads.run(new_file, folder)
                gathered += body.data
                body.size, body.data = 0, b""
            gathered += block
            if len(gathered) >= _BLOCK:
                await threads.run(_write, body, gathered)
                gathered = bytearray()
        if body.file is not None:
            await threads.run(_write, body, gathered)
            body.file.seek(0)
        yield body
    finally:
        body.close()


async def blocks(request: Request) -> AsyncIterator[bytes]:
    """A request's body as it comes. Raises ClientGoneError."""
    try:
        async for block in request.stream():
            if block:
                yield block
    except ClientDisconnect:
        raise ClientGoneError from None


def new_file(folder: str) -> BinaryIO:
    """A file without a name: nothing of it is left, however the server ends."""
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder, buffering=0))


def _write(body: Body, data: bytearray) -> None:
    assert body.file is not None
    view = memoryview(data)
    while view:
        count = body.file.write(view)
        view = view[count:]
        body.size += count


def check_length(request: Request, limit: int | None) -> None:
    """Refuses a body that says it is too long, before a byte of it is read."""
    length = request.headers.get("content-length", "")
    if limit is not None and length.isdecimal() and int(length) > limit:
        raise too_large(limit)


def too_large(limit: int) -> HTTPError:
    """The error for a body over a limit."""
    # What is left of the body is not read: the connection cannot go on.
    return HTTPError(413, f"the body has more than {limit} bytes", headers={"Connection": "close"})


class Model(BaseModel):
    """A JSON body: what it does not know is refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


M = TypeVar("M", bound=BaseModel)


def such_as(*examples: Any, pattern: str | None = None) -> Any:
    """What a field of a body looks like, for the description alone: the library says what is
    wrong with a value better than a pattern can."""
    shown: dict[str, Any] = {"examples": list(examples)}
    return WithJsonSchema({"type": "string", **shown, **({"pattern": pattern} if pattern else {})})


async def json_body(request: Request, model: type[M]) -> M:
    """A JSON body, whatever the request calls it: `curl -d` calls all of them forms.

    Raises UsageError, HTTPError 413.
    """
    limit = request.app.state.settings.limits.json_bytes
    check_length(request, limit)
    data = bytearray()
    async for block in blocks(request):
        data += block
        if len(data) > limit:
            raise too_large(limit)
    try:
        return model.model_validate_json(bytes(data) or b"{}")
    except ValidationError as error:
        raise invalid_request(error.errors(include_input=False, include_url=False)) from None


def takes(model: type[BaseModel], *, or_file: bool = False) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body `json_body` reads; `or_file`: or any bytes."""
    content: dict[str, Any] = {"application/json": {"schema": model.model_json_schema()}}
    if or_file:
        schema = {"type": "string", "format": "binary"}
        content["application/octet-stream"] = {"schema": schema}
    required = any(field.is_required() for field in model.model_fields.values())
    return {"requestBody": {"required": required, "content": content}}


def folder_of(path: str) -> str:
    """The folder that a file lies in, symlinks followed."""
    return os.path.dirname(os.path.realpath(path))
