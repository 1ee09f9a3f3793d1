"""What failing every call in turn has found, one test for each."""

import errno
from pathlib import Path

import pytest

import aeordb
import aeordb.maintenance.sweep as sweep
import aeordb.storage.store as store
from aeordb.errors import DamagedError, NotDurableError
from aeordb.storage.datafile import DataFile, remove, use_layer
from aeordb.testing import scenario as s
from aeordb.testing.faults import ERRORS, LOST, Fault, FaultLayer
from aeordb.testing.scenario import prepare
from tests.crash.test_gc_cuts import BASE as GARBAGE
from tests.kit.rules import check_file


@pytest.mark.parametrize("what", ERRORS)
def test_an_open_that_fails_is_an_error_of_ours(tmp_path: Path, what: str) -> None:
    """Opening and removing gave the system's bare error, which the command line takes for a fault
    of its own where it is EFBIG or EINTR."""
    path = tmp_path / "data.aeordb"
    path.write_bytes(b"x")
    with use_layer(FaultLayer(Fault(what, kind="open"), Fault(what, kind="unlink"))):
        with pytest.raises(NotDurableError, match="open: ") as caught:
            DataFile.open(str(path))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == getattr(errno, what)
        with pytest.raises(NotDurableError, match="remove: "):
            remove(str(path))


def test_a_close_that_fails_takes_nothing_back(tmp_path: Path) -> None:
    """An export was reported as failed, with the system's bare error, though it had its name and
    was durable: a close says nothing that a sync has not said."""
    path = tmp_path / "data.aeordb"
    with use_layer(FaultLayer(Fault("EIO", kind="close", lasting=True))):
        with aeordb.open(path, "x") as database:
            database.put("/a.txt", b"text")
            database.export(tmp_path / "out.aeordb")
        with aeordb.open(path) as database:
            assert database["/a.txt"] == b"text"
    assert aeordb.verify(tmp_path / "out.aeordb").ok


def test_what_cannot_be_taken_away_hides_no_error(tmp_path: Path) -> None:
    """Where the half-made file could not be removed either, that bare error came instead of the
    one that began it."""
    path = tmp_path / "data.aeordb"
    faults = Fault("ENOSPC", kind="pwrite"), Fault("EIO", kind="unlink", at=1)
    with use_layer(FaultLayer(*faults)), pytest.raises(NotDurableError, match="No space left"):
        aeordb.open(path, "x")


def test_a_database_whose_name_may_not_last_is_not_there(tmp_path: Path) -> None:
    """The sync of the folder failed: the database was reported as not made, and stood there."""
    path = tmp_path / "data.aeordb"
    with use_layer(FaultLayer(Fault("EIO", kind="fsync_folder"))), pytest.raises(NotDurableError):
        aeordb.open(path, "x")
    assert not path.exists()
    aeordb.open(path, "x").close()


def test_a_hole_that_a_signal_interrupts_is_filled_with_zeros(tmp_path: Path) -> None:
    """Unlike the other calls, this one is not made again by Python."""
    path = tmp_path / "data.aeordb"
    prepare(path, [*GARBAGE, s.put("/huge", bytes(range(256)) * 900), s.delete("/huge")])
    layer = FaultLayer(Fault("EINTR", kind="punch", lasting=True))
    with use_layer(layer), aeordb.open(path) as database:
        database.gc()
    assert layer.hit
    assert check_file(path) == []


def test_a_compact_whose_rename_was_lost_says_so_and_goes_on(tmp_path: Path) -> None:
    """The handle had given up the old file, and had no new one: a bad descriptor."""
    path = tmp_path / "data.aeordb"
    prepare(path, GARBAGE)
    with use_layer(FaultLayer(Fault(LOST, kind="replace"))), aeordb.open(path) as database:
        with pytest.raises(NotDurableError, match="another file has the name"):
            database.gc(compact=True)
        database.put("/next.txt", b"text")
        assert database["/next.txt"] == b"text"
    assert check_file(path) == []
    assert not Path(f"{path}.compact").exists()


def test_a_gc_that_finds_a_lost_page_calls_it_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gc took out of a page was there again when it went on: it ended with the helper's own
    word for a mistake of its caller. What damage there is in its second half came out bare, too."""
    monkeypatch.setattr(sweep, "_BATCH_ENTRIES", 40)
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 12)
    path = tmp_path / "data.aeordb"
    prepare(path, GARBAGE)
    content = path.read_bytes()
    count = FaultLayer()
    with use_layer(count), aeordb.open(path, jobs=1) as database:
        database.gc()
    found = 0
    for number in range(sum(call.kind == "pwrite" for call in count.calls)):
        path.write_bytes(content)
        with use_layer(FaultLayer(Fault(LOST, number, kind="pwrite"))):
            try:
                with aeordb.open(path, jobs=1) as database:
                    database.gc()
            except DamagedError as error:
                found += "not what was written" in str(error)
    assert found


def test_a_new_file_that_lost_what_was_written_to_it_is_not_mapped(tmp_path: Path) -> None:
    """The zeros for the index were swallowed, so the file was too short to be mapped: a ValueError
    of Python's."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as database:
        database.put("/a.txt", b"text")
        layer = FaultLayer(Fault(LOST, kind="pwrite", lasting=True))
        with use_layer(layer), pytest.raises(NotDurableError, match="map: "):
            database.export(tmp_path / "out.aeordb")
    assert list(tmp_path.glob("out*")) == []
