"""The layer that fails: what each fault does, whom it hits, and what a lost sync takes back."""

import errno
import os
import random
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import NotDurableError
from aeordb.storage.datafile import DataFile, FileLayer, OsLayer, rename_new
from aeordb.testing.faults import ERRORS, KINDS, LOST, SHORT, Fault, FaultLayer, use_layer


def test_the_kinds_are_the_methods_of_the_seam() -> None:
    """A call that is added to the seam must be added to the layer that fails it."""
    methods = {name for name in vars(FileLayer) if not name.startswith("_")}
    assert set(KINDS) == methods
    assert all(callable(getattr(FaultLayer, name)) for name in methods)
    assert {name for name in vars(OsLayer) if not name.startswith("_")} == methods


def make_all(layer: FaultLayer, folder: Path) -> dict[str, object]:
    """Every kind of call once; what each gave, or its error number."""
    found: dict[str, object] = {}
    path, other = str(folder / "file"), str(folder / "other")
    Path(path).write_bytes(b"x" * 10_000)
    fd = OsLayer().open(path, os.O_RDWR)
    layer._paths[fd] = path
    extra = OsLayer().open(path, os.O_RDWR)
    layer._paths[extra] = path
    calls = {
        "open": lambda: os.close(layer.open(path, os.O_RDWR)),
        "pwrite": lambda: layer.pwrite(fd, b"0123456789", 5),
        "punch": lambda: layer.punch(fd, 0, 4096),
        "truncate": lambda: layer.truncate(fd, 9_000),
        "fdatasync": lambda: layer.fdatasync(fd),
        "rename_noreplace": lambda: layer.rename_noreplace(path, other),
        "replace": lambda: layer.replace(other, path),
        "map": lambda: layer.map(fd, 4096).close(),
        "mkdir": lambda: layer.mkdir(str(folder / "folder")),
        "fsync_folder": lambda: layer.fsync_folder(str(folder)),
        "unlink": lambda: layer.unlink(path),
        "close": lambda: layer.close(extra),
    }
    for kind, call in calls.items():
        try:
            found[kind] = call()
        except OSError as error:
            found[kind] = error.errno
    os.close(fd)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ERRORS)
def test_an_error_hits_the_call_that_was_chosen(kind: str, what: str, tmp_path: Path) -> None:
    layer = FaultLayer(Fault(what, kind=kind))
    found = make_all(layer, tmp_path)
    assert found.pop(kind) == getattr(errno, what)
    assert [call.kind for call in layer.hit] == [kind]
    assert {call.kind for call in layer.calls} == set(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("open", "close", "map")])
def test_what_is_lost_is_reported_as_done(kind: str, tmp_path: Path) -> None:
    layer = FaultLayer(Fault(LOST, kind=kind))
    found = make_all(layer, tmp_path)
    assert found[kind] == (10 if kind == "pwrite" else None)
    assert [call.kind for call in layer.hit] == [kind]
    if kind == "unlink":
        assert (tmp_path / "file").exists()


def test_a_short_write_says_how_much_arrived(tmp_path: Path) -> None:
    layer = FaultLayer(Fault(SHORT))
    assert make_all(layer, tmp_path)["pwrite"] == 5
    assert [call.kind for call in layer.hit] == ["pwrite"]


def test_faults_are_chosen_by_number_kind_and_path(tmp_path: Path) -> None:
    layer = FaultLayer(
        Fault("EIO", 1, kind="pwrite", path="/b"), Fault("ENOSPC", 3, kind="pwrite", lasting=True)
    )
    seen = []
    with use_layer(layer):
        files = [DataFile.open(str(tmp_path / name), create=True) for name in "abab"[:2]]
        for number in range(8):
            try:
                files[number % 2].write(0, b"data")
            except NotDurableError as error:
                seen.append((number, error.reason))
        layer.mend()
        files[0].write(0, b"data")
        for file in files:
            file.close()
    # Number 1 of those to b is the fourth write, which both hit: the first of them counts.
    assert seen[0] == (3, "write: Input/output error")
    assert seen[1:] == [(number, "write: No space left on device") for number in range(4, 8)]
    assert len(layer.hit) == 5


def test_a_full_disk_takes_a_part_first(tmp_path: Path) -> None:
    """Two faults in a row: as a real disk does that has room for a part."""
    layer = FaultLayer(Fault(SHORT), Fault("ENOSPC", 1, kind="pwrite"))
    with use_layer(layer):
        file = DataFile.open(str(tmp_path / "f"), create=True)
        with pytest.raises(NotDurableError):
            file.write(0, b"0123456789")
        file.close()
    assert (tmp_path / "f").read_bytes() == b"01234"


def test_wrong_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="no such fault"):
        Fault("ENOENT")
    with pytest.raises(ValueError, match="no such fault"):
        Fault("EIO", kind="write")
    with pytest.raises(ValueError, match="remember"):
        FaultLayer(Fault("EIO")).lose_unsynced()


def test_a_failed_sync_keeps_or_drops_what_was_not_synced(tmp_path: Path) -> None:
    for drops in (False, True):
        path = tmp_path / f"drops-{drops}"
        layer = FaultLayer(Fault("EIO", 1, kind="fdatasync", drops=drops))
        with use_layer(layer):
            file = DataFile.open(str(path), create=True)
            file.write(0, b"synced")
            file.sync()
            file.write(3, b"not synced")
            with pytest.raises(NotDurableError):
                file.sync()
            assert file.read(0, 100) == (b"synced" if drops else b"synnot synced")
            file.close()
        assert path.read_bytes() == (b"synced" if drops else b"synnot synced")


@pytest.mark.parametrize("seed", range(20))
def test_what_is_taken_back_is_what_the_last_sync_left(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    layer = FaultLayer(remember=True)
    paths = [tmp_path / name for name in ("a", "b")]
    durable = [b"", b""]
    with use_layer(layer):
        files = [DataFile.open(str(path), create=True) for path in paths]
        for _ in range(60):
            number = rng.randrange(2)
            file = files[number]
            what = rng.randrange(10)
            if what == 0:
                file.truncate(rng.randrange(20_000))
            elif what == 1:
                file.punch(rng.randrange(10_000), rng.randrange(1, 10_000))
            elif what == 2:
                file.sync()
                durable[number] = paths[number].read_bytes()
            else:
                file.write(rng.randrange(12_000), rng.randbytes(rng.randrange(3_000)))
        for file in files:
            file.close()
    layer.lose_unsynced()
    assert [path.read_bytes() for path in paths] == durable
    layer.lose_unsynced()
    assert [path.read_bytes() for path in paths] == durable


def test_a_sync_that_lies_is_found_out_by_a_power_cut(tmp_path: Path) -> None:
    """Every sync lies, then the power goes: the database is as it was when it was opened."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as database:
        database.put("/a.txt", b"old")
    layer = FaultLayer(Fault(LOST, kind="fdatasync", lasting=True), remember=True)
    with use_layer(layer), aeordb.open(path) as database:
        database.put("/a.txt", b"new")
    layer.lose_unsynced()
    with aeordb.open(path, "r") as database:
        assert database["/a.txt"] == b"old"


def test_the_example(tmp_path: Path) -> None:
    """What the module's text shows."""

    def work(path: Path) -> None:
        with aeordb.open(path, "x") as database:
            database.put("/a.txt", b"text")

    count = FaultLayer()
    with use_layer(count):
        work(tmp_path / "a.aeordb")
    assert len(count.calls) > 10
    failed = 0
    for number in range(len(count.calls)):
        layer = FaultLayer(Fault("ENOSPC", at=number, lasting=True))
        with use_layer(layer):
            try:
                work(tmp_path / f"{number}.aeordb")
            except NotDurableError:
                failed += 1
    assert failed >= len(count.calls) - 4


def test_a_name_that_was_not_given_is_noticed(tmp_path: Path) -> None:
    Path(tmp_path / "part").write_bytes(b"new")
    with use_layer(FaultLayer(Fault("EIO", kind="fsync_folder"))), pytest.raises(NotDurableError):
        rename_new(str(tmp_path / "part"), str(tmp_path / "data"))
