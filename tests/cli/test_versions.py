"""`snapshot`, `fork`, `diff` and `--at`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def head(ok: Cli) -> str:
    """HEAD's hash."""
    told: str = ok("status", "--json").json["result"]["head"]
    return told


@pytest.fixture
def changed(ok: Cli, data: Path) -> Path:
    """The database with one file added, one modified and one deleted since `v1`."""
    Path("new.txt").write_bytes(b"second\n")
    ok("put", "new.txt", "/a.txt")
    ok("put", "new.txt", "/added.txt")
    ok("rm", "/docs/b.txt")
    return data


def test_snapshots_are_created_listed_renamed_and_deleted(ok: Cli, cli: Cli, changed: Path) -> None:
    ran = ok("snapshot", "create", "v2")
    assert ran.lines == ["Snapshot created.", "  Name: v2", f"  Version: {head(ok)}"]
    told = ok("snapshot", "create", "again", "--at", "v1", "--json").json["result"]
    items = ok("snapshot", "list", "--json").json["result"]["items"]
    assert [item["name"] for item in items] == ["again", "v1", "v2"]
    assert items[0]["root"] == items[1]["root"] == told["root"] != items[2]["root"]
    assert [line.split("  ")[-1] for line in ok("snapshot", "list").lines] == ["again", "v1", "v2"]
    ok("snapshot", "rename", "again", "first")
    ok("snapshot", "delete", "v2")
    items = ok("snapshot", "list", "--json").json["result"]["items"]
    assert [item["name"] for item in items] == ["first", "v1"]
    assert cli("snapshot", "create", "v1").code == 15
    assert cli("snapshot", "delete", "v2").code == 20
    assert cli("snapshot", "rename", "v2", "v3").code == 20
    assert cli("snapshot", "rename", "first", "v1").code == 15


def test_no_snapshots_yet_is_said_on_standard_error(ok: Cli) -> None:
    ok("init")
    ran = ok("snapshot", "list")
    assert (ran.out, ran.err) == ("", "no snapshots yet\n")
    assert ok("fork", "list", "--json").json["result"] == {"items": []}


@pytest.mark.parametrize("name", ["", "a/b", "HEAD", "x" * 256, "a\nb", "a\x7f", "a\0"])
def test_names_that_are_refused_say_why(cli: Cli, data: Path, name: str) -> None:
    for noun in ("snapshot", "fork"):
        ran = cli(noun, "create", name)
        assert (ran.code, ran.out) == (2, "")
        assert "\n" not in ran.err.removesuffix("\n").partition("\n  ")[0]


def test_restore_makes_head_what_the_snapshot_is(ok: Cli, cli: Cli, changed: Path) -> None:
    assert ok("cat", "/a.txt").out == "second\n"
    ran = ok("snapshot", "restore", "v1")
    assert ran.lines == ["Snapshot restored.", "  Name: v1", f"  Version: {head(ok)}"]
    assert ok("cat", "/a.txt").out == "alpha\n"
    assert cli("cat", "/added.txt").code == 20
    assert cli("snapshot", "restore", "v9").code == 20


def test_forks_are_created_promoted_and_deleted(ok: Cli, cli: Cli, changed: Path) -> None:
    ok("fork", "create", "old", "--at", "v1")
    ok("fork", "create", "now")
    items = ok("fork", "list", "--json").json["result"]["items"]
    assert [item["name"] for item in items] == ["now", "old"]
    assert ok("ls", "--at", "old", "--names").lines == ["a.txt", "docs/", "link -> docs/b.txt"]
    ok("fork", "promote", "old")
    assert ok("cat", "/a.txt").out == "alpha\n"
    ok("fork", "delete", "old")
    assert cli("fork", "promote", "old").code == 20
    assert cli("fork", "delete", "old").code == 20


def test_at_takes_head_names_hashes_and_prefixes(ok: Cli, cli: Cli, changed: Path) -> None:
    root = ok("snapshot", "list", "--json").json["result"]["items"][0]["root"]
    for version in ("v1", root, root[:8], root[:12].upper()):
        assert ok("cat", "/a.txt", "--at", version).out == "alpha\n"
    assert ok("cat", "/a.txt", "--at", "HEAD").out == "second\n"
    for version in ("v9", root[:7], "0" * 64):
        ran = cli("cat", "/a.txt", "--at", version)
        assert ran.code == 20
        assert version in ran.err


def test_at_from_the_environment(ok: Cli, changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEORDB_CAT_AT", "v1")
    assert ok("cat", "/a.txt").out == "alpha\n"


def test_diff_by_name(ok: Cli, changed: Path) -> None:
    ran = ok("diff", "--from", "v1", "--name-status")
    assert ran.lines == [
        "M  /a.txt",
        "A  /added.txt",
        "D  /docs/b.txt",
    ]
    ok("rm", "-r", "/docs")
    assert "D  /docs/" in ok("diff", "--from", "v1", "--name-status").lines
    back = ok("diff", "--from", "HEAD", "--to", "v1", "--name-status", "--json").json["result"]
    kinds = {item["path"]: item["kind"] for item in back["items"]}
    assert kinds["/added.txt"] == "deleted"
    assert kinds["/docs/b.txt"] == "added"


def test_diff_by_counts(ok: Cli, changed: Path) -> None:
    told = ok("diff", "--from", "v1", "--stat", "--json").json["result"]
    assert (told["files_added"], told["files_modified"], told["files_deleted"]) == (1, 1, 1)
    assert ok("diff", "--from", "v1", "--stat").lines[:4] == [
        "Differences.",
        "  Files added: 1",
        "  Files modified: 1",
        "  Files deleted: 1",
    ]
    same = ok("diff", "--from", "HEAD", "--stat", "--json").json["result"]
    assert same["from"] == same["to"]
    assert same["files_added"] == same["files_modified"] == same["files_deleted"] == 0
