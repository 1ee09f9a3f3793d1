"""`aeordb gc`."""

from pathlib import Path

import pytest

import aeordb
from tests.cli.conftest import Cli


@pytest.fixture
def garbage(ok: Cli, data: Path) -> Path:
    """The database with a file that no version holds any more."""
    Path("large.bin").write_bytes(bytes(range(256)) * 4000)
    ok("put", "large.bin", "/large.bin")
    ok("rm", "/large.bin")
    return data


def test_a_dry_run_says_what_would_be_freed_and_changes_nothing(ok: Cli, garbage: Path) -> None:
    before = garbage.read_bytes()
    told = ok("gc", "--dry-run", "--json").json["result"]
    assert told["dry_run"] is True
    assert told["garbage_entries"] > 0
    assert told["reclaimed_bytes"] > 1000
    assert ok("gc", "--dry-run").lines[0] == "Nothing was changed; a gc would free:"
    assert garbage.read_bytes() == before


def test_a_gc_frees_what_the_dry_run_said(ok: Cli, garbage: Path) -> None:
    planned = ok("gc", "--dry-run", "--json").json["result"]
    done = ok("gc", "--json").json["result"]
    same = "versions", "live_entries", "garbage_entries", "reclaimed_bytes"
    assert [done[name] for name in same] == [planned[name] for name in same]
    assert done["dry_run"] is False
    again = ok("gc")
    assert again.lines[0] == "Garbage collection complete."
    assert "  Garbage entries: 0" in again.lines
    assert "  Reclaimed: 0" in again.lines


def test_compact_says_first_what_it_needs(ok: Cli, garbage: Path) -> None:
    planned = ok("gc", "--compact", "--dry-run", "--json").json["result"]
    ran = ok("gc", "--compact")
    assert f"The copy will take {planned['compact_bytes']} " in ran.err
    assert ran.lines[0] == "Compaction complete."
    assert garbage.stat().st_size <= planned["compact_bytes"]
    assert not ok("gc", "--compact", "-q").err


def test_a_reader_that_stays_is_exit_code_11(ok: Cli, cli: Cli, garbage: Path) -> None:
    with aeordb.open(garbage, "r") as reader:
        assert list(reader.walk())
        told = cli("gc", "--json")
    assert told.code == 11
    assert told.json["error"]["readers"] == 1
    assert cli("gc").code == 0
