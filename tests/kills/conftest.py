"""Counts kills and cuts over all tests, for the end of pytest's report."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest

import aeordb
from aeordb.testing.scenario import Rows
from tests.crash.judge import rows_of
from tests.kit.counting import note
from tests.kit.folders import noise

Count = Callable[[str], None]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Count:
    """Counts one thing under a name."""
    return partial(note, request.node)


@pytest.fixture(scope="session")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[str, Rows]]:
    """Two exports of one database: by path, their versions and what is in them."""
    folder = tmp_path_factory.mktemp("backups")
    made: dict[str, tuple[str, Rows]] = {}
    with aeordb.open(folder / "source.aeordb", "x") as database:
        with database.transaction() as tx:
            for number in range(60):
                tx.put(f"/d{number % 3}/f{number}.bin", noise(("backup", number), number * 40))
            tx.put("/big.bin", noise("backup", 700_000))
        for number, name in enumerate(("one", "two")):
            path = folder / f"{name}.aeordb"
            database.export(path)
            made[str(path)] = (database.head.hex(), rows_of(database.at("HEAD")))
            database.delete(f"/d{number}", recursive=True)
            database.put("/d2/f2.bin", b"another")
    return made
