"""The server's application called in this process, on one event loop of its own."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

import aeordb
from aeordb.server.app import create_app
from aeordb.server.settings import Settings

T = TypeVar("T")
EPOCH = 1_800_000_000_000


class Clock:
    """A clock that tests set; milliseconds."""

    def __init__(self, now: int = EPOCH) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class App:
    """An application over a database, with a client; ends with its `with` block."""

    def __init__(self, database: aeordb.Database, clock: Clock | None = None, **named: Any) -> None:
        folder = os.path.join(os.path.dirname(database.path), "backups")
        settings = Settings(**{"database": database.path, "backup_dir": folder, **named})
        self.app = (
            create_app(database, settings, clock) if clock else create_app(database, settings)
        )
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.run(self._lifespan.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(lambda: self._lifespan.__aexit__(kind, error, trace))
        self._runner.close()

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Runs something on the application's loop."""

        async def whole() -> T:
            return await call()

        return self._runner.run(whole())

    def __call__(
        self, method: str, url: str, key: str | None = None, **named: Any
    ) -> httpx.Response:
        """One request, with a key or token if one is given."""
        return self.together([(method, url, key, named)])[0]

    def together(
        self, requests: list[tuple[str, str, str | None, dict[str, Any]]]
    ) -> list[httpx.Response]:
        """Requests that run at the same time."""

        async def send() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:6830"
            ) as client:
                return await asyncio.gather(
                    *(
                        client.request(
                            method,
                            url,
                            **{
                                **named,
                                "headers": {
                                    **({"Authorization": f"Bearer {key}"} if key else {}),
                                    **named.get("headers", {}),
                                },
                            },
                        )
                        for method, url, key, named in requests
                    )
                )

        return self._runner.run(send())
