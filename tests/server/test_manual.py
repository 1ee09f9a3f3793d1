"""Each `curl` of the manual "Backup & Restore", as it stands there, against a real server.

The manual's server is on port 6830; curl is told by its configuration which port that is here.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import aeordb
from tests.kit.fixtures import REPOSITORY
from tests.kit.program import Folder, make_folder
from tests.kit.rules import assert_file
from tests.kit.serving import Serving

KEY = '-H "Authorization: Bearer $API_KEY"'
README = (REPOSITORY / "README.md").read_text("utf-8")
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@dataclass(frozen=True)
class Shell:
    """A folder whose `curl` reaches the server, with a key in its environment."""

    folder: Folder
    key: str

    def __call__(self, script: str) -> Any:
        """Runs a request of the manual; its answer."""
        return json.loads(self.run(script))

    def run(self, script: str) -> str:
        """Runs any script; what it prints."""
        named = {"API_KEY": self.key, "TOKEN": self.key, "CURL_HOME": str(self.folder.path)}
        return self.folder.ok(script, **named).out


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A server over a database with two snapshots, v1 and v2."""
    folder = make_folder(tmp_path)
    database = folder.path / "data.aeordb"
    with aeordb.open(database, "x") as db:
        key = db.create_root_key()
        db.put("/a.txt", b"one")
        db.put("/b.txt", b"two")
        db.snapshots.create("v1")
        with db.transaction() as tx:
            tx.put("/a.txt", b"three")
            tx.put("/c.txt", b"four")
            tx.delete("/b.txt")
        db.snapshots.create("v2")
    with Serving(database) as serving:
        host, port = serving.address
        (folder.path / ".curlrc").write_text(
            f'silent\nshow-error\nconnect-to = "localhost:6830:{host}:{port}"\n'
        )
        yield Shell(folder, key)
    assert_file(database)


def content(path: Path) -> dict[str, bytes]:
    with aeordb.open(path, "r") as db:
        return dict(db.items())


def test_export(shell: Shell) -> None:
    answer = shell(
        """
        curl -X POST http://localhost:6830/versions/export \\
          -H "Authorization: Bearer $API_KEY" \\
          -H "Content-Type: application/json" \\
          -d '{"output": "backup.aeordb"}'
        """
    )
    counts = {name: answer[name] for name in ("files", "chunks", "directories", "output")}
    assert counts == {"files": 2, "chunks": 2, "directories": 1, "output": "backup.aeordb"}
    backup = shell.folder.path / "backups" / "backup.aeordb"
    assert content(backup) == {"/a.txt": b"three", "/c.txt": b"four"}
    assert_file(backup)


def test_export_with_a_snapshot(shell: Shell) -> None:
    answer = shell(
        """
        curl -X POST http://localhost:6830/versions/export \\
          -H "Authorization: Bearer $API_KEY" \\
          -H "Content-Type: application/json" \\
          -d '{"output": "backup.aeordb", "snapshot": "v1"}'
        """
    )
    listed = json.loads(shell.run("aeordb snapshot list --json"))["result"]["items"]
    assert {item["name"]: item["root"] for item in listed}["v1"] == answer["version"]
    backup = shell.folder.path / "backups" / "backup.aeordb"
    assert content(backup) == {"/a.txt": b"one", "/b.txt": b"two"}


def test_diff(shell: Shell) -> None:
    answer = shell(
        """
        curl -X POST http://localhost:6830/versions/diff \\
          -H "Authorization: Bearer $API_KEY" \\
          -H "Content-Type: application/json" \\
          -d '{"output": "patch.aeordb", "from": "v1", "to": "v2"}'
        """
    )
    assert (answer["files_added"], answer["files_modified"], answer["files_deleted"]) == (1, 1, 1)
    assert answer["output"] == "patch.aeordb"
    assert (shell.folder.path / "backups" / "patch.aeordb").stat().st_size == answer["bytes"]


def test_import(shell: Shell) -> None:
    shell.run("aeordb export -o backups/backup.aeordb --snapshot v1")
    answer = shell(
        """
        curl -X POST http://localhost:6830/versions/import \\
          -H "Authorization: Bearer $API_KEY" \\
          -H "Content-Type: application/json" \\
          -d '{"file": "backup.aeordb", "promote": true}'
        """
    )
    assert (answer["kind"], answer["files"], answer["promoted"]) == ("full", 2, True)
    assert shell.run("aeordb cat /a.txt") == "one"


def test_promote(shell: Shell) -> None:
    listed = json.loads(shell.run("aeordb snapshot list --json"))["result"]["items"]
    root = {item["name"]: item["root"] for item in listed}["v1"]
    script = """
        curl -X POST http://localhost:6830/versions/promote \\
          -H "Authorization: Bearer $API_KEY" \\
          -H "Content-Type: application/json" \\
          -d '{"hash": "abc123def456..."}'
    """
    answer = shell(script.replace("abc123def456...", root))
    assert answer["version"] == root
    assert shell.run("aeordb cat /b.txt") == "two"


def test_regular_backups(shell: Shell) -> None:
    """The snapshot's request says nothing of JSON: curl calls it a form."""
    said = shell.run(
        """
        # Create a snapshot first
        curl -X POST http://localhost:6830/versions/snapshots \\
          -H "Authorization: Bearer $API_KEY" \\
          -d '{"name": "daily-2024-01-15"}'

        # Export it
        aeordb export --database data.aeordb \\
          --output backups/daily-2024-01-15.aeordb \\
          --snapshot daily-2024-01-15
        """
    )
    assert '"name":"daily-2024-01-15"' in said
    assert "Export complete." in said
    backup = shell.folder.path / "backups" / "daily-2024-01-15.aeordb"
    assert content(backup) == {"/a.txt": b"three", "/c.txt": b"four"}


def test_weekly_backups(shell: Shell, tmp_path: Path) -> None:
    script = """
        curl -X POST http://localhost:6830/system/cron \\
          -H "Authorization: Bearer $TOKEN" \\
          -H "Content-Type: application/json" \\
          -d '{
            "id": "weekly-backup",
            "schedule": "0 2 * * 0",
            "task_type": "backup",
            "args": {
              "backup_dir": "/var/backups/aeordb/",
              "retention_count": 4
            },
            "enabled": true
          }'
    """
    answer = shell(script)
    assert answer["id"] == "weekly-backup"
    listed = shell('curl http://localhost:6830/system/cron -H "Authorization: Bearer $TOKEN"')
    assert [item["id"] for item in listed["items"]] == ["weekly-backup"]


def test_the_requests_of_the_readme(shell: Shell) -> None:
    section = README.partition("\n## The server\n")[2].partition("\n### ")[0]
    start, requests = re.findall(r"^```sh\n(.*?)^```", section, flags=re.M | re.S)
    assert "aeordb start" in start
    shell.run(f"curl -X DELETE localhost:6830/versions/snapshots/v1 {KEY}")
    (shell.folder.path / "report.pdf").write_bytes(b"report")
    said = shell.run(requests)
    assert (shell.folder.path / "report.pdf").read_bytes() == b"report"
    assert "HTTP/1.1 200 OK" in said
    assert '"error"' not in said
    assert aeordb.info(shell.folder.path / "patch.aeordb").kind == "patch"
    assert_file(shell.folder.path / "backups" / "v1.aeordb")
    with aeordb.open(shell.folder.path / "data.aeordb", "r") as db:
        assert "/docs/report.pdf" not in db


def test_beside_the_server_commands_that_write_name_the_request(shell: Shell) -> None:
    for command, request in (
        ("put a.txt /a.txt", "/files/PATH"),
        ("rm /a.txt", "curl -X DELETE"),
        ("snapshot create x", "/versions/snapshots"),
        ("promote --hash v1", "/versions/promote"),
    ):
        (shell.folder.path / "a.txt").write_text("x")
        ended = shell.folder.run(f"aeordb --json {command}")
        assert ended.code == 11, ended
        error = json.loads(ended.out)["error"]
        assert request in error["hint"]
        assert error["url"] in error["hint"]
        assert error["pid"]
