"""`/system/cron`: the schedules."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from aeordb.server import cronfile
from aeordb.server.auth import root_key
from aeordb.server.jobs import JOBS
from aeordb.server.openapi import fails
from aeordb.server.schedules import ID_MAX, UTC_NAME, Schedule
from aeordb.server.uploads import Model, json_body, such_as, takes

router = APIRouter(tags=["cron"], dependencies=[Depends(root_key)])
Id = Annotated[str, Field(min_length=1, max_length=ID_MAX)]
TaskType = Annotated[str, such_as("backup", "gc")]
Expression = Annotated[str, such_as("0 1 * * *", pattern=r"^\S+( \S+){4}$")]
Zone = Annotated[str, such_as("UTC", "Europe/Berlin")]


class NewSchedule(Model):
    """A schedule to be added. `schedule` is a cron expression of five fields, in `timezone`."""

    id: Id
    task_type: TaskType
    schedule: Expression
    args: dict[str, Any] = Field(default_factory=dict)
    enabled: bool = True
    timezone: Zone = UTC_NAME


class ScheduleChanges(Model):
    """What is to be changed of a schedule; `args` as a whole."""

    task_type: TaskType | None = None
    schedule: Expression | None = None
    args: dict[str, Any] | None = None
    enabled: bool | None = None
    timezone: Zone | None = None


class ScheduleState(BaseModel):
    """A schedule, and its next run in milliseconds since 1970 UTC; null: none."""

    id: str
    task_type: str
    schedule: str
    args: dict[str, Any]
    enabled: bool
    timezone: str
    next_run: int | None


class Schedules(BaseModel):
    """All schedules, in the order of their file."""

    items: list[ScheduleState]


@router.get("/system/cron", responses=fails())
async def list_schedules(request: Request) -> Schedules:
    """The schedules. One whose `task_type` this server does not have never runs here."""
    state = request.app.state

    def read() -> list[Schedule]:
        return cronfile.read_schedules(state.database.reader())

    now = state.clock()
    return Schedules(items=[_show(one, now) for one in await state.threads.run(read)])


@router.post(
    "/system/cron", status_code=201, responses=fails(409, 507), openapi_extra=takes(NewSchedule)
)
async def add_schedule(request: Request) -> ScheduleState:
    """Adds a schedule; it runs from now on."""
    state = request.app.state
    fields = (await json_body(request, NewSchedule)).model_dump()
    schedule = await state.batches.run(
        lambda tx: cronfile.add_schedule(tx.writer, state.settings, fields)
    )
    await state.threads.run(state.scheduler.refresh)
    return _show(schedule, state.clock())


@router.patch(
    "/system/cron/{schedule_id}", responses=fails(404, 507), openapi_extra=takes(ScheduleChanges)
)
async def change_schedule(request: Request, schedule_id: str) -> ScheduleState:
    """Changes some fields of a schedule. Another time than before counts from now on."""
    state = request.app.state
    changes = (await json_body(request, ScheduleChanges)).model_dump(exclude_none=True)
    schedule = await state.batches.run(
        lambda tx: cronfile.change_schedule(tx.writer, state.settings, schedule_id, changes)
    )
    await state.threads.run(state.scheduler.refresh)
    return _show(schedule, state.clock())


@router.delete("/system/cron/{schedule_id}", responses=fails(404, 507))
async def delete_schedule(request: Request, schedule_id: str) -> ScheduleState:
    """Deletes a schedule; a task of it that waits or runs goes on."""
    state = request.app.state
    schedule = await state.batches.run(lambda tx: cronfile.delete_schedule(tx.writer, schedule_id))
    await state.threads.run(state.scheduler.refresh)
    return _show(schedule, state.clock())


def _show(schedule: Schedule, now: int) -> ScheduleState:
    return ScheduleState(
        id=schedule.id,
        task_type=schedule.task_type,
        schedule=schedule.schedule,
        args=dict(schedule.args),
        enabled=schedule.enabled,
        timezone=schedule.timezone,
        next_run=schedule.next_after(now) if schedule.task_type in JOBS else None,
    )
