"""Ctrl-C in the middle of a write: the file is whole at once, and the open database goes on.

The handler of a signal may raise wherever Python runs; what counts is between which system calls.
"""

from pathlib import Path

import pytest

import aeordb
from aeordb.storage import store
from aeordb.storage.datafile import Bytes, use_layer
from tests.kit.rules import assert_file
from tests.storage.layers import CountingLayer

Content = dict[str, bytes]

START: Content = {f"/{i % 7}": b"%d" % i * 300 for i in range(16)}


class InterruptedLayer(CountingLayer):
    """Raises KeyboardInterrupt behind call number `at`, and so many more times right after."""

    def __init__(self, at: int, times: int = 1) -> None:
        super().__init__()
        self.made = 0
        self._at, self.left = at, times

    def _done(self) -> None:
        self.made += 1
        if self.made > self._at and self.left:
            self.left -= 1
            raise KeyboardInterrupt

    def pwrite(self, fd: int, data: Bytes, offset: int) -> int:
        written = super().pwrite(fd, data, offset)
        self._done()
        return written

    def fdatasync(self, fd: int) -> None:
        super().fdatasync(fd)
        self._done()

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        self._done()

    def punch(self, fd: int, offset: int, length: int) -> None:
        super().punch(fd, offset, length)
        self._done()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequent checkpoints, and growth as soon as a page is full."""
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 0)


def prepared(folder: Path) -> bytes:
    path = folder / "prepared.aeordb"
    with aeordb.open(path, "x") as db:
        for name, data in START.items():
            db.put(name, data)
        return path.read_bytes()


def many() -> Content:
    """Enough to make the KV block grow."""
    return {f"/many/{i}": b"%d" % i for i in range(900)}


def put_all(db: aeordb.Database, new: Content) -> None:
    with db.transaction() as tx:
        for name, data in new.items():
            tx.put(name, data)


def dict_of(path: Path) -> Content:
    with aeordb.open(path, "r") as db:
        return dict(db)


def calls_of(path: Path, new: Content) -> int:
    """How many calls the transaction makes, the writer's first act included."""
    layer = InterruptedLayer(0, 0)
    with use_layer(layer), aeordb.open(path) as db:
        put_all(db, new)
        return layer.made


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("new", [{"/0": b"new", "/x/y": b"z" * 5000}, many()], ids=["put", "grow"])
def test_behind_every_call(tmp_path: Path, new: Content, times: int) -> None:
    """An interrupt behind the slot's write took the commit back in memory and cut its tail off the
    file: the slot on the disk then named a tail that was not there."""
    raw = prepared(tmp_path)
    path, copy = tmp_path / "data.aeordb", tmp_path / "copy.aeordb"
    path.write_bytes(raw)
    calls = calls_of(path, new)
    assert calls > 7
    outcomes = set()
    for at in range(calls):
        path.write_bytes(raw)
        layer = InterruptedLayer(at, times)
        with use_layer(layer), aeordb.open(path) as db:
            with pytest.raises(KeyboardInterrupt):
                put_all(db, new)
            layer.left = 0
            # Were this process killed now, the file would have to be good as it stands.
            copy.write_bytes(path.read_bytes())
            seen = dict_of(path)
            assert seen in (START, START | new)
            if db.writable:
                assert dict(db) == seen
                db.put("/after", b"1")
                seen["/after"] = b"1"
                assert dict(db) == seen
            else:
                assert times > 1
                with pytest.raises(aeordb.NotDurableError, match="interrupted"):
                    db.put("/after", b"1")
        outcomes.add((new.items() <= seen.items(), "/after" in seen))
        if "/after" in seen:
            assert_file(path)
        assert dict_of(path) == seen
        for left in (path, copy):
            with aeordb.open(left) as db:
                db.put("/later", b"2")
            assert_file(left)
    assert outcomes >= {(False, True), (True, times == 1)}
    assert times > 1 or len(outcomes) == 2
