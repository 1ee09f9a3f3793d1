"""`export` and `diff --output`."""

import os
from pathlib import Path

import pytest

import aeordb
from tests.cli.conftest import Cli
from tests.kit.rules import assert_file


@pytest.fixture
def changed(ok: Cli, data: Path) -> Path:
    """The database with one file added, one modified and one deleted since `v1`; that is `v2`."""
    Path("new.txt").write_bytes(b"second\n")
    ok("put", "new.txt", "/a.txt")
    ok("put", "new.txt", "/added.txt")
    ok("rm", "/docs/b.txt")
    ok("snapshot", "create", "v2")
    return data


def test_export_prints_the_counts_in_order(ok: Cli, changed: Path) -> None:
    ran = ok("export", "-o", "out/full.aeordb")
    root = ok("snapshot", "list", "--json").json["result"]["items"][1]["root"]
    assert ran.lines[:5] == [
        "Export complete.",
        "  Files: 3",
        "  Chunks: 1",
        "  Directories: 2",
        f"  Version: {root}",
    ]
    assert ran.lines[-1] == "  Output: out/full.aeordb"
    assert ran.err == ""
    assert_file("out/full.aeordb")


def test_export_as_json(ok: Cli, data: Path) -> None:
    told = ok("export", "-o", "full.aeordb", "--json").json
    assert (told["ok"], told["code"], told["command"]) == (True, "ok", "export")
    assert list(told["result"]) == [
        "version",
        "files",
        "chunks",
        "directories",
        "bytes",
        "output",
    ]
    assert told["result"]["bytes"] == os.path.getsize("full.aeordb")
    assert told["result"]["output"] == "full.aeordb"
    assert told["warnings"] == []


def test_export_takes_versions_by_name_and_hash(ok: Cli, cli: Cli, changed: Path) -> None:
    roots = {item["name"]: item["root"] for item in items(ok)}
    for number, (flag, text) in enumerate(
        (("--snapshot", "v1"), ("--hash", roots["v1"]), ("--hash", roots["v1"][:8]))
    ):
        ran = ok("export", "-o", f"{number}", flag, text, "--json")
        assert ran.json["result"]["version"] == roots["v1"]
    assert Path("0").read_bytes() == Path("1").read_bytes() == Path("2").read_bytes()
    assert cli("export", "-o", "x", "--snapshot", "v9").code == 20
    assert cli("export", "-o", "x", "--snapshot", roots["v1"]).code == 20
    assert cli("export", "-o", "x", "--hash", "00" * 32).code == 20
    assert cli("export", "-o", "x", "--snapshot", "v1", "--hash", roots["v1"]).code == 2
    assert not Path("x").exists()


def items(ok: Cli) -> list[dict[str, str]]:
    """The snapshots."""
    listed: list[dict[str, str]] = ok("snapshot", "list", "--json").json["result"]["items"]
    return listed


def test_export_privileged_says_how_many_snapshots(ok: Cli, changed: Path) -> None:
    key = ok("emergency-reset", "--json").json["result"]["root_key"]
    told = ok("export", "-o", "all.aeordb", "--root-key", key, "--json").json["result"]
    assert told["snapshots"] == 2


def test_the_key_comes_from_the_environment(
    ok: Cli, cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEORDB_ROOT_KEY", "aeor_k_nonsense")
    ran = cli("export", "-o", "x", "--json")
    assert (ran.code, ran.json["code"]) == (12, "unauthorized")
    assert "aeor_k_nonsense" not in ran.out
    monkeypatch.setenv("AEORDB_ROOT_KEY", "")
    assert "snapshots" not in ok("export", "-o", "x", "--json").json["result"]


@pytest.mark.parametrize(
    "arguments", [("export", "-o", "taken"), ("diff", "-o", "taken", "--from", "v1")]
)
def test_the_output_is_never_overwritten(
    cli: Cli, changed: Path, arguments: tuple[str, ...]
) -> None:
    Path("taken").write_text("mine")
    ran = cli(*arguments, "--json")
    assert (ran.code, ran.json["code"], ran.json["error"]["path"]) == (15, "exists", "taken")
    assert Path("taken").read_text() == "mine"


def test_dry_runs_write_nothing_and_count_the_same(ok: Cli, changed: Path) -> None:
    for command in (("export", "-o", "out/x"), ("diff", "-o", "out/x", "--from", "v1")):
        before = sorted(os.listdir())
        counted = ok(*command, "--dry-run", "--json").json["result"]
        ran = ok(*command, "--dry-run")
        assert ran.lines[0].startswith("Nothing was written")
        assert sorted(os.listdir()) == before
        written = ok(*command, "--json").json["result"]
        assert written.pop("bytes") > counted.pop("bytes") == 0
        assert (written.pop("output"), counted.pop("output")) == ("out/x", None)
        assert written == counted
        os.unlink("out/x")
        os.rmdir("out")


def test_uncompressed_is_passed_on(ok: Cli, data: Path) -> None:
    Path("words").write_bytes(b"many words " * 20_000)
    ok("put", "words", "/words")
    sizes = []
    for command in (("export",), ("diff", "--from", "v1")):
        for more in ((), ("--uncompressed",), ("--uncompressed", "--jobs", "1")):
            name = f"{command[0]}{len(more)}"
            sizes.append(ok(*command, "-o", name, *more, "--json").json["result"]["bytes"])
        assert sizes[-2] == sizes[-1] > sizes[-3] + 100_000


def test_diff_writes_a_patch(ok: Cli, changed: Path) -> None:
    roots = {item["name"]: item["root"] for item in items(ok)}
    ran = ok("diff", "-o", "p.aeordb", "--from", "v1", "--to", "v2")
    assert ran.lines[:8] == [
        "Patch created.",
        "  Files added: 1",
        "  Files modified: 1",
        "  Files deleted: 1",
        "  Chunks: 1",
        "  Directories: 2",
        f"  From: {roots['v1']}",
        f"  To: {roots['v2']}",
    ]
    told = ok("diff", "-o", "p2.aeordb", "--from", "v1", "--json").json["result"]
    assert list(told) == [
        "from",
        "to",
        "files_added",
        "files_modified",
        "files_deleted",
        "chunks",
        "directories",
        "bytes",
        "output",
    ]
    assert told["bytes"] == os.path.getsize("p2.aeordb")
    assert Path("p.aeordb").read_bytes() == Path("p2.aeordb").read_bytes()
    assert aeordb.info("p.aeordb").kind == "patch"


def test_diff_without_a_difference_makes_no_file(ok: Cli, changed: Path) -> None:
    ran = ok("diff", "-o", "p.aeordb", "--from", "v2", "--to", "HEAD")
    assert ran.lines[0] == "No patch was written: the versions are the same."
    told = ok("diff", "-o", "p.aeordb", "--from", "v2", "--json").json["result"]
    assert told["output"] is None
    assert not Path("p.aeordb").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("diff", "--from", "v1"),
        ("diff", "--from", "v1", "-o", "x", "--stat"),
        ("diff", "--from", "v1", "--stat", "--dry-run"),
        ("diff", "--from", "v1", "--name-status", "--uncompressed"),
        ("diff", "-o", "x"),
        ("export",),
        ("export", "-o", "x", "--jobs", "0"),
        ("import",),
        ("promote",),
        ("backup", "--retention-count", "-1"),
        ("backup", "--patches", "some"),
        ("status", "--max-age", "soon"),
    ],
)
def test_wrong_use(cli: Cli, data: Path, arguments: tuple[str, ...]) -> None:
    before = sorted(os.listdir())
    ran = cli(*arguments, "--json")
    assert (ran.code, ran.json["code"]) == (2, "usage")
    assert sorted(os.listdir()) == before
