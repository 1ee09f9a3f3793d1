"""Imports that are killed, that find the disk full, or whose backup changes under them."""

from contextlib import suppress
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError, NotDurableError
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import Recorder
from tests.kit.folders import noise
from tests.kit.killing import killed_at
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file
from tests.kit.small_disk import enlarge, small_disk

_IMPORT = """
with aeordb.open(sys.argv[1]) as db:
    db.import_(sys.argv[2], promote=True)
"""


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backup")
    with aeordb.open(folder / "source.aeordb", "x") as db:
        with db.transaction() as tx:
            for number in range(300):
                tx.put(f"/many/{number}", b"%d" % number * 50)
            tx.put("/big.bin", noise("faults", 6_000_000))
        db.export(folder / "export.aeordb")
    return folder / "export.aeordb"


def new(path: Path) -> tuple[bytes, list[list[object]]]:
    """A database with something in it: its HEAD and tree."""
    with aeordb.open(path, "x") as db:
        db.put("/here.txt", b"here")
    return Oracle(path).head, Oracle(path).tree()


def test_a_killed_import_leaves_the_old_state_or_the_new_one(backup: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    old_head, old_tree = new(path)
    whole = path.read_bytes()
    new_head, new_tree = Oracle(backup).head, sorted(Oracle(backup).tree())
    calls = killed_at(0, _IMPORT, path, backup)
    assert calls is not None
    seen = set()
    for call in sorted({1, 2, 3, 4, calls // 2, *range(calls - 14, calls + 1)} - {0}):
        path.write_bytes(whole)
        assert killed_at(call, _IMPORT, path, backup) is None
        with aeordb.open(path, "r") as db:
            seen.add(db.head)
            assert db.head in (old_head, new_head)
            tree = sorted(Oracle(path).tree(db.head))
            assert tree == (new_tree if db.head == new_head else sorted(old_tree))
        # Running it again finishes.
        with aeordb.open(path) as db:
            db.import_(backup, promote=True)
        assert sorted(Oracle(path).tree()) == new_tree
        # Where all was there already, nothing was written: nor what a commit left to be done.
        assert_file(path, closed=False)
    assert seen == {old_head, new_head}


@pytest.mark.parametrize("short", [False, True])
def test_a_full_disk_leaves_the_database_as_it_was(
    short: bool, backup: Path, tmp_path: Path
) -> None:
    path = tmp_path / "data.aeordb"
    old_head, _ = new(path)
    whole = path.read_bytes()
    probe = Recorder()
    with use_layer(probe), aeordb.open(path) as db:
        db.import_(backup, promote=True)
    changes = sum(call.kind in ("write", "truncate", "punch") for call in probe.calls)
    hits = 0
    for number in range(changes):
        path.write_bytes(whole)
        hits += _import_once_full(path, backup, number, short, old_head)
        with aeordb.open(path) as db:
            db.import_(backup, promote=True)
            assert sorted(Oracle(path).tree(db.head)) == sorted(Oracle(backup).tree())
            # What a failed close left half-done is done by the next write.
            db.put("/more.txt", b"more")
        assert_file(path)
    assert hits > 10


def _import_once_full(path: Path, backup: Path, number: int, short: bool, head: bytes) -> int:
    """Imports with one change that finds no room; 1 if the import itself failed."""
    failed = 0
    # The close may be what fails; all is durable then.
    with (
        use_layer(Recorder(fail_call=number, short=short)),
        suppress(NotDurableError),
        aeordb.open(path) as db,
    ):
        try:
            db.import_(backup, promote=True)
        except NotDurableError:
            failed = 1
        if failed:
            assert (db.head, db["/here.txt"]) == (head, b"here")
            # Room was made: it works again, in the same process.
            db.import_(backup, promote=True)
        assert db.head == Oracle(backup).head
    return failed


def test_a_full_file_system(backup: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 3) as small:
        path = small / "data.aeordb"
        new(path)
        before = path.read_bytes()
        with aeordb.open(path) as db, pytest.raises(NotDurableError) as caught:
            db.import_(backup, promote=True)
        assert caught.value.exit_code == 16
        assert path.read_bytes() == before
        enlarge(small, 20)
        with aeordb.open(path) as db:
            db.import_(backup, promote=True)
        assert sorted(Oracle(path).tree()) == sorted(Oracle(backup).tree())


@pytest.mark.parametrize("what", ["entries", "chunks"])
def test_a_backup_that_changes_under_the_import_is_refused(
    what: str, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the copy every entry's bytes may be exchanged for other good ones."""
    from aeordb.backup import importer

    path, changing = tmp_path / "data.aeordb", tmp_path / "changing.aeordb"
    changing.write_bytes(backup.read_bytes())
    new(path)
    before = path.read_bytes()
    apply = importer._Import.apply

    def change(self: object, *args: object) -> object:
        oracle = Oracle(changing)
        wanted = 1 if what == "chunks" else 2
        found = [e for e in oracle.scan(end=oracle.slot.hot_tail) if e.type == wanted]
        by_length: dict[int, list[object]] = {}
        for entry in found:
            by_length.setdefault(entry.end - entry.offset, []).append(entry)
        group = max(by_length.values(), key=len)
        data = bytearray(changing.read_bytes())
        images = [bytes(data[e.offset : e.end]) for e in group]  # type: ignore[attr-defined]
        for entry, image in zip(group, images[3:] + images[:3], strict=True):
            data[entry.offset : entry.end] = image  # type: ignore[attr-defined]
        with open(changing, "r+b") as file:
            file.write(data)
        return apply(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(importer._Import, "apply", change)
    with aeordb.open(path) as db, pytest.raises(DamagedError):
        db.import_(changing, promote=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["export", "fixture"])
def test_backups_cut_at_every_4_kib(name: str, backup: Path, tmp_path: Path) -> None:
    """Ours are refused for their hot tail; of AeorDB's the log is searched, and has holes."""
    from tests.kit.fixtures import fixture_path

    whole = (backup if name == "export" else fixture_path("files.patch-v1-v2")).read_bytes()
    cut = tmp_path / "cut.aeordb"
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.import_(fixture_path("files.export-v1"), promote=True)
    before = path.read_bytes()
    step = 4096 if name == "fixture" else 4096 * 16
    for length in range(0, len(whole) - 1, step):
        cut.write_bytes(whole[:length])
        with aeordb.open(path) as db, pytest.raises(aeordb.AeorDBError) as caught:
            db.import_(cut, force=True)
        assert caught.value.exit_code in (10, 14)
        assert path.read_bytes() == before
