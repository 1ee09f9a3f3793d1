"""`/system/health`, which is open to everybody, and `/system/stats`."""

from __future__ import annotations

import os
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import aeordb
from aeordb.database.plain import plain
from aeordb.server.auth import any_key
from aeordb.server.openapi import fails

router = APIRouter(tags=["system"])


class Health(BaseModel):
    """Says "degraded" where the database can be read but takes no changes."""

    status: Literal["ok", "degraded"]


class DatabaseStats(BaseModel):
    """The database: lengths in the file in bytes, times in milliseconds since 1970 UTC."""

    head: str
    sequence: int
    snapshots: int
    forks: int
    entries: int
    size: int
    live_bytes: int
    free_bytes: int
    last_backup: int | None
    last_backup_file: str | None


class TaskStats(BaseModel):
    """What became of the tasks of one schedule ("": of those asked for by hand)."""

    schedule: str
    task_type: str
    completed: int
    failed: int
    cancelled: int
    interrupted: int
    missed: int
    last_success: int | None
    last_duration: int | None
    last_bytes: int | None


class Stats(BaseModel):
    """How the server and its database are."""

    version: str
    database: DatabaseStats
    tasks: list[TaskStats]


@router.get("/system/health", responses={503: {"model": Health}})
async def read_health(request: Request) -> JSONResponse:
    """Whether the server is up and its database takes changes. Needs no key."""
    is_well = request.app.state.database.writable
    health = Health(status="ok" if is_well else "degraded")
    return JSONResponse(health.model_dump(), 200 if is_well else 503)


@router.get("/system/stats", dependencies=[Depends(any_key)], responses=fails())
async def read_stats(request: Request) -> Stats:
    """Sizes, counts, and how the tasks of each schedule fare."""
    state = request.app.state
    status: dict[str, Any] = plain(await state.threads.run(state.database.status))
    if status["last_backup_file"] is not None:
        # Where it lies is the server's own business.
        status["last_backup_file"] = os.path.basename(status["last_backup_file"])
    return Stats(
        version=aeordb.__version__,
        database=DatabaseStats(**status),
        tasks=[TaskStats(**plain(tally)) for tally in state.tasks.tallies()],
    )
