"""Exports beside a writer: commits, checkpoints, growth, and a writer that died half-way."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import AeorDBError
from aeordb.format import constants as c
from aeordb.storage.datafile import Bytes, OsLayer, use_layer
from tests.kit.backups import assert_export, log_entries
from tests.kit.child import ENVIRONMENT
from tests.kit.folders import noise
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file

# Each round is one commit with a checkpoint; the block grows on the way. Ready is after the first,
# so that a version after it differs from v1 however slow the machine.
WRITER = """
import sys, aeordb
with aeordb.open(sys.argv[1]) as db:
    for n in range(10_000):
        with db.transaction() as tx:
            for i in range(400):
                tx.put(f"/more/{n % 5}/{n * 400 + i}", b"%d" % (n * 400 + i))
        if n == 0:
            print("ready", flush=True)
        if n % 3 == 2:
            db.delete(f"/more/{(n - 1) % 5}", recursive=True)
"""


@contextmanager
def writing(path: str) -> Iterator[subprocess.Popen[str]]:
    """A process that commits without a pause until the block ends."""
    command = [sys.executable, "-c", WRITER, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        try:
            yield writer
            assert writer.poll() is None
        finally:
            writer.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a version v1 of some hundred files and a large one."""
    made = tmp_path / "data.aeordb"
    with aeordb.open(made, "x") as db:
        with db.transaction() as tx:
            for i in range(400):
                tx.put(f"/a/{i % 7}/{i}", noise(i, 200))
            tx.put("/large", noise("large", 6 << 20))
        db.snapshots.create("v1")
    return made


@pytest.mark.parametrize("jobs", [1, 3])
def test_beside_a_writing_process(path: Path, tmp_path: Path, jobs: int) -> None:
    with aeordb.open(path, "r") as db:
        root = db.resolve("v1")
        patches: list[str] = []
        db.export(tmp_path / "before", "v1")
        with writing(str(path)):
            for number in range(8):
                db.refresh()
                db.export(tmp_path / f"v1-{number}", "v1", jobs=jobs)
                db.export(tmp_path / f"head-{number}", jobs=jobs)
                made = db.export_patch(tmp_path / f"patch-{number}", "v1", jobs=jobs)
                patches += [made.output] if made.output else []
    before = Oracle(tmp_path / "before")
    assert_export(tmp_path / "before", before, root)
    for number in range(8):
        assert_file(tmp_path / f"v1-{number}")
        assert_file(tmp_path / f"head-{number}")
        again = Oracle(tmp_path / f"v1-{number}")
        assert again.tree() == before.tree()
        assert {e.key for e in log_entries(again)} == {e.key for e in log_entries(before)}
    assert patches
    for output in patches:
        assert Oracle(output).slot.base == root
        log_entries(Oracle(output))


def test_beside_a_thread_of_the_same_database(path: Path, tmp_path: Path) -> None:
    with aeordb.open(path) as db:
        db.export(tmp_path / "before", "v1")
        done = threading.Event()

        def write() -> None:
            n = 0
            while not done.is_set():
                n += 1
                with db.transaction() as tx:
                    for i in range(100):
                        tx.put(f"/b/{n}/{i}", b"%d" % i)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for number in range(5):
                db.export(tmp_path / str(number), "v1", jobs=2)
        finally:
            done.set()
            thread.join()
        for number in range(5):
            assert Oracle(tmp_path / str(number)).tree() == Oracle(tmp_path / "before").tree()
            assert_file(tmp_path / str(number))
    assert_file(path)


def test_a_handle_that_stays_at_its_version(path: Path, tmp_path: Path) -> None:
    """The block grew since it was opened: its HEAD is found all the same."""
    with aeordb.open(path, "r") as old:
        root = old.head
        old.export(tmp_path / "before")
        with aeordb.open(path) as db, db.transaction() as tx:
            for i in range(3_000):
                tx.put(f"/b/{i}", b"%d" % i)
        assert aeordb.info(path).stage > 0
        old.export(tmp_path / "after")
        assert old.head == root
    assert Oracle(tmp_path / "after").tree() == Oracle(tmp_path / "before").tree()


class TornPages(OsLayer):
    """The process dies in the middle of the first write to the KV block."""

    def __init__(self) -> None:
        self.torn = False

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        if self.torn or c.HEADERS_LENGTH <= offset < c.HEADERS_LENGTH + c.STAGE_LENGTHS[0]:
            if not self.torn:
                os.pwrite(fd, memoryview(data)[: len(data) // 2], offset)
            self.torn = True
            raise OSError(5, "dead")
        return super().pwrite(fd, data, offset)


def fill(db: aeordb.Database) -> None:
    for n in range(5):
        with db.transaction() as tx:
            for i in range(200):
                tx.put(f"/b/{n}/{i}", b"%d" % i)


def test_a_writer_that_died_in_a_checkpoint(path: Path, tmp_path: Path) -> None:
    """Its pages are torn; the flagged hot tail answers for them."""
    before = Oracle(path).tree()
    layer = TornPages()
    with use_layer(layer):
        db = aeordb.open(path)
        with pytest.raises(AeorDBError):
            fill(db)
        del db
    assert layer.torn
    with aeordb.open(path, "r") as reader:
        reader.export(tmp_path / "v1", "v1")
        reader.export(tmp_path / "head")
    assert Oracle(tmp_path / "v1").tree() == before
    assert Oracle(tmp_path / "head").tree() == Oracle(path).tree()
    for name in ("v1", "head"):
        assert_file(tmp_path / name)
