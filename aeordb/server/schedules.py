"""Schedules as they stand in `/.aeordb-config/cron.json` (FORMAT.md 7), and when they are due.

Expressions are cron's five fields. In a time zone with summer time they mean what Debian's cron
makes of them: a run at a fixed hour that a change skips comes right after it, one in the hour that
comes twice runs once; runs by the hour or the minute (`*/15 * * * *`) keep their distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from aeordb.errors import PathError, UsageError, quote

UTC_NAME: Final = "UTC"
ID_MAX: Final = 128
"""Bytes of a new schedule's id."""
_FIELDS = 5
_EXPRESSION_MAX = 200
_ZONE_MAX = 64


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule. `timezone` is an IANA name; AeorDB's own schedules have none: UTC."""

    id: str
    task_type: str
    schedule: str
    args: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    timezone: str = UTC_NAME

    @staticmethod
    def decode(fields: object) -> Schedule:
        """A schedule of the file; fields that we do not know are passed over.

        Raises UsageError for what is none. Its expression may still be one that never runs.
        """
        if not isinstance(fields, dict):
            raise UsageError("a schedule is an object")
        return Schedule(
            id=_typed(fields, "id", str),
            task_type=_typed(fields, "task_type", str),
            schedule=_typed(fields, "schedule", str),
            args=_typed(fields, "args", dict, {}),
            enabled=_typed(fields, "enabled", bool, True),
            timezone=_typed(fields, "timezone", str, UTC_NAME),
        )

    def check(self) -> None:
        """Refuses what a new schedule may not be; UsageError says why."""
        check_id(self.id)
        zone = find_zone(self.timezone)
        check_expression(self.schedule, zone)

    @property
    def when(self) -> str:
        """What decides about its runs; a change of it makes them start anew."""
        return f"{self.schedule} {self.timezone} {'on' if self.enabled else 'off'}"

    def next_after(self, time: int) -> int | None:
        """The first time after `time` at which it is due, both in milliseconds; None: never."""
        if not self.enabled or len(self.schedule) > _EXPRESSION_MAX:
            return None
        try:
            start = datetime.fromtimestamp(time // 1000, find_zone(self.timezone))
            for moment in CronSim(self.schedule, start):
                # In the hour that comes twice the iterator may start with the first of both.
                due = int(moment.timestamp()) * 1000
                if due > time:
                    return due
        except (UsageError, CronSimError, ValueError, OverflowError):
            return None
        return None


def check_id(name: str) -> None:
    """Refuses an id that could not be named in a URL; PathError."""
    if not name or len(name.encode(errors="replace")) > ID_MAX:
        raise PathError(path=name[:ID_MAX], reason=f"an id has 1 to {ID_MAX} bytes")
    if not name.isprintable() or "/" in name or name in (".", ".."):
        raise PathError(path=name, reason="an id is printable, without '/', and not '.' or '..'")


def find_zone(name: str) -> tzinfo:
    """The time zone of an IANA name; UsageError if this system does not know it."""
    if name == UTC_NAME:
        return UTC
    try:
        if len(name) > _ZONE_MAX:
            raise ValueError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"no time zone {quote(name[:_ZONE_MAX])}",
            hint="It is a name like 'Europe/Berlin'; `pip install tzdata` brings all of them.",
        ) from None


def check_expression(text: str, zone: tzinfo = UTC) -> None:
    """Refuses what is not cron's five fields; UsageError says which field is wrong."""
    try:
        if len(text) > _EXPRESSION_MAX or len(text.split()) != _FIELDS:
            raise CronSimError(f"expected {_FIELDS} fields")
        CronSim(text, datetime.fromtimestamp(0, zone))
    except (CronSimError, ValueError) as error:
        raise UsageError(
            f"{quote(text[:_EXPRESSION_MAX])} is no cron expression: {str(error).lower()}",
            hint="Minute, hour, day of month, month, day of week: '0 1 * * *' is each day at 1:00.",
        ) from None


def _typed(fields: dict[str, Any], name: str, kind: type[Any], default: Any = None) -> Any:
    value = fields.get(name, default)
    if type(value) is not kind:
        raise UsageError(f"schedule: {name!r} is missing or is not of type {_WORDS[kind]}")
    return value


_WORDS = {str: "string", dict: "object", bool: "boolean"}
