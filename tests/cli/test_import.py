"""`import` and `promote`."""

import os
from pathlib import Path

import pytest

from aeordb.errors import NotADatabaseError
from tests.cli.conftest import Cli
from tests.kit.fixtures import fixture_path
from tests.kit.rules import assert_file


@pytest.fixture
def backups(ok: Cli, data: Path) -> Path:
    """`full.aeordb` (v1) and `patch.aeordb` (v1 to v2) beside the database."""
    ok("export", "-o", "full.aeordb", "--snapshot", "v1")
    Path("new.txt").write_bytes(b"second\n")
    ok("put", "new.txt", "/a.txt")
    ok("snapshot", "create", "v2")
    ok("diff", "-o", "patch.aeordb", "--from", "v1")
    return data


def test_import_as_json(ok: Cli, backups: Path) -> None:
    told = ok("import", "-D", "to.aeordb", "--file", "full.aeordb", "--json").json
    result = told["result"]
    assert list(result)[:9] == [
        "kind",
        "entries",
        "chunks",
        "files",
        "directories",
        "deletions",
        "version",
        "promoted",
        "skipped_system",
    ]
    assert (result["kind"], result["promoted"], result["created"]) == ("full", False, True)
    assert (result["files"], result["directories"], result["deletions"]) == (3, 2, 0)
    assert result["snapshot"] == f"imported-{result['version'][:12]}"
    again = ok("import", "-D", "to.aeordb", "--file", "full.aeordb", "--promote", "--json").json
    assert (again["result"]["promoted"], again["result"]["created"]) == (True, False)
    third = ok("import", "-D", "to.aeordb", "--file", "full.aeordb").lines
    assert third[7] == "HEAD is this version already."
    assert_file("to.aeordb")


def test_a_missing_database_is_created_and_that_is_said(ok: Cli, backups: Path) -> None:
    ran = ok("import", "-D", "to.aeordb", "--file", "full.aeordb", "--promote")
    assert ran.lines[-1] == "The database to.aeordb has been created."
    assert ok("cat", "-D", "to.aeordb", "/a.txt").out == "alpha\n"


def test_none_is_left_behind_when_the_import_fails(cli: Cli, backups: Path) -> None:
    before = sorted(os.listdir())
    damaged = bytearray(Path("full.aeordb").read_bytes())
    damaged[-1200] ^= 1
    Path("damaged.aeordb").write_bytes(damaged)
    for file, code in (("patch.aeordb", 13), ("none.aeordb", 10), ("new.txt", 10)):
        ran = cli("import", "-D", "to.aeordb", "--file", file)
        assert (ran.code, ran.out) == (code, "")
    assert cli("import", "-D", "to.aeordb", "--file", "damaged.aeordb").code in (10, 14)
    assert sorted(os.listdir()) == sorted([*before, "damaged.aeordb"])


def test_a_missing_backup_is_not_to_be_made_with_init(cli: Cli, backups: Path) -> None:
    ran = cli("import", "--file", "none.aeordb")
    assert ran.code == 10
    assert "init" not in ran.err
    assert "aeordb init -D gone.aeordb" in cli("ls", "-D", "gone.aeordb").err


def test_a_key_for_a_database_that_does_not_exist(
    cli: Cli, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEORDB_ROOT_KEY", "aeor_k_0123456789abcdef_" + "0" * 64)
    ran = cli("import", "-D", "to.aeordb", "--file", "full.aeordb")
    assert (ran.code, ran.out) == (12, "")
    assert "aeordb init -D to.aeordb" in ran.err
    assert not Path("to.aeordb").exists()


def test_dry_run(ok: Cli, cli: Cli, backups: Path) -> None:
    before = sorted(os.listdir())
    ran = ok("import", "-D", "to.aeordb", "--file", "full.aeordb", "--promote", "--dry-run")
    assert ran.lines[0] == "Full export checked; nothing was written."
    assert ran.lines[1:4] == ["  Entries: 8", "  Chunks: 2", "  Files: 3"]
    assert sorted(os.listdir()) == before
    ok("import", "-D", "to.aeordb", "--file", "full.aeordb", "--promote")
    content = Path("to.aeordb").read_bytes()
    told = ok("import", "-D", "to.aeordb", "--file", "patch.aeordb", "--dry-run", "--json").json
    assert (told["result"]["kind"], told["result"]["dry_run"]) == ("patch", True)
    assert Path("to.aeordb").read_bytes() == content
    assert cli("import", "-D", "data.aeordb", "--file", "patch.aeordb", "--dry-run").code == 13


def test_several_files_and_folders(ok: Cli, cli: Cli, backups: Path) -> None:
    Path("chain").mkdir()
    for name in ("full.aeordb", "patch.aeordb"):
        os.rename(name, f"chain/{name}")
    ran = ok("import", "-D", "to.aeordb", "--file", "chain", "--promote", "--json")
    assert ran.json["result"]["kind"] == "chain"
    assert ok("cat", "-D", "to.aeordb", "/a.txt").out == "second\n"
    Path("empty").mkdir()
    assert cli("import", "-D", "to.aeordb", "--file", "empty").code == 10


def test_files_from_the_environment(
    ok: Cli, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEORDB_IMPORT_FILE", "full.aeordb:patch.aeordb")
    assert ok("import", "-D", "to.aeordb").lines[0] == "Chain of backups imported."


def test_salvage_ends_with_exit_3_and_each_folder(cli: Cli, data: Path) -> None:
    backup = fixture_path("btree.export-at600")
    refused = cli("import", "-D", "to.aeordb", "--file", backup)
    assert (refused.code, refused.out) == (14, "")
    assert "--salvage" in refused.err
    ran = cli("import", "-D", "to.aeordb", "--file", backup, "--salvage", "--promote")
    assert ran.code == 3
    assert ran.lines[0] == "Full export imported."
    assert "was rebuilt from the records in the file" in ran.err
    Path("to.aeordb").unlink()
    told = cli("import", "-D", "to.aeordb", "--file", backup, "--salvage", "--json").json
    assert (told["ok"], told["code"]) == (False, "incomplete")
    assert sum(folder["entries"] for folder in told["result"]["rebuilt"]) >= 600
    assert len(told["warnings"]) == len(told["result"]["rebuilt"])
    assert_file("to.aeordb")


def test_skipped_system_data_is_a_warning_and_no_failure(ok: Cli, data: Path) -> None:
    key = ok("emergency-reset", "--json").json["result"]["root_key"]
    ok("export", "-o", "all.aeordb", "--root-key", key)
    ran = ok("import", "-D", "to.aeordb", "--file", "all.aeordb")
    assert ran.err.startswith("warning: 1 system entry was skipped")
    told = ok("import", "-D", "to2.aeordb", "--file", "all.aeordb", "--json").json
    assert (told["ok"], told["result"]["skipped_system"]) == (True, 1)
    assert len(told["warnings"]) == 1


def test_promote(ok: Cli, cli: Cli, backups: Path) -> None:
    roots = {
        item["name"]: item["root"]
        for item in ok("snapshot", "list", "--json").json["result"]["items"]
    }
    ran = ok("promote", "--hash", roots["v1"][:12], "--dry-run")
    assert ran.lines[0] == "The version is whole; HEAD has NOT been changed."
    assert ok("cat", "/a.txt").out == "second\n"
    ran = ok("promote", "--hash", roots["v1"])
    assert ran.lines == [
        "HEAD has been promoted.",
        f"  Version: {roots['v1']}",
        f"  Before: {roots['v2']}",
    ]
    assert ok("cat", "/a.txt").out == "alpha\n"
    told = ok("promote", "--hash", roots["v1"], "--json").json["result"]
    assert told == {"version": roots["v1"], "previous": roots["v1"], "promoted": False}
    assert cli("promote", "--hash", "12" * 32).code == 20


def test_the_hint_is_for_the_database_alone(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise NotADatabaseError(path="elsewhere.aeordb", reason="there is no such file")

    monkeypatch.setattr("aeordb.open", fail)
    assert "init" not in cli("ls").err
