"""The fixtures, as a project has them that tests with aeordb."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.kit.child import ENVIRONMENT, REPOSITORY

# The plugin is named here, whether or not the package is installed with its entry point.
OPTIONS = ["-q", "-p", "no:cacheprovider", "-p", "aeordb.testing.plugin"]

TESTS = """
import aeordb

def test_database(aeordb_database, aeordb_path):
    aeordb_database["/a"] = b"1"
    assert aeordb_database.writable
    assert aeordb_path.exists()

def test_path(aeordb_path):
    assert not aeordb_path.exists()

def test_server(aeordb_server):
    assert aeordb_server.request("PUT", "/files/a.txt", b"1").status in (200, 201)
    answer = aeordb_server.request("GET", "/files/a.txt")
    assert (answer.status, answer.body) == (200, b"1")
    assert aeordb_server.request("GET", "/files/a.txt", key="").status == 401
    assert aeordb_server.request("GET", "/files/none").json()["error"]["code"] == "not_found"
    made = aeordb_server.request("POST", "/versions/snapshots", json={"name": "v1"})
    assert made.status in (200, 201)
    assert aeordb_server.url.startswith("http://127.0.0.1:")
    assert aeordb_server.root_key not in repr(aeordb_server)
"""

DAMAGE = """
def test_damage(aeordb_database, aeordb_path):
    aeordb_database["/a"] = bytes(range(256)) * 20
    data = bytearray(aeordb_path.read_bytes())
    at = data.rindex(bytes(range(200, 256)))
    data[at] ^= 1
    aeordb_path.write_bytes(data)
"""

NO_SERVER = """
import sys
sys.modules["fastapi"] = None

def test_server(aeordb_server):
    pass
"""


def run(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, "-rs", "test_it.py"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_fixtures_work(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_file_that_is_damaged_in_the_end_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, DAMAGE)
    assert done.returncode == 1
    assert "1 passed, 1 error" in done.stdout
    assert "data.aeordb is damaged" in done.stdout


def test_without_the_server_extra_a_test_is_skipped_and_told_why(tmp_path: Path) -> None:
    done = run(tmp_path, NO_SERVER)
    assert "1 skipped" in done.stdout
    assert "needs fastapi: pip install 'aeordb[server]'" in done.stdout


def test_pytest_finds_the_plugin_and_starts_no_slower() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"aeordb": "aeordb.testing.plugin"}
    script = "import sys, aeordb.testing.plugin; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"hypothesis", "fastapi", "uvicorn", "click", "rich", "argon2", "zstandard"}
    assert "aeordb.native" not in done.stdout.split()


@pytest.mark.parametrize("name", ["aeordb_path", "aeordb_database", "aeordb_server"])
def test_each_fixture_says_what_it_is(name: str) -> None:
    from aeordb.testing import plugin

    assert getattr(plugin, name).__doc__
