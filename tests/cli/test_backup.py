"""`backup`, and `status` that tells of it."""

import os
from pathlib import Path

import pytest

import aeordb
from aeordb.cli import backup, status
from aeordb.database import scheduled
from tests.cli.conftest import Cli

FIRST = 1_776_567_600_000  # 2026-04-19 03:00:00 UTC
HOUR = 3_600_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time that commands see, in milliseconds; a test may move it on."""
    now = [FIRST]

    class Time:
        @staticmethod
        def time_ns() -> int:
            return now[0] * 1_000_000

    monkeypatch.setattr(scheduled, "time", Time)
    monkeypatch.setattr(status, "now", lambda: now[0])
    return now


def test_a_backup_has_the_time_in_its_name(ok: Cli, data: Path, clock: list[int]) -> None:
    ran = ok("backup")
    name = "./backups/backup-head-20260419T030000.000Z.aeordb"
    assert ran.lines[:2] == ["Backup complete.", f"  Output: {name}"]
    assert ran.lines[2:5] == ["  Files: 3", "  Chunks: 2", "  Directories: 2"]
    assert aeordb.info(name).kind == "export"
    clock[0] += HOUR
    told = ok("backup", "--snapshot", "v1", "--backup-dir", "other", "--json").json["result"]
    assert told["output"] == "other/backup-v1-20260419T040000.000Z.aeordb"
    assert (told["kind"], told["recorded"], told["deleted"]) == ("full", True, [])


def test_retention(ok: Cli, data: Path, clock: list[int]) -> None:
    for _ in range(3):
        ran = ok("backup", "--backup-dir", "b", "--retention-count", "2")
        clock[0] += HOUR
    assert ran.lines[-2:] == [
        "Deleted 1 older backup:",
        "  backup-head-20260419T030000.000Z.aeordb",
    ]
    assert len(os.listdir("b")) == 2


def test_patches(ok: Cli, data: Path, clock: list[int]) -> None:
    ok("backup", "--patches", "3")
    Path("new.txt").write_bytes(b"second\n")
    ok("put", "new.txt", "/a.txt")
    clock[0] += HOUR
    ran = ok("backup", "--patches", "3")
    assert ran.lines[0] == "Backup complete: a patch."
    assert ran.lines[1] == "  Output: ./backups/patch-head-20260419T040000.000Z.aeordb"
    clock[0] += HOUR
    assert ok("backup", "--patches", "3").lines[0] == "Nothing changed since the last backup."
    ok("import", "-D", "restored.aeordb", "--file", "backups", "--promote")
    assert ok("cat", "-D", "restored.aeordb", "/a.txt").out == "second\n"


def test_status_tells_of_the_last_backup(ok: Cli, cli: Cli, data: Path, clock: list[int]) -> None:
    assert "  Last backup: never" in ok("status").lines
    ran = cli("status", "--max-age", "1h", "--json")
    assert (ran.code, ran.json["code"]) == (17, "stale")
    ok("backup")
    clock[0] += 3 * HOUR
    told = ok("status", "--json").json["result"]
    assert (told["last_backup"], told["last_backup_age"]) == (FIRST, 3 * HOUR)
    assert told["last_backup_file"] == os.path.abspath(
        "backups/backup-head-20260419T030000.000Z.aeordb"
    )
    line = next(line for line in ok("status").lines if line.startswith("  Last backup: "))
    assert line.endswith("(3 hours ago)")


@pytest.mark.parametrize(
    ("limit", "code"),
    [("3h", 0), ("180m", 0), ("10800", 0), ("1d", 0), ("1W", 0), ("2.9h", 17), ("10799s", 17)],
)
def test_max_age(ok: Cli, cli: Cli, data: Path, clock: list[int], limit: str, code: int) -> None:
    ok("backup")
    clock[0] += 3 * HOUR
    ran = cli("status", "--max-age", limit)
    assert ran.code == code
    assert bool(ran.out) == (code == 0)
    if code:
        assert ran.err.startswith("error: the last backup is 3 hours old, more than 2 hours\n")


def test_a_clock_that_went_back_makes_no_negative_age(
    ok: Cli, data: Path, clock: list[int]
) -> None:
    ok("backup")
    clock[0] -= HOUR
    assert ok("status", "--max-age", "0", "--json").json["result"]["last_backup_age"] == 0


def test_beside_a_writer_the_backup_is_made_but_not_noted(
    ok: Cli, data: Path, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PATIENCE", 0.0)
    with aeordb.open(data):
        ran = ok("backup", "--json")
    assert ran.json["result"]["recorded"] is False
    assert len(ran.json["warnings"]) == 1
    assert "locked" in ran.json["warnings"][0]
    assert Path(ran.json["result"]["output"]).exists()
    assert "  Last backup: never" in ok("status").lines
