"""`/auth`: tokens for keys; keys listed, made and revoked."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response, Security
from pydantic import BaseModel, Field

from aeordb import Database
from aeordb.database.plain import plain
from aeordb.server.auth import Authenticator, Identity, bearer, refused, root_key
from aeordb.server.openapi import fails
from aeordb.server.threads import Threads
from aeordb.server.uploads import Model, json_body, takes

router = APIRouter(tags=["auth"])
Root = Annotated[Identity, Depends(root_key)]
# The answers have secrets: no cache may keep them.
_UNCACHED: Final = {"Cache-Control": "no-store"}


class TokenRequest(Model):
    """Whose token it is to be; left out: the key's in the header."""

    api_key: Annotated[str, Field(max_length=256)] | None = None


class Token(BaseModel):
    """A token, and the seconds that it lasts; it ends before that with its key."""

    token: str
    token_type: str
    expires_in: int


class KeyRequest(Model):
    """A key to be made. `expires_at` in milliseconds since 1970 UTC; left out: in two years."""

    label: Annotated[str, Field(max_length=255)] | None = None
    root: bool = False
    user_id: Annotated[str, Field(max_length=36)] | None = None
    expires_at: int | None = None


class NewKey(BaseModel):
    """A key just made: the only place where its text ever stands."""

    api_key: str
    key_id: str
    user_id: str
    label: str | None
    created_at: str
    expires_at: int


class Key(BaseModel):
    """An API key, without its text."""

    key_id: str
    user_id: str
    label: str | None
    created_at: str
    expires_at: int
    is_root: bool
    is_revoked: bool


class Keys(BaseModel):
    """All keys, the oldest first."""

    items: list[Key]


@router.post(
    "/auth/token",
    response_model=Token,
    dependencies=[Security(bearer)],
    responses=fails(507),
    openapi_extra=takes(TokenRequest),
)
async def make_token(request: Request, response: Response) -> object:
    """Gives a token for an API key, which is in the header or in the body."""
    authenticator: Authenticator = request.app.state.authenticator
    asked = await json_body(request, TokenRequest)
    identity: Identity | None = request.state.identity
    if asked.api_key is not None:
        identity = await authenticator.identify_key(asked.api_key)
    if identity is None:
        raise refused()
    token, seconds = await authenticator.make_token(identity)
    response.headers.update(_UNCACHED)
    return {"token": token, "token_type": "Bearer", "expires_in": seconds}


@router.get("/auth/keys", response_model=Keys, responses=fails())
async def list_keys(request: Request, _root: Root) -> object:
    """Lists all API keys, without their texts."""
    database, threads = _shared(request)
    return {"items": plain(await threads.run(database.api_keys.list))}


@router.post(
    "/auth/keys",
    status_code=201,
    response_model=NewKey,
    responses=fails(404, 507),
    openapi_extra=takes(KeyRequest),
)
async def create_key(request: Request, response: Response, _root: Root) -> object:
    """Makes an API key; its text is in this answer and nowhere else."""
    database, threads = _shared(request)
    asked = await json_body(request, KeyRequest)
    made = await threads.write(
        lambda: database.api_keys.create(
            asked.label, root=asked.root, user_id=asked.user_id, expires_at=asked.expires_at
        )
    )
    response.headers.update(_UNCACHED)
    return plain(made)


@router.delete("/auth/keys/{key_id}", response_model=Key, responses=fails(404, 507))
async def revoke_key(request: Request, key_id: str, _root: Root) -> object:
    """Revokes an API key and its tokens, at once and for ever."""
    database, threads = _shared(request)
    return plain(await threads.write(lambda: database.api_keys.revoke(key_id)))


def _shared(request: Request) -> tuple[Database, Threads]:
    return request.app.state.database, request.app.state.threads
