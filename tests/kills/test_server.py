"""A server is killed while clients write through it: what it acknowledged is there."""

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import ReadOnlyLayer
from aeordb.testing.scenario import Rows
from tests.crash.judge import no_scan, rows_of
from tests.kills.counts import cycles, lives
from tests.kills.judging import assert_verified, check_commit
from tests.kit.killing import program, wait_for_writes
from tests.kit.load import Client, Load
from tests.kit.serving import Line, Serving

Count = Callable[[str], None]
CYCLES = cycles(5, short=3)
KINDS = ("answers", "call", "writes")


@dataclass
class Keeper:
    """A client that makes and deletes snapshots, and collects garbage.

    `rows` are those of each snapshot when it was first seen: they never change.
    """

    names: set[str] = field(default_factory=set)
    flying: set[str] | None = None
    rows: dict[str, Rows] = field(default_factory=dict)
    made: int = 0

    def work(self, address: tuple[str, int], rng: random.Random) -> None:
        """Asks until the server is gone."""
        with Line(address) as ask:
            while True:
                after, kind = set(self.names), rng.randrange(4)
                if kind == 0:
                    request: tuple[Any, ...] = ("POST", b"/system/gc")
                elif after and (kind == 1 or len(after) > 2):
                    name = rng.choice(sorted(after))
                    after.remove(name)
                    request = ("DELETE", b"/versions/snapshots/%s" % name.encode())
                else:
                    self.made += 1
                    after.add(f"s{self.made}")
                    body = b'{"name": "s%d"}' % self.made
                    kind_of = {"Content-Type": "application/json"}
                    request = ("POST", b"/versions/snapshots", kind_of, body)
                self.flying = after
                try:
                    answer = ask(*request)
                except Exception:
                    return
                if kind == 0 and answer.status == 423:
                    continue  # somebody read for too long
                assert answer.status in (200, 201), answer
                self.names, self.flying = after, None

    def check(self, database: aeordb.Database) -> None:
        """Each snapshot that was acknowledged is there and whole, and is what it was."""
        found = {snapshot.name for snapshot in database.snapshots.list()}
        assert found in (self.names, self.flying), (found, self.names, self.flying)
        self.names, self.flying = found, None
        rows = {name: rows_of(database.at(name)) for name in found}
        for name in found & self.rows.keys():
            assert rows[name] == self.rows[name], name
        self.rows = rows


@pytest.mark.parametrize("life", lives(2, CYCLES))
def test_killed_servers(life: int, tmp_path: Path, count: Count) -> None:
    """Clients write at once, so that their changes share commits; the server is killed after its
    n-th answer, some write calls later, or by itself at its n-th file call; then it starts again.
    """
    rng = random.Random(f"server {life}")
    path = tmp_path / "data.aeordb"
    keeper = Keeper()
    clients: list[Client] | None = None
    for cycle in range(CYCLES):
        kind = KINDS[(life + cycle) % len(KINDS)]
        load = run(rng, kind, path, clients, keeper)
        if load is not None:
            assert load.refused == []
            clients = load.clients
        if path.exists():
            with use_layer(ReadOnlyLayer()), no_scan(), aeordb.open(path, "r", jobs=1) as database:
                if load is not None:
                    load.check(database)
                keeper.check(database)
            assert_verified(path)
            check_commit(path)
        count("kills of servers")
    with Serving(path, "--auth", "disabled") as again, Line(again.address) as ask:
        assert ask("PUT", b"/files/more", {}, b"x").status == 201


def run(
    rng: random.Random,
    kind: str,
    path: Path,
    clients: list[Client] | None,
    keeper: Keeper,
) -> Load | None:
    """Starts a server, has it killed, and waits for its end; None: it died as it started."""
    last = rng.choice([rng.randint(1, 60), rng.randint(60, 700)]) if kind == "call" else 0
    serving = Serving(path, "--auth", "disabled", program=program(last))
    try:
        serving.__enter__()
    except AssertionError:
        assert last
        assert serving.process.returncode == -signal.SIGKILL, serving.log
        return None
    load = Load(serving.address, rng.randint(20, 250), clients=clients, seed=rng.random())
    keeping = threading.Thread(
        target=keeper.work, args=(serving.address, random.Random(rng.random()))
    )
    keeping.start()
    try:
        if not last:
            while not load.reached.wait(1) and not load.refused:
                pass
        if kind == "writes":
            wait_for_writes(serving.process, rng.randint(1, 60))
    finally:
        if not last or load.refused:
            serving.process.kill()
        load.join()
        keeping.join()
        with pytest.raises(AssertionError, match="-9"):
            serving.__exit__(None, None, None)
    return load
