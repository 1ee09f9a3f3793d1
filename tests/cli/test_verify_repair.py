"""`verify --repair`, `--force-fix-in-place` and `--from`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
from tests.cli.conftest import Cli
from tests.kit.damage import damage, wipe
from tests.kit.layout import CHUNK
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


@pytest.fixture
def hit(ok: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in which a file's only chunk is overwritten; it is the one that is asked for."""
    ok("export", "-o", "backup.aeordb")
    Path("lost.txt").write_bytes(b"to be lost")
    ok("put", "lost.txt", "/lost.txt")
    ok("snapshot", "create", "both")
    shutil.copy(data, "before.aeordb")
    hit = Path(shutil.copy(data, "hit.aeordb"))
    monkeypatch.setenv("AEORDB_DATABASE", "hit.aeordb")
    oracle = Oracle(hit)
    child = oracle.find("/lost.txt")
    assert child is not None
    wipe(hit, oracle.need(oracle.file_record(child.hash).chunks[0], CHUNK), start=96)
    return hit


def test_what_is_lost_is_listed(cli: Cli, hit: Path) -> None:
    before = hit.read_bytes()
    ran = cli("verify", "--repair")
    assert ran.code == 3
    assert f"Repaired: {hit.name}.repaired" in ran.lines
    lost = "  Lost: /lost.txt in HEAD, snapshot both; it still stands in no other version"
    assert lost in ran.lines
    assert ran.lines[-1].endswith(f"mv {hit.name}.repaired {hit.name}")
    assert hit.read_bytes() == before
    assert cli("verify", "-D", f"{hit.name}.repaired").code == 0
    assert cli("verify", "--repair").code == 15
    assert "/lost.txt" in cli("verify", "-q", "--force-fix-in-place").out
    assert_file(hit)
    Path(f"{hit.name}.repaired").unlink()
    again = cli("verify", "--repair")
    assert (again.code, again.lines[-1]) == (0, "Nothing was repaired: nothing is damaged.")


def test_repair_as_json(cli: Cli, hit: Path) -> None:
    ran = cli("verify", "--repair", "--json")
    result = ran.json["result"]
    assert (ran.json["ok"], ran.json["code"]) == (False, "incomplete")
    assert result["findings"][0]["kind"] == "entry"
    assert result["repair"]["lost"] == [
        {"path": "/lost.txt", "versions": ["HEAD", "snapshot both"], "stands_in": []}
    ]
    assert result["repair"]["output"] == f"{hit.name}.repaired"


def test_backups_fill_the_gaps(cli: Cli, ok: Cli, hit: Path) -> None:
    whole = Oracle("before.aeordb").head
    ran = ok("verify", "--repair", "--from", "backup.aeordb", "--from", "before.aeordb", "--json")
    repair = ran.json["result"]["repair"]
    assert (repair["refilled"], repair["lost"], repair["head"]) == (1, [], whole.hex())
    assert Oracle(repair["output"]).read("/lost.txt") == b"to be lost"
    assert cli("verify", "--from", "before.aeordb").code == 2
    assert cli("verify", "--repair", "--sample", "5").code == 2


def test_a_file_without_a_header_is_repaired(cli: Cli, ok: Cli, data: Path) -> None:
    listed = ok("ls", "-R", "--all").out
    damage(data, "all")
    assert cli("ls").code in (10, 14)
    ran = ok("verify", "--force-fix-in-place")
    assert any(line.startswith("  HEAD was unknown") for line in ran.lines)
    assert ok("ls", "-R", "--all").out == listed


def test_an_incomplete_export_of_aeordbs(cli: Cli, fixture_copy: Callable[[str], Path]) -> None:
    path = fixture_copy("btree.export-at600")
    ran = cli("verify", "-D", path, "--repair")
    assert ran.code == 3
    assert "  Rebuilt from records: /many (HEAD): 600 children" in ran.lines
    with aeordb.open(f"{path}.repaired", "r") as db:
        assert len(db) == 600
