"""`/system/tasks`: what runs, waits and is over; `/system/gc`, which waits for its end."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from aeordb.server.auth import root_key
from aeordb.server.errors import STATUS, HTTPError
from aeordb.server.jobs import BACKUP, GC, check_args
from aeordb.server.openapi import fails
from aeordb.server.taskfile import Status, Task
from aeordb.server.uploads import Model, json_body, takes

router = APIRouter(tags=["tasks"], dependencies=[Depends(root_key)])
TaskId = Annotated[str, Path(max_length=64)]


class BackupArgs(Model):
    """The arguments of a backup; without `backup_dir` it goes to the server's backup folder."""

    backup_dir: str | None = None
    retention_count: int | None = Field(None, ge=0)
    snapshot: str | None = None
    patches: int | None = Field(None, ge=0)


class GcArgs(Model):
    """The arguments of a collection."""

    dry_run: bool = False


class TaskProgress(BaseModel):
    """A phase of a task, and its bytes and entries so far."""

    label: str
    total: int | None
    done: int
    items: int


class TaskState(BaseModel):
    """A task; times in milliseconds since 1970 UTC. `schedule`: the one that started it."""

    id: str
    task_type: str
    status: Status
    args: dict[str, Any]
    schedule: str | None
    created_at: int
    started_at: int | None
    completed_at: int | None
    progress: TaskProgress | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Tasks(BaseModel):
    """Tasks, the newest first."""

    items: list[TaskState]


@router.get("/system/tasks", responses=fails())
async def list_tasks(request: Request) -> Tasks:
    """The tasks that run or wait, and the last that are over."""
    return Tasks(items=[_show(request, task) for task in request.app.state.tasks.all()])


@router.get("/system/tasks/{task_id}", responses=fails(404))
async def read_task(request: Request, task_id: TaskId) -> TaskState:
    """One task."""
    return _show(request, request.app.state.tasks.get(task_id))


@router.post("/system/tasks/gc", status_code=202, responses=fails(507), openapi_extra=takes(GcArgs))
async def start_gc(request: Request) -> TaskState:
    """Adds a task that collects what nothing reaches."""
    args = (await json_body(request, GcArgs)).model_dump()
    return _show(request, await _submit(request, GC, args))


@router.post(
    "/system/tasks/backup", status_code=202, responses=fails(507), openapi_extra=takes(BackupArgs)
)
async def start_backup(request: Request) -> TaskState:
    """Adds a task that makes a backup, as the schedules do."""
    args = (await json_body(request, BackupArgs)).model_dump(exclude_none=True)
    return _show(request, await _submit(request, BACKUP, args))


@router.delete("/system/tasks/{task_id}", responses=fails(404, 507))
async def cancel_task(request: Request, task_id: TaskId) -> TaskState:
    """Takes a task out of those that wait, or stops it at its next step; nothing half-done is
    left. A task that is over stays as it is."""
    state = request.app.state
    return _show(request, await state.threads.run(state.tasks.cancel, task_id))


@router.post("/system/gc", responses=fails(409, 423, 507), openapi_extra=takes(GcArgs))
async def collect(request: Request) -> dict[str, Any]:
    """Collects what nothing reaches, and answers once that is done."""
    args = (await json_body(request, GcArgs)).model_dump()
    tasks = request.app.state.tasks
    # Whoever asks while one waits gets the answer of that one.
    task = tasks.find(GC, args) or await _submit(request, GC, args)
    task = await asyncio.shield(asyncio.wrap_future(tasks.future(task.id)))
    if task.result is None:
        raise _failure(task)
    return dict(task.result)


def _failure(task: Task) -> HTTPError:
    error = {"code": "failed", "message": f"the task was {task.status}", **(task.error or {})}
    by_code = {kind.code: status for kind, status in STATUS.items()}
    others = {"cancelled": 409, "interrupted": 503}
    status = others.get(task.status) or by_code.get(error["code"], 500)
    return HTTPError(status, **error)


async def _submit(request: Request, task_type: str, args: dict[str, Any]) -> Task:
    state = request.app.state
    check_args(state.settings, task_type, args)
    task: Task = await state.threads.run(state.tasks.submit, task_type, args)
    return task


def _show(request: Request, task: Task) -> TaskState:
    is_running = task.status == "running"
    progress = request.app.state.tasks.progress(task) if is_running else None
    return TaskState(
        id=task.id,
        task_type=task.task_type,
        status=task.status,
        args=dict(task.args),
        schedule=task.schedule,
        created_at=task.created_at,
        started_at=task.started_at,
        completed_at=task.completed_at,
        progress=TaskProgress(**progress) if progress is not None else None,
        result=task.result,
        error=task.error,
    )
