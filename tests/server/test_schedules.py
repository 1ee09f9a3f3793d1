"""When schedules are due, in time zones with summer time too, and what is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.errors import PathError, UsageError
from aeordb.server.schedules import ID_MAX, Schedule

BERLIN = "Europe/Berlin"  # 2026: forward on 29 March at 2:00, back on 25 October at 3:00
HOUR = 3_600_000


def at(text: str) -> int:
    """Milliseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def runs(expression: str, zone: str, start: str, end: str) -> list[str]:
    """Every run between two times, all in UTC."""
    schedule = Schedule("a", "backup", expression, timezone=zone)
    found = []
    time = schedule.next_after(at(start))
    while time is not None and time < at(end):
        found.append(f"{datetime.fromtimestamp(time / 1000, UTC):%d %H:%M}")
        time = schedule.next_after(time)
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "start", "end", "expected"),
    [
        ("0 1 * * *", "UTC", "2026-04-19T00:59:59", "2026-04-21", ["19 01:00", "20 01:00"]),
        ("0 1 * * *", "UTC", "2026-04-19T01:00:00", "2026-04-21", ["20 01:00"]),
        ("0 2 * * 0", "UTC", "2026-04-01", "2026-04-20", ["05 02:00", "12 02:00", "19 02:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01", "2029-01-01", ["29 00:00"]),
        # A fixed hour is that of the place: the same all year there, another one in UTC.
        ("0 1 * * *", BERLIN, "2026-03-28", "2026-03-31", ["29 00:00", "29 23:00", "30 23:00"]),
        # 2:30 does not exist on the 29th: the run comes when the clock has jumped, not a day later.
        ("30 2 * * *", BERLIN, "2026-03-28", "2026-03-31", ["28 01:30", "29 01:00", "30 00:30"]),
        # 2:30 comes twice on the 25th: one run.
        ("30 2 * * *", BERLIN, "2026-10-24", "2026-10-27", ["24 00:30", "25 00:30", "26 01:30"]),
        # Between both 2:30: the run of the day is over.
        ("30 2 * * *", BERLIN, "2026-10-25T00:45:00", "2026-10-27", ["26 01:30"]),
        ("45 2 * * *", BERLIN, "2026-10-25T01:30:00", "2026-10-27", ["26 01:45"]),
        # By the hour or minute: the distance stays.
        (
            "0 * * * *",
            BERLIN,
            "2026-10-24T23:30:00",
            "2026-10-25T02:30:00",
            ["25 00:00", "25 01:00", "25 02:00"],
        ),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-03-29T00:10:00",
            "2026-03-29T01:40:00",
            ["29 00:30", "29 01:00", "29 01:30"],
        ),
    ],
)
def test_runs(expression: str, zone: str, start: str, end: str, expected: list[str]) -> None:
    assert runs(expression, zone, start, end) == expected


@given(
    st.sampled_from(["0 1 * * *", "30 2 * * *", "15 2,3 * * *", "*/20 * * * *", "5 * * * *"]),
    st.sampled_from(
        [BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]
    ),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
)
def test_a_run_is_always_ahead_and_never_left_out(
    expression: str, zone: str, start: datetime
) -> None:
    schedule = Schedule("a", "backup", expression, timezone=zone)
    time = int(start.replace(tzinfo=UTC).timestamp() * 1000)
    due = schedule.next_after(time)
    assert due is not None
    assert time < due <= time + 26 * HOUR
    # However late one looks, it is the same run.
    assert schedule.next_after(due - 1) == due
    assert schedule.next_after((time + due) // 2) == due


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe"])
def test_a_daily_run_comes_once_on_every_day_of_a_year(zone: str) -> None:
    schedule = Schedule("a", "backup", "30 2 * * *", timezone=zone)
    place = ZoneInfo(zone)
    time = int(datetime(2026, 1, 1, tzinfo=place).timestamp() * 1000)
    days = []
    for _ in range(365):
        due = schedule.next_after(time)
        assert due is not None
        days.append(datetime.fromtimestamp(due / 1000, place).date())
        time = due
    first = datetime(2026, 1, 1).date()
    assert days == [first + timedelta(days=day) for day in range(365)]


def test_what_is_disabled_or_makes_no_sense_never_runs() -> None:
    now = at("2026-01-01")
    assert Schedule("a", "backup", "* * * * *", enabled=False).next_after(now) is None
    assert Schedule("a", "backup", "nonsense").next_after(now) is None
    assert Schedule("a", "backup", "* * * * *", timezone="Mars/Base").next_after(now) is None
    assert Schedule("a", "backup", "*" * 10_000).next_after(now) is None
    assert Schedule("a", "backup", "* * * * *").next_after(1 << 60) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "0 25 * * *",
        "0 0 30 2 *",
        "@daily",
        "0 0 * * " + "1," * 200,
        "1" * 150 + " * * * *",
        "0 0 * * \ud800",
    ],
)
def test_no_cron_expression(expression: str) -> None:
    with pytest.raises(UsageError, match="no cron expression"):
        Schedule("a", "backup", expression).check()


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 100]
)
def test_no_time_zone(zone: str) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        Schedule("a", "backup", "0 1 * * *", timezone=zone).check()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\0b", "a\n", "\ud800", "x" * (ID_MAX + 1), "ü" * ID_MAX]
)
def test_no_id(name: str) -> None:
    with pytest.raises(PathError):
        Schedule(name, "backup", "0 1 * * *").check()


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {"id": 1, "task_type": "gc", "schedule": "* * * * *"},
        {"id": "a", "task_type": "gc", "schedule": "* * * * *", "enabled": 1},
        {"id": "a", "task_type": "gc", "schedule": "* * * * *", "args": []},
        {"id": "a", "task_type": "gc", "schedule": "* * * * *", "timezone": None},
    ],
)
def test_no_schedule(fields: object) -> None:
    with pytest.raises(UsageError):
        Schedule.decode(fields)


def test_what_aeordb_writes_is_a_schedule() -> None:
    written = {"id": "a", "task_type": "gc", "schedule": "0 3 * * *", "args": {}, "enabled": True}
    found = Schedule.decode({**written, "priority": 3})
    assert found == Schedule("a", "gc", "0 3 * * *")


@given(
    st.text("0123456789*/,-#LWlwMONjan @?", max_size=24) | st.text(max_size=30),
    st.sampled_from(["UTC", BERLIN]) | st.text(max_size=20),
    st.integers(0, 1 << 45),
)
def test_whatever_is_written_is_a_schedule_or_refused(
    expression: str, zone: str, time: int
) -> None:
    schedule = Schedule("a", "backup", expression, timezone=zone)
    due = schedule.next_after(time)
    try:
        schedule.check()
    except UsageError:
        return
    assert due is None or due > time


@given(
    st.lists(
        st.sampled_from(["*", "1", "*/7", "1-5", "31", "L", "2#5", "5L", "0"]),
        min_size=5,
        max_size=5,
    )
)
def test_a_search_for_the_next_run_ends(fields: list[str]) -> None:
    schedule = Schedule("a", "backup", " ".join(fields), timezone=BERLIN)
    due = schedule.next_after(at("2026-01-01"))
    assert due is None or due > at("2026-01-01")
