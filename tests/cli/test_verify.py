"""The command line: verify."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def database(ok: Cli, tmp_path: Path) -> Path:
    """`data.aeordb` with a file of 9 bytes, `/docs/f`, and a snapshot `v1`."""
    (tmp_path / "f").write_bytes(b"text of f")
    ok("init")
    ok("put", "f", "/docs/f")
    ok("snapshot", "create", "v1")
    return tmp_path / "data.aeordb"


def damage(database: Path) -> int:
    """Flips a bit of the file's content; where its entry begins."""
    data = bytearray(database.read_bytes())
    at = data.index(b"text of f")
    data[at] ^= 1
    database.write_bytes(data)
    return at - 95


def test_what_holds(ok: Cli, database: Path) -> None:
    assert ok("verify").lines[0] == "data.aeordb: everything holds."
    result = ok("verify", "--deep", "--jobs", "2", "--json").json["result"]
    assert result["ok"] is True
    assert result["findings"] == []
    assert result["versions"] == 2
    assert result["files"] > 0
    assert ok("verify", "-q").out == ""


def test_what_does_not(cli: Cli, database: Path) -> None:
    offset = damage(database)
    ran = cli("verify")
    assert ran.code == 14
    assert ran.lines[0] == "data.aeordb: damaged, 1 finding."
    assert all(line.startswith("  ") for line in ran.lines[1:])
    assert f"  entry at offset {offset}: an entry's bytes" in ran.out
    assert "Path: /docs/f" in ran.out
    assert "Versions: HEAD, snapshot v1" in ran.out
    assert "Path: /docs/f" in cli("verify", "-q").out

    answer = cli("verify", "--json")
    assert answer.code == 14
    assert (answer.json["ok"], answer.json["code"]) == (False, "damaged")
    (finding,) = answer.json["result"]["findings"]
    assert finding["kind"] == "entry"
    assert finding["offset"] == offset
    assert finding["paths"] == ["/docs/f"]
    assert finding["versions"] == ["HEAD", "snapshot v1"]
    assert len(finding["key"]) == 64
    assert finding["hint"]


def test_parts(cli: Cli, ok: Cli, database: Path) -> None:
    damage(database)
    assert cli("verify", "--since", "v1").code == 0
    assert cli("verify", "--since", "v2").code == 20
    assert cli("verify", "--sample", "100%").code == 14
    for sample in ("0", "101%", "some"):
        assert cli("verify", "--sample", sample).code == 2


def test_what_is_no_database(cli: Cli, tmp_path: Path) -> None:
    assert cli("verify").code == 10
    (tmp_path / "data.aeordb").write_bytes(b"AEOR\x03\x01" + bytes(600))
    assert cli("verify").code == 14
