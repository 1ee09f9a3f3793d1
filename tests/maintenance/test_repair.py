"""Repair of files whose header slots, pages, hot tail are gone, and of AeorDB's own files."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import (
    ExistsError,
    LockedError,
    NotADatabaseError,
    NotDurableError,
    UsageError,
)
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.recording import QuickLayer, Recorder
from aeordb.testing.scenario import CLOSE, KILL, Step, prepare
from tests.crash.judge import state_of
from tests.kit.damage import DAMAGES, damage, flip
from tests.kit.fixtures import DATABASES, EXPORTS, versions
from tests.kit.folders import noise, prose
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file

Copy = Callable[[str], Path]

HISTORY: list[Step] = [
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 3000)),
    s.put("/large.bin", noise("large", 600_000)),
    s.snapshot("v1"),
    s.put("/a.txt", b"second\n"),
    s.put_many({f"/many/{i:03}.txt": prose(i, 200) for i in range(300)}),
    s.symlink("a.txt", "/folder/link"),
    s.mkdir("/empty/folder"),
    s.move("/folder/b.bin", "/moved.bin"),
    s.snapshot("gone"),
    s.drop_snapshot("gone"),
    s.delete("/large.bin"),
    s.put("/last.txt", b"last\n"),
]


@pytest.fixture(autouse=True)
def quick() -> object:
    with use_layer(QuickLayer()):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"


def repaired(path: Path) -> Path:
    return path.with_name(path.name + ".repaired")


def check_repaired(path: Path, state: object) -> aeordb.RepairReport:
    """Repairs a damaged file; the result holds the state and keeps every rule."""
    before = path.read_bytes()
    report = aeordb.repair(path, jobs=1)
    assert report.output == str(repaired(path))
    assert path.read_bytes() == before
    assert not path.with_name(path.name + ".repaired.part").exists()
    with aeordb.open(report.output, "r") as db:
        assert state_of(db) == state
        assert db.head == report.head
    assert_file(report.output)
    assert aeordb.verify(report.output, deep=True).findings == ()
    again = aeordb.repair(report.output)
    assert (again.output, again.head) == (None, report.head)
    assert not repaired(repaired(path)).exists()
    return report


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("end", [CLOSE, KILL], ids=lambda step: step.name)
def test_every_committed_file_comes_back(path: Path, name: str, end: Step) -> None:
    model = prepare(path, [*HISTORY, end])
    damage(path, name)
    if end is CLOSE and name.startswith("slot-") and aeordb.repair(path).output is None:
        # Both slots name the same state.
        with aeordb.open(path, "r") as db:
            assert state_of(db) == model.state()
        return
    repaired(path).unlink(missing_ok=True)
    report = check_repaired(path, model.state())
    assert report.complete
    assert (report.unreadable, report.lost, report.rebuilt) == (0, (), ())


def test_head_comes_back_where_it_is_an_older_root(path: Path) -> None:
    """Nothing new was written for the root that HEAD went back to."""
    model = prepare(path, [*HISTORY, s.restore("v1")])
    damage(path, "all")
    report = check_repaired(path, model.state())
    assert [version.version for version in report.changed] == ["HEAD"]


def test_what_was_never_committed_stays_away(path: Path) -> None:
    model = prepare(path, [s.put("/a", b"a"), s.give_up("/x", noise("x", 900)), KILL])
    damage(path, "hot-tail")
    check_repaired(path, model.state())


def test_a_repair_in_place_keeps_name_and_permissions(path: Path) -> None:
    model = prepare(path, HISTORY)
    path.chmod(0o600)
    damage(path, "pages")
    link = path.with_name("link.aeordb")
    link.symlink_to(path.name)
    report = aeordb.repair(link, in_place=True)
    assert report.output == str(path)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with aeordb.open(path, "r") as db:
        assert state_of(db) == model.state()
    assert_file(path)
    before = path.read_bytes()
    assert aeordb.repair(path, in_place=True).output is None
    assert path.read_bytes() == before


def test_the_copy_is_as_private_as_the_file(path: Path) -> None:
    """It holds the same credentials."""
    prepare(path, HISTORY[:1])
    path.chmod(0o600)
    damage(path, "hot-tail")
    aeordb.repair(path)
    assert stat.S_IMODE(repaired(path).stat().st_mode) == 0o600


def test_what_is_sound_is_left_alone(path: Path) -> None:
    prepare(path, HISTORY)
    before = path.read_bytes()
    report = aeordb.repair(path)
    assert (report.output, report.complete) == (None, True)
    assert path.read_bytes() == before
    assert not repaired(path).exists()


def test_refusals(path: Path, tmp_path: Path, fixture_copy: Copy) -> None:
    with pytest.raises(NotADatabaseError):
        aeordb.repair(path)
    path.write_bytes(bytes(5000))
    with pytest.raises(NotADatabaseError, match="no entry is left"):
        aeordb.repair(path)
    path.unlink()
    prepare(path, HISTORY[:2])
    damage(path, "pages")
    repaired(path).write_bytes(b"mine")
    with pytest.raises(ExistsError):
        aeordb.repair(path)
    assert repaired(path).read_bytes() == b"mine"
    with pytest.raises(UsageError, match="patch"):
        aeordb.repair(fixture_copy("files.patch-v1-v2"))
    newer = tmp_path / "newer.aeordb"
    content = bytearray(path.read_bytes())
    for start in (0, 256):
        content[start + 4] = 4
        content[start + 252 : start + 256] = _crc(content[start : start + 252])
    newer.write_bytes(content)
    with pytest.raises(NotADatabaseError, match="header version 4"):
        aeordb.repair(newer)


def _crc(data: bytes) -> bytes:
    import zlib

    return zlib.crc32(data).to_bytes(4, "little")


@pytest.mark.parametrize("length", [1, 300, 512, 700, 66_048])
def test_what_has_no_entry_is_no_database(path: Path, length: int) -> None:
    prepare(path, HISTORY[:2])
    with path.open("r+b") as file:
        file.truncate(length)
    with pytest.raises(NotADatabaseError):
        aeordb.repair(path)


def test_of_a_file_that_was_cut_short_what_is_left_comes_back(path: Path) -> None:
    model = prepare(path, HISTORY)
    oracle = Oracle(path)
    child = oracle.find("/last.txt")
    assert child is not None
    cut = oracle.need(child.hash, child.type).offset
    with path.open("r+b") as file:
        file.truncate(cut)
    report = aeordb.repair(path)
    assert not report.complete
    model.delete("/last.txt")
    with aeordb.open(report.output or "", "r") as db:
        assert state_of(db) == model.state()
    assert_file(report.output or "")
    assert aeordb.verify(report.output or "", deep=True).ok


def test_another_writer_is_named(path: Path) -> None:
    prepare(path, HISTORY[:2])
    with aeordb.open(path) as db:
        db.put("/x", b"x")
        content = bytearray(path.read_bytes())
        content[600:700] = bytes(100)
        for in_place in (False, True):
            with pytest.raises(LockedError) as caught:
                aeordb.repair(path, in_place=in_place, verified=_not_ok())
            assert caught.value.pid == os.getpid()
    assert not repaired(path).exists()


def _not_ok() -> aeordb.VerifyReport:
    return aeordb.VerifyReport(False, (), 1, (), "", b"", 0, 0, 0, 0, 0.0)


@pytest.mark.parametrize("call", [0, 3, 6])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_full_disk_leaves_nothing_behind(path: Path, call: int, in_place: bool) -> None:
    prepare(path, HISTORY)
    damage(path, "pages")
    before = path.read_bytes()
    names = set(path.parent.iterdir())
    with use_layer(Recorder(fail_call=call)), pytest.raises(NotDurableError):
        aeordb.repair(path, in_place=in_place)
    assert path.read_bytes() == before
    assert set(path.parent.iterdir()) <= names | {path.with_name("data.aeordb.lock")}


@pytest.mark.parametrize("name", DATABASES + EXPORTS)
def test_files_of_aeordbs_hold_the_same_afterwards(name: str, fixture_copy: Copy) -> None:
    path = fixture_copy(name)
    before = Oracle(path)
    system, names = before.system_tree(), (before.snapshots, before.forks)
    damage(path, "pages")
    if name not in ("dirty",):
        damage(path, "hot-tail")
    report = aeordb.repair(path, verified=_not_ok())
    assert report.output is not None
    assert report.lost == ()
    assert_file(report.output)
    oracle = Oracle(report.output)
    assert (oracle.snapshots, oracle.forks) == names
    if name != "btree.export-at600":
        assert oracle.head == before.head
    assert oracle.system_tree() == system
    assert aeordb.verify(report.output).findings == ()
    again = aeordb.repair(report.output, verified=_not_ok())
    assert Path(again.output or "").read_bytes() == Path(report.output).read_bytes()


def test_all_files_of_an_incomplete_export_come_back(fixture_copy: Copy) -> None:
    path = fixture_copy("btree.export-at600")
    report = aeordb.repair(path)
    assert [(r.path, r.version, r.children) for r in report.rebuilt] == [("/many", "HEAD", 600)]
    assert not report.complete
    assert sorted(Oracle(report.output or "").tree()) == versions("btree.export-at600")["HEAD"]
    assert aeordb.verify(report.output or "", deep=True).ok


def test_a_flipped_byte_of_the_page_block_is_repaired(path: Path) -> None:
    model = prepare(path, HISTORY)
    oracle = Oracle(path)
    page = next(n for n in range(oracle.slot.pages) if oracle.page(n))
    flip(path, 512 + page * 1450 + 30)
    check_repaired(path, model.state())
