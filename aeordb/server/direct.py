"""The short way for the most frequent requests: files put and read, without options.

The framework matches routes, resolves dependencies and stacks contexts for each request; for a
small file that takes longer than the file. The handlers are the very same as on the long way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from aeordb.server.auth import Identity
from aeordb.server.routes.files import get_file, put_file

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HANDLERS: Final = {"GET": get_file, "PUT": put_file}


class Direct:
    """ASGI: the innermost before the application; the gate has checked the key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers such a request, or hands it on. What is raised the guard answers."""
        if (
            scope["type"] == "http"
            and not scope["query_string"]
            and scope["path"].startswith("/files/")
            and scope["method"] in _HANDLERS
        ):
            identity = scope.get("state", {}).get("identity")
            if isinstance(identity, Identity):
                handler = _HANDLERS[scope["method"]]
                response = await handler("", Request(scope, receive), identity)
                await response(scope, receive, send)
                return
        if scope["type"] == "http" and "\n" in scope["path"]:
            # The framework's patterns take no newline, names do; routes read what was sent.
            scope = {**scope, "path": scope["path"].replace("\n", "_")}
        await self.app(scope, receive, send)
