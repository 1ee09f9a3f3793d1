"""Errors as answers: a status, and `{"error": {"code", "message", ...}}` with our codes."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from aeordb.errors import (
    AeorDBError,
    BaseMismatchError,
    DamagedError,
    ExistsError,
    IncompleteError,
    LockedError,
    NotADatabaseError,
    NotDurableError,
    NotFoundError,
    UnauthorizedError,
    UsageError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

log = logging.getLogger("aeordb.server")

STATUS: Final[dict[type[AeorDBError], int]] = {
    UsageError: 400,
    NotFoundError: 404,
    BaseMismatchError: 409,
    ExistsError: 409,
    IncompleteError: 409,
    NotADatabaseError: 422,
    LockedError: 423,
    NotDurableError: 507,
    UnauthorizedError: 401,
}
RETRY_SECONDS: Final = 1
_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)
_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")


class HTTPError(AeorDBError):
    """An answer with a status of its own; `code` stays one of the library's."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "usage",
        hint: str = "",
        headers: dict[str, str] | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, hint=hint, **facts)
        self.status = status
        self.code = code  # type: ignore[misc]
        self.headers = headers or {}


class BusyError(HTTPError):
    """There is too much to do already: 503, and when to come again."""

    def __init__(self, message: str) -> None:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        super().__init__(503, message, code="failed", headers=headers)


class RefusedBackupError(HTTPError):
    """What was sent or named as a backup is damaged: not the database."""

    def __init__(self, error: DamagedError) -> None:
        super().__init__(422, error.message, code=error.code, hint=error.hint)
        self.facts = error.facts


class ClientGoneError(Exception):
    """The client went away; there is nobody to answer."""


def status_of(error: AeorDBError) -> int:
    """The status that answers an error: what a client cannot help is 5xx."""
    if isinstance(error, HTTPError):
        return error.status
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return status
    return 500


def answer(error: AeorDBError) -> JSONResponse:
    """The answer to a request that failed; it names no path of this machine."""
    headers = dict(error.headers) if isinstance(error, HTTPError) else {}
    status = status_of(error)
    if status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if status == 423:
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    body = error.to_json()
    if status == 500 and not isinstance(error, DamagedError):
        # What went wrong stands in the log, under the request's id.
        body = {"code": "failed", "message": "the server failed; its log says why"}
    return JSONResponse({"error": body}, status, headers)


def from_fault(fault: Exception) -> AeorDBError:
    """Any error as one that can be answered; what is not ours is logged with its place."""
    if isinstance(fault, OSError) and fault.errno in _DISK_ERRORS:
        fault = NotDurableError(f"the disk takes no more: {fault.strerror}")
    if isinstance(fault, AeorDBError):
        if status_of(fault) >= 500 and not isinstance(fault, BusyError):
            log.error("%s: %s", type(fault).__name__, fault)
        return fault
    log.error("a fault in aeordb", exc_info=fault)
    return AeorDBError("the server failed")


def install(app: FastAPI) -> None:
    """Makes every error of a route an answer of this form."""

    async def ours(_request: Request, error: Exception) -> JSONResponse:
        return answer(from_fault(error))

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(invalid_request(error.errors()))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = {401: "unauthorized", 403: "unauthorized", 404: "not_found"}
        name = code.get(error.status_code, "usage" if error.status_code < 500 else "failed")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(app, request))
        text = str(error.detail)
        return answer(HTTPError(error.status_code, text, code=name, headers=headers))

    app.add_exception_handler(AeorDBError, ours)
    app.add_exception_handler(OSError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods that a request's path takes, whichever routes they belong to."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in app.router.routes
        )
    ]


def invalid_request(faults: Any) -> UsageError:
    """Says which part of a request is wrong, without its value: that may be a secret."""
    parts = [
        f"{'.'.join(str(place) for place in fault['loc'] if place != 'body')}: {fault['msg']}"
        for fault in faults
    ]
    return UsageError("; ".join(part.removeprefix(": ") for part in parts)[:2_000])
