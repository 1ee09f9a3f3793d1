"""Fixtures that every test may ask for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.kit.counting import totals
from tests.kit.fixtures import fixture_path
from tests.kit.rules import assert_file

if TYPE_CHECKING:
    import aeordb

# How long an example takes says more of the machine than of the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was counted, in all processes of a run (tests/kit/counting.py)."""
    for name, number in totals(terminalreporter.stats.values()):
        terminalreporter.write_line(f"{name}: {number}")


@pytest.fixture
def db(tmp_path: Path) -> Iterator["aeordb.Database"]:
    """A new database at `tmp_path/data.aeordb`; closed and checked by the rules afterwards.

    A test that damages the file on purpose works on a copy.
    """
    import aeordb

    path = tmp_path / "data.aeordb"
    database = aeordb.open(path, "x")
    try:
        yield database
    finally:
        database.close()
    assert_file(path)


@pytest.fixture
def fixture_copy(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a file made by AeorDB into the test's folder, writable, and gives its path."""

    def copy(name: str) -> Path:
        path = tmp_path / f"{name}.aeordb"
        path.write_bytes(fixture_path(name).read_bytes())
        return path

    return copy
