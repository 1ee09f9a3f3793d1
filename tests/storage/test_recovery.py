"""A writer's first act: what it mends, what it leaves alone, and whose file it takes over."""

import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError, NotDurableError
from aeordb.storage import store
from aeordb.storage.datafile import use_layer
from aeordb.storage.state import load_state, rebuild_live
from tests.kit.fixtures import DATABASES, versions
from tests.kit.layout import FLAG_CHECKPOINT, FLAG_DEAD_PAGES, FLAG_GROWTH, read_slot
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file
from tests.storage.layers import CountingLayer, fails_once

Copy = Callable[[str], Path]


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """A file whose writer was killed after a commit: no clean mark, free ranges, two slots."""
    path = tmp_path / "source.aeordb"
    with aeordb.open(path, "x") as db:
        for i in range(30):
            db.put(f"/{i % 7}", b"%d" % i * 300)
        raw = path.read_bytes()
    (tmp_path / "dirty.aeordb").write_bytes(raw)
    return tmp_path / "dirty.aeordb"


def expected() -> dict[str, bytes]:
    return {f"/{i % 7}": b"%d" % i * 300 for i in range(30)}


def slots(data: bytes) -> tuple[int, int]:
    """Offsets of the live slot and of the other one."""
    first, second = read_slot(data[:256]), read_slot(data[256:512])
    return (0, 256) if first.sequence > second.sequence else (256, 0)


def test_what_lies_behind_the_live_tail_is_cut_off(dirty: Path) -> None:
    with dirty.open("ab") as file:
        file.write(os.urandom(100_000))
    size = os.stat(dirty).st_size
    with aeordb.open(dirty) as db:
        assert os.stat(dirty).st_size == size, "opening alone changes nothing"
        db.put("/new", b"1")
        assert os.stat(dirty).st_size < size
        assert dict(db) == expected() | {"/new": b"1"}
    assert_file(dirty)


def test_a_bad_other_slot_becomes_zeros(dirty: Path) -> None:
    data = bytearray(dirty.read_bytes())
    _, other = slots(data)
    data[other + 10 : other + 60] = os.urandom(50)
    dirty.write_bytes(data)
    with aeordb.open(dirty) as db, db.transaction() as tx:
        tx.put("/x", b"")
        assert dict(db) == expected()
        assert dirty.read_bytes()[other : other + 256] == bytes(256)
    assert_file(dirty)


def test_every_listed_void_is_written_again(dirty: Path) -> None:
    """Whatever it reads like: the page cache may hold what the disk does not."""
    oracle = Oracle(dirty)
    raw = bytearray(oracle.data)
    state = oracle.slot
    fd = os.open(dirty, os.O_RDONLY)
    voids = load_state(fd, str(dirty), lambda _: pytest.fail("no scan")).voids
    os.close(fd)
    assert voids
    for offset, length in voids:
        raw[offset : offset + length] = os.urandom(length)
    dirty.write_bytes(raw)
    with aeordb.open(dirty) as db:
        db.put("/new", b"1")
        assert dict(db) == expected() | {"/new": b"1"}
        assert_file(dirty, closed=False)
    assert_file(dirty)
    assert state.ours.flags == 0


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "truncate"])
def test_a_first_act_that_fails_is_done_again(dirty: Path, call: str, number: int) -> None:
    layer = CountingLayer(fails_once(call, number))
    # The close may fail as well, with the same error: it lets go of the file all the same.
    with suppress(NotDurableError), use_layer(layer), aeordb.open(dirty) as db:
        try:
            db.put("/new", b"1")
        except NotDurableError:
            assert dict(db) == expected()
    with aeordb.open(dirty) as db:
        assert dict(db) in (expected(), expected() | {"/new": b"1"})
        db.put("/new", b"2")
        assert dict(db) == expected() | {"/new": b"2"}
    assert_file(dirty)


@pytest.mark.parametrize("many", [40, 700], ids=["checkpoint", "growth"])
def test_a_flag_is_worked_off_by_the_next_writer(
    tmp_path: Path, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each state of a checkpoint or growth that reached the disk, with its pages torn."""
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", 0)
    path = tmp_path / "data.aeordb"
    flagged: list[bytes] = []

    class Snooping(CountingLayer):
        def fdatasync(self, fd: int) -> None:
            super().fdatasync(fd)
            data = path.read_bytes() if path.exists() else b""
            if len(data) > 512 and any(data[256:512]):
                live, _ = slots(data)
                if read_slot(data[live : live + 256]).ours.flags & FLAG_CHECKPOINT:
                    flagged.append(data)

    with use_layer(Snooping()), aeordb.open(path, "x") as db:
        for i in range(10):
            db.put(f"/{i}", b"%d" % i)
        with db.transaction() as tx:
            for i in range(many):
                tx.put(f"/{i}", b"%d" % i)
    files = {f"/{i}": b"%d" % i for i in range(many)}
    flags = set()
    for n, data in enumerate(flagged):
        slot = read_slot(data[slots(data)[0] :][:256])
        flags.add(slot.ours.flags)
        torn = bytearray(data)
        if slot.ours.flags & FLAG_GROWTH:
            torn[512 : 512 + 40_000] = os.urandom(40_000)
            want = files
        else:
            want = None
        copy = tmp_path / f"{n}.aeordb"
        copy.write_bytes(torn)
        with aeordb.open(copy, "r") as db:
            read = dict(db)
            assert want is None or read == want
        assert copy.read_bytes() == torn
        with aeordb.open(copy) as db:
            db.put("/new", b"1")
            assert dict(db) == read | {"/new": b"1"}
            assert_file(copy, closed=False)
        assert_file(copy)
    assert FLAG_CHECKPOINT in flags
    assert (many < 700) or any(f & FLAG_GROWTH for f in flags)


@pytest.mark.parametrize("name", DATABASES)
def test_aeordbs_files_are_committed_as_they_stand(name: str, fixture_copy: Copy) -> None:
    path = fixture_copy(name)
    before = Oracle(path)
    with aeordb.open(path) as db:
        assert path.read_bytes() == before.data, "opening alone changes nothing"
        db.put("/new-here", b"1")
    after = Oracle(path)
    assert after.slot.ours is not None
    rows = {row[0] for row in after.tree()}
    assert rows == {row[0] for row in versions(name)["HEAD"]} | {"/new-here"}
    assert after.snapshots == before.snapshots
    if name.startswith("voids"):
        assert after.slot.ours.flags & FLAG_DEAD_PAGES


def test_readers_in_this_process_do_not_keep_collected_space_dead(
    fixture_copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handle's own view held the readers' lock: a program that read between its puts never got
    AeorDB's free space to use."""
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    path = fixture_copy("voids")
    with aeordb.open(path) as db:
        for turn in range(3):
            with db.transaction() as tx:
                for i in range(10):
                    tx.put(f"/{turn}/{i}", b"%d" % i)
            assert db[f"/{turn}/3"] == b"3"
        assert not db._store.state.flags & FLAG_DEAD_PAGES
        assert db._store._log.frozen == ()


def test_readers_elsewhere_do_keep_it(fixture_copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 20)
    monkeypatch.setattr("aeordb.storage.recovery._PATIENCE", 0.0)
    path = fixture_copy("voids")
    with aeordb.open(path) as db, aeordb.open(path, "r") as other:
        held = {stat.path: other[stat.path] for stat in other.walk() if stat.kind == "file"}
        for turn in range(3):
            with db.transaction() as tx:
                for i in range(10):
                    tx.put(f"/{turn}/{i}", b"%d" % i)
        assert db._store.state.flags & FLAG_DEAD_PAGES
        assert all(other[name] == data for name, data in held.items())
        other.close()
        with db.transaction() as tx:
            for i in range(10):
                tx.put(f"/last/{i}", b"%d" % i)
        assert not db._store.state.flags & FLAG_DEAD_PAGES
        assert all(db[name] == data for name, data in held.items())


def test_free_ranges_that_cannot_be_are_not_taken_over(fixture_copy: Copy) -> None:
    path = fixture_copy("voids")
    raw = bytearray(path.read_bytes())
    oracle = Oracle(bytes(raw))
    writes, voids = struct.unpack_from("<II", raw, oracle.slot.hot_tail + 6)
    assert voids > 1
    at = oracle.slot.hot_tail + 18 + 46 * writes
    raw[at + 13 : at + 26] = raw[at : at + 13]
    path.write_bytes(raw)
    with aeordb.open(path) as db, pytest.raises(DamagedError, match="which cannot be"):
        db.put("/new", b"1")
    assert path.read_bytes() == raw


# -- state ---------------------------------------------------------------------------------


def test_opening_reads_the_header_and_the_tail_alone(
    dirty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: read.append(n) or real(fd, n, at))
    with aeordb.open(dirty, "r") as db:
        length = Oracle(dirty).slot.ours.tail_length
        assert sum(read) <= length + 4 * 512
        assert db["/0"]


def test_a_tail_that_changes_under_the_reader_is_read_again(
    dirty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between header and tail a writer may commit twice: the header is read again then."""
    new = bytearray(dirty.read_bytes())
    live, _ = slots(new)
    old = bytearray(new)
    struct.pack_into("<Q", old, live + 7, read_slot(bytes(new[live : live + 256])).sequence + 5)
    struct.pack_into("<Q", old, live + 122, 512 + 65_536)
    old[live + 252 : live + 256] = struct.pack("<I", zlib.crc32(old[live : live + 252]))
    dirty.write_bytes(old)
    fd = os.open(dirty, os.O_RDONLY)
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        data = real(fd, length, offset)
        if offset >= 512:
            dirty.write_bytes(new)
        return data

    monkeypatch.setattr(os, "pread", pread)
    state = load_state(fd, str(dirty), lambda _: pytest.fail("no scan"))
    assert state.header.sequence == read_slot(bytes(new[live : live + 256])).sequence
    os.close(fd)


def test_a_scan_gives_the_same_index(dirty: Path) -> None:
    from aeordb.storage.filemap import FileMap
    from aeordb.storage.view import View

    fd = os.open(dirty, os.O_RDONLY)
    files = FileMap(fd)
    state = rebuild_live(fd, str(dirty), files.covering)
    assert state.rebuilt
    view = aeordb.View(View(str(dirty), fd, files, state), state.header.head)
    assert {s.path: view.read(s.path) for s in view.walk()} == expected()
    os.close(fd)
