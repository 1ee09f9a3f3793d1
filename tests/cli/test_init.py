"""`init`, `emergency-reset`, `info` and `status`."""

import re
from pathlib import Path

import pytest

import aeordb
from tests.cli.conftest import Cli

KEY = re.compile(r"aeor_k_[0-9a-f]{16}_[0-9a-f]{64}")


def test_init_prints_the_root_key_on_standard_output(ok: Cli, tmp_path: Path) -> None:
    ran = ok("init")
    assert ran.err == ""
    assert ran.lines[0] == "Database created."
    assert all(line.startswith("  ") for line in ran.lines[1:])
    assert len(KEY.findall(ran.out)) == 1
    assert (tmp_path / "data.aeordb").is_file()


def test_init_quietly_prints_the_key_alone(ok: Cli) -> None:
    assert KEY.fullmatch(ok("-q", "init").out.strip())


def test_init_as_json(ok: Cli) -> None:
    told = ok("init", "-D", "x.aeordb", "--expect-entries", "100000", "--json").json
    assert list(told) == ["ok", "code", "command", "result", "warnings"]
    assert (told["ok"], told["code"], told["command"], told["warnings"]) == (True, "ok", "init", [])
    assert told["result"]["database"] == "x.aeordb"
    assert KEY.fullmatch(told["result"]["root_key"])
    assert re.fullmatch("[0-9a-f]{64}", told["result"]["version"])


def test_expecting_entries_makes_room_for_their_index(ok: Cli, tmp_path: Path) -> None:
    ok("init", "-D", "small")
    ok("init", "-D", "large", "--expect-entries", "100000")
    assert (tmp_path / "large").stat().st_size > (tmp_path / "small").stat().st_size + (1 << 20)


def test_init_never_touches_what_is_there(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data.aeordb").write_text("mine")
    ran = cli("init", "--json")
    assert (ran.code, ran.json["code"]) == (15, "exists")
    assert (tmp_path / "data.aeordb").read_text() == "mine"


def test_init_that_fails_leaves_no_database(
    cli: Cli, ok: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(aeordb.Database, "create_root_key", interrupt)
        assert cli("init").code == 130
    assert not (tmp_path / "data.aeordb").exists()
    ok("init")
    ran = cli("init", "-D", "no/such/folder/x.aeordb")
    assert ran.code == 20
    assert ran.err == "error: no folder 'no/such/folder'\n"


def interrupt(_db: aeordb.Database) -> str:
    """As Ctrl-C does."""
    raise KeyboardInterrupt


def test_a_missing_database_is_told_how_to_be_made(cli: Cli) -> None:
    ran = cli("-D", "my data", "ls")
    assert ran.code == 10
    assert ran.err.endswith("  Make it with: aeordb init -D 'my data'\n")


def test_emergency_reset_prints_another_key(ok: Cli, data: Path) -> None:
    first = KEY.search(ok("emergency-reset").out)
    second = ok("emergency-reset", "--json").json["result"]["root_key"]
    assert first is not None
    assert KEY.fullmatch(second)
    assert first.group() != second


def test_info_reads_the_header_of_the_database_or_of_a_file(ok: Cli, data: Path) -> None:
    told = ok("info", "--json").json["result"]
    assert told["kind"] == "database"
    assert told["size"] == data.stat().st_size
    assert told == ok("info", "data.aeordb", "--json", "-D", "nothing").json["result"]
    lines = ok("info").lines
    assert lines[0] == "data.aeordb is a database."
    assert f"  Version: {told['head']}" in lines


def test_status_counts_snapshots_and_bytes(ok: Cli, data: Path) -> None:
    told = ok("status", "--json").json["result"]
    assert told["snapshots"] == 1
    assert told["live_bytes"] > 0
    assert told["last_backup"] is None
    lines = ok("status").lines
    assert lines[0] == "data.aeordb"
    assert f"  HEAD: {told['head']}" in lines
    assert "  Last backup: never" in lines


NO_DATABASES = ["missing", "folder", "empty", "text"]


@pytest.mark.parametrize("name", NO_DATABASES)
@pytest.mark.parametrize("command", [("ls",), ("put", "text", "/t"), ("info",), ("status",)])
def test_what_is_no_database_is_exit_10_and_stays_as_it_is(
    cli: Cli, tmp_path: Path, name: str, command: tuple[str, ...]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("Dear diary,\n" * 100)
    before = {path: path.stat().st_size for path in tmp_path.iterdir() if path.is_file()}
    ran = cli("-D", name, *command)
    assert (ran.code, ran.out) == (10, "")
    assert name in ran.err
    assert cli("-D", name, "--json", *command).json["code"] == "not_a_database"
    after = {path: path.stat().st_size for path in tmp_path.iterdir() if path.is_file()}
    assert after == before
