"""Fixtures for pytest, there as soon as `aeordb[test]` is installed.

- `aeordb_path`: where a test may make a database.
- `aeordb_database`: a new database, open for writing; closed and verified after the test.
- `aeordb_server`: a server over a new database on a free port, with its root key and a client;
  stopped, and the database verified, after the test. Needs `aeordb[server]`.

What a test does not ask for is not imported: pytest starts as fast as without.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aeordb import Database
    from aeordb.testing.server import Server


@pytest.fixture
def aeordb_path(tmp_path: Path) -> Path:
    """A path in the test's own folder at which nothing is yet."""
    return tmp_path / "data.aeordb"


@pytest.fixture
def aeordb_database(aeordb_path: Path) -> Iterator[Database]:
    """A new database at `aeordb_path`; the test fails if its file is not sound in the end."""
    import aeordb

    with aeordb.open(aeordb_path, "x") as database:
        yield database
    _verify(aeordb_path)


@pytest.fixture
def aeordb_server(aeordb_path: Path) -> Iterator[Server]:
    """A server over a new database at `aeordb_path`, on a free port of this machine."""
    from aeordb.testing.server import missing_module, serve

    missing = missing_module()
    if missing is not None:
        pytest.skip(f"aeordb_server needs {missing}: pip install 'aeordb[server]'")
    with serve(aeordb_path) as server:
        yield server
    _verify(aeordb_path)


def _verify(path: Path) -> None:
    import aeordb

    report = aeordb.verify(path, deep=True)
    if not report.ok:
        lines = [f"{finding.kind}: {finding.what}" for finding in report.findings]
        pytest.fail("\n".join([f"{path} is damaged", *lines]), pytrace=False)
