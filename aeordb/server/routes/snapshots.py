"""Snapshots: names for versions, and HEAD brought back to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from aeordb.database.plain import plain
from aeordb.server.auth import Identity, any_key, root_key
from aeordb.server.openapi import fails
from aeordb.server.paths import text_behind, version_of
from aeordb.server.routes.models import Named, Restored, SnapshotEntry, SnapshotList
from aeordb.server.uploads import Model, json_body, such_as, takes

if TYPE_CHECKING:
    from aeordb import Database
    from aeordb.server.threads import Threads

router = APIRouter(prefix="/versions", tags=["versions"])

Key = Annotated[Identity, Depends(any_key)]
RootKey = Annotated[Identity, Depends(root_key)]


NewName = Annotated[str, such_as("v1", pattern=r"^[^/\x00-\x1f\x7f-\x9f]+$")]


class NewSnapshot(Model):
    """A name for HEAD, or for another version; `metadata` is kept with it."""

    name: NewName
    version: Annotated[str, such_as("HEAD", "v1")] | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class SnapshotName(Model):
    """The name of a snapshot."""

    name: Annotated[str, such_as("v1")]


@router.post(
    "/snapshots",
    status_code=201,
    responses={201: {"model": SnapshotEntry}, **fails(404, 409, 507)},
    openapi_extra=takes(NewSnapshot),
)
async def create_snapshot(request: Request, _key: Key) -> JSONResponse:
    """Gives a version (HEAD, unless `version`) a fixed name."""
    wanted = await json_body(request, NewSnapshot)
    database, threads = _of(request)

    def create() -> object:
        at = version_of(database, None, wanted.version)
        return plain(database.snapshots.create(wanted.name, at, metadata=wanted.metadata))

    return JSONResponse(await threads.run(create), 201)


@router.get("/snapshots", responses={200: {"model": SnapshotList}, **fails()})
async def list_snapshots(request: Request, _key: Key) -> JSONResponse:
    """All snapshots, by name."""
    database, threads = _of(request)
    found = await threads.run(database.snapshots.list)
    return JSONResponse({"items": [plain(item) for item in found]})


@router.get("/snapshots/{name:path}", responses={200: {"model": SnapshotEntry}, **fails(404)})
async def get_snapshot(name: str, request: Request, _key: Key) -> JSONResponse:
    """One snapshot."""
    database, threads = _of(request)
    text = text_behind(request, b"/versions/snapshots/")
    return JSONResponse(plain(await threads.run(database.snapshots.get, text)))


@router.delete("/snapshots/{name:path}", responses={200: {"model": Named}, **fails(404, 507)})
async def delete_snapshot(name: str, request: Request, _key: RootKey) -> JSONResponse:
    """Takes the name away; a garbage collection then frees what it alone held."""
    database, threads = _of(request)
    text = text_behind(request, b"/versions/snapshots/")
    await threads.run(database.snapshots.delete, text)
    return JSONResponse({"name": text})


@router.post(
    "/restore",
    responses={200: {"model": Restored}, **fails(404, 507)},
    openapi_extra=takes(SnapshotName),
)
async def restore_snapshot(request: Request, _key: RootKey) -> JSONResponse:
    """Makes HEAD what a snapshot is."""
    wanted = await json_body(request, SnapshotName)
    database, threads = _of(request)
    head = await threads.run_long(lambda: database.snapshots.restore(wanted.name))
    return JSONResponse({"name": wanted.name, "version": head.hex()})


def _of(request: Request) -> tuple[Database, Threads]:
    state = request.app.state
    return state.database, state.threads
