"""The OpenAPI description: what FastAPI finds out by itself, and what all routes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

from aeordb.server.routes.models import Exported, Listing, Patched

if TYPE_CHECKING:
    from fastapi import FastAPI

MEANINGS: Final = {
    304: "Not changed since the ETag that was sent.",
    400: "Wrong arguments, or a path or name that is refused.",
    401: "A key is missing or not valid.",
    403: "The key may not do this.",
    404: "No such path, snapshot, version or route.",
    408: "The request took too long to come.",
    409: "It is there already, or the patch is for another base.",
    412: "The file is not what the request's condition says.",
    413: "The body is too large.",
    416: "The file has no such range.",
    422: "The backup is damaged, or is none.",
    423: "The database is locked by a reader or another process.",
    500: "The database is damaged, or the server failed.",
    503: "Too much to do at once: come again after `Retry-After` seconds.",
    507: "The disk is full, or a sync failed.",
}
EVERYWHERE: Final = (400, 401, 403, 408, 413, 500, 503)


# Routes whose answer may be a file name these by hand.
_NAMED: Final = (Exported, Listing, Patched)
_SCHEMAS: Final = "#/components/schemas/"


class ErrorBody(BaseModel):
    """What went wrong; further fields are its facts."""

    model_config = ConfigDict(extra="allow")
    code: str
    message: str
    hint: str | None = None


class ErrorAnswer(BaseModel):
    """Every failure has this form."""

    error: ErrorBody


def fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for failures beside those that every route has."""
    return {
        status: {"model": ErrorAnswer, "description": MEANINGS[status]}
        for status in (*EVERYWHERE, *statuses)
    }


def describe(app: FastAPI) -> None:
    """Makes `app.openapi` describe all routes as they are."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            for path in made["paths"].values():
                for operation in path.values():
                    _correct(operation["responses"])
            schemas = made["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for model in _NAMED:
                schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
                schemas |= schema.pop("$defs", {})
                schemas[model.__name__] = schema
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _correct(responses: dict[str, Any]) -> None:
    """Arguments that do not fit are a 400 here, as all other wrong arguments are."""
    content = responses.get("422", {}).get("content", {}).get("application/json", {})
    if content.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
