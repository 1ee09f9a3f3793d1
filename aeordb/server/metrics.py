"""What Prometheus is told: how the backups and other tasks fare, and how large the database is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from aeordb.server.jobs import BACKUP
from aeordb.server.taskfile import ENDED, LIVE, Tally
from aeordb.server.tasks import TaskList

if TYPE_CHECKING:
    from prometheus_client import Metric

    from aeordb import Database, Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FRESH_MS: Final = 30_000
Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)
_LABELS: Final = ("schedule", "task_type")
_Labels = tuple[str, str]


class Metrics:
    """The metrics of one server; `schedule` is empty for tasks that were asked for by hand."""

    def __init__(self, database: Database, tasks: TaskList, clock: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Tasks(tasks, clock))
        self._registry.register(_Size(database, clock))

    def render(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)


class _Tasks(Collector):
    def __init__(self, tasks: TaskList, clock: Callable[[], int]) -> None:
        self._tasks = tasks
        self._clock = clock

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        tallies = self._tasks.tallies()
        now = self._clock()
        yield _family(
            GaugeMetricFamily,
            "aeordb_task_last_success_timestamp_seconds",
            "When a task last ended well; 0: never",
            tallies,
            lambda tally: (tally.last_success or 0) / 1000,
        )
        yield _family(
            GaugeMetricFamily,
            "aeordb_task_age_seconds",
            "Time since a task last ended well; +Inf: never",
            tallies,
            lambda tally: age(tally, now),
        )
        yield _family(
            GaugeMetricFamily,
            "aeordb_task_last_duration_seconds",
            "How long the last task that ended well took",
            [tally for tally in tallies if tally.last_duration is not None],
            lambda tally: (tally.last_duration or 0) / 1000,
        )
        yield _family(
            GaugeMetricFamily,
            "aeordb_backup_last_size_bytes",
            "Size of the last backup's file",
            [tally for tally in tallies if tally.task_type == BACKUP and tally.last_bytes],
            lambda tally: float(tally.last_bytes or 0),
        )
        yield _family(
            CounterMetricFamily,
            "aeordb_task_failures",
            "Tasks that failed, or that the server's end interrupted",
            tallies,
            lambda tally: tally.failed + tally.interrupted,
        )
        yield _family(
            CounterMetricFamily,
            "aeordb_task_missed",
            "Runs that were due while the one before had not ended, or while no server ran",
            tallies,
            lambda tally: tally.missed,
        )
        ended = CounterMetricFamily(
            "aeordb_tasks_ended",
            "Tasks that are over, by how they ended",
            labels=(*_LABELS, "status"),
        )
        for tally in tallies:
            for status in ENDED:
                count: int = getattr(tally, status)
                ended.add_metric((tally.schedule, tally.task_type, status), count)
        yield ended
        live = GaugeMetricFamily("aeordb_tasks", "Tasks that wait or run", labels=("status",))
        statuses = [task.status for task in self._tasks.all()]
        for status in LIVE:
            live.add_metric((status,), statuses.count(status))
        yield live


class _Size(Collector):
    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._started = clock()
        self._status: Status | None = None
        self._read_at = 0

    def _read(self) -> Status:
        """The database's status, which reads the whole index: not at every question."""
        now = self._clock()
        if self._status is None or abs(now - self._read_at) >= _FRESH_MS:
            self._status, self._read_at = self._database.status(), now
        return self._status

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        status = self._read()
        for name, text, value in (
            ("size_bytes", "Length of the file", status.size),
            ("live_bytes", "Bytes of the log that are not free", status.live_bytes),
            ("free_bytes", "Bytes of the file that are free", status.free_bytes),
            ("entries", "Entries in the index", status.entries),
            ("snapshots", "Snapshots", status.snapshots),
            ("commits", "Sequence number of the last commit", status.sequence),
        ):
            yield GaugeMetricFamily(f"aeordb_database_{name}", text, value)
        backup = (status.last_backup or 0) / 1000
        yield GaugeMetricFamily(
            "aeordb_last_backup_timestamp_seconds",
            "When the database was last backed up, by whomever; 0: never",
            backup,
        )
        yield GaugeMetricFamily(
            "aeordb_start_time_seconds", "When the server started", self._started / 1000
        )


def age(tally: Tally, now: int) -> float:
    """Seconds since a task last ended well, infinite if none has."""
    if tally.last_success is None:
        return float("inf")
    return max(0, now - tally.last_success) / 1000


def _family(
    kind: type[Family], name: str, text: str, tallies: list[Tally], value: Callable[[Tally], float]
) -> Family:
    family = kind(name, text, labels=_LABELS)
    for tally in tallies:
        family.add_metric((tally.schedule, tally.task_type), value(tally))
    return family
