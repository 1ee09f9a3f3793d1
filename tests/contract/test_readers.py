"""Readers in other processes while a writer commits without pause, checkpoints and grows."""

import subprocess
import sys
from pathlib import Path

import pytest

import aeordb
from aeordb.storage import store
from tests.kit.child import ENVIRONMENT
from tests.kit.layout import h
from tests.kit.rules import assert_file

READERS = 3
TURNS = 60


def content(path: str) -> bytes:
    """What a file of this path holds."""
    digest = h(path.encode())
    return digest * (digest[0] * digest[1] // 40)


def start_reader(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.reader", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout
    assert process.stdout.readline() == b"reading\n", process.communicate()[1].decode()
    return process


def test_readers_see_whole_versions_while_a_writer_never_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 100)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 2)
    path = tmp_path / "data.aeordb"
    stages = set()
    with aeordb.open(path, "x") as db:
        readers = [start_reader(path) for _ in range(READERS)]
        for turn in range(TURNS):
            with db.transaction() as tx:
                for i in range(40 if turn % 10 else 150):
                    name = f"/{turn}/{i % 3}/{i}"
                    tx.put(name, content(name))
                if turn % 4 == 3:
                    for i in range(0, 30, 2):
                        tx.delete(f"/{turn - 2}/{i % 3}/{i}")
            if turn % 5 == 0:
                db.snapshots.create(f"turn-{turn}")
            if turn % 15 == 14:
                db.snapshots.delete(f"turn-{turn - 4}")
            stages.add(aeordb.info(path).stage)
        db.put("/done", content("/done"))
        counts = []
        for process in readers:
            out, err = process.communicate()
            assert process.returncode == 0, err.decode()
            counts.append(int(out))
    assert stages >= {0, 1, 2}
    assert all(count >= 2 for count in counts)
    assert_file(path)


def test_an_old_view_finds_everything_after_growth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of a block that grew are good ones and hold other keys: a view that was older saw
    a part of the names, and said of keys that were there that they were not."""
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 0)
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        for i in range(40):
            name = f"/{i}"
            db.put(name, content(name))
            db.snapshots.create(f"turn-{i:02}")
        with aeordb.open(path, "r") as other:
            view = other.at("HEAD")
            reader = other.reader()
            keys = [record.key for record in reader.records(2)]
            with db.transaction() as tx:
                for i in range(1000):
                    tx.put(f"/many/{i}", b"%d" % i)
            assert aeordb.info(path).stage > 0
            assert [s.name for s in other.snapshots.list()] == [f"turn-{i:02}" for i in range(40)]
            assert all(reader.has_many(keys))
            assert other.resolve(other.head.hex()[:8]) == other.head
            assert {s.path for s in view.walk()} == {f"/{i}" for i in range(40)}
            assert all(view.read(f"/{i}") == content(f"/{i}") for i in range(40))
            assert view.open("/7").read() == content("/7")
            other.refresh()
            assert len(other) == 1040
