"""The application: routes over one open database, and what they share in `app.state`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

import aeordb
from aeordb.server import errors
from aeordb.server.auth import Authenticator, Gate
from aeordb.server.backupdir import BackupDir
from aeordb.server.direct import Direct
from aeordb.server.limits import Guard
from aeordb.server.metrics import Metrics
from aeordb.server.openapi import describe
from aeordb.server.routes import auth, backups, cron, files, metrics, snapshots, system, tasks
from aeordb.server.scheduler import Scheduler
from aeordb.server.settings import Settings
from aeordb.server.tasks import TaskList
from aeordb.server.threads import Threads
from aeordb.server.uploads import Memory, folder_of
from aeordb.server.writing import Batches

if TYPE_CHECKING:
    from aeordb import Database

Clock = Callable[[], int]


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def create_app(database: Database, settings: Settings, clock: Clock = now) -> FastAPI:
    """The application over a database opened for writing, which stays open when it ends.

    `app.state` has `database`, `settings`, `clock`, `authenticator`, `threads` (for blocking
    calls), `batches` (single changes, many to a commit), `memory` and `disk` (a folder) for bodies.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        BackupDir(settings).clean()
        await asyncio.to_thread(app.state.tasks.start)
        app.state.scheduler.start()
        try:
            yield
        finally:
            await asyncio.to_thread(app.state.scheduler.stop)
            await asyncio.to_thread(app.state.tasks.stop)
            await app.state.batches.close()
            app.state.threads.close()
            app.state.authenticator.close()

    app = FastAPI(
        title="aeordb",
        version=aeordb.__version__,
        summary="A versioned file store and its backups, over HTTP.",
        lifespan=lifespan,
        redoc_url=None,
        docs_url="/docs",
        redirect_slashes=False,
    )
    app.state.database = database
    app.state.settings = settings
    app.state.clock = clock
    app.state.disk = folder_of(database.path)
    app.state.authenticator = Authenticator(database, settings, clock)
    app.state.threads = Threads(settings.limits)
    app.state.batches = Batches(database, app.state.threads, settings.limits)
    app.state.memory = Memory(settings.limits.memory_bytes)
    app.state.tasks = TaskList(database, settings, clock)
    app.state.scheduler = Scheduler(database, app.state.tasks, clock)
    app.state.metrics = Metrics(database, app.state.tasks, clock)
    errors.install(app)
    for module in (files, snapshots, backups, auth, cron, tasks, system, metrics):
        app.include_router(module.router)
    # The last one added is the outermost.
    app.add_middleware(Direct)
    app.add_middleware(Gate)
    app.add_middleware(Guard, limits=settings.limits)
    describe(app)
    return app
