"""Repair of files with damaged entries: what is mended, what is lost, what backups bring back."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import aeordb
from aeordb.format.header import live_slot
from aeordb.storage.datafile import use_layer
from aeordb.testing import scenario as s
from aeordb.testing.judge import SYSTEM
from aeordb.testing.recording import QuickLayer
from aeordb.testing.scenario import Model, prepare
from tests.crash.judge import state_of
from tests.kit.damage import damage, flip, wipe
from tests.kit.folders import noise, prose
from tests.kit.hostile import Forgery
from tests.kit.layout import CHUNK, DIRECTORY, FILE, SNAPSHOT, SYMLINK, Entry
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file
from tests.kit.values import directory_node, path_key

STEPS = [
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 3000)),
    s.put("/folder/c.txt", prose("c", 5000)),
    s.symlink("c.txt", "/folder/link"),
    s.put_many({f"/many/{i:03}.txt": prose(i, 200) for i in range(300)}),
    s.snapshot("v1"),
    s.put("/a.txt", b"second\n"),
    s.put("/folder/deep/d.txt", prose("d", 700)),
]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with use_layer(QuickLayer()):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"


@pytest.fixture
def model(path: Path) -> Model:
    return prepare(path, STEPS)


def repair(path: Path, **options: object) -> aeordb.RepairReport:
    """Repairs; the result keeps every rule, whatever was lost."""
    report = aeordb.repair(path, jobs=1, **options)  # type: ignore[arg-type]
    assert report.output is not None
    assert_file(report.output)
    assert aeordb.verify(report.output, deep=True).findings == ()
    assert aeordb.repair(report.output).output is None
    return report


def state(report: aeordb.RepairReport) -> object:
    with aeordb.open(report.output or "", "r") as db:
        return state_of(db)


def chunk_of(path: Path, name: str) -> Entry:
    oracle = Oracle(path)
    child = oracle.find(name)
    assert child is not None
    return oracle.need(oracle.file_record(child.hash).chunks[0], CHUNK)


def node_of(path: Path, name: str) -> Entry:
    oracle = Oracle(path)
    child = oracle.find(name)
    return oracle.need(oracle.head if child is None else child.hash, DIRECTORY)


def without(model: Model, *paths: str) -> Model:
    for name in paths:
        model.delete(name)
    return model


def test_a_lost_chunk_takes_one_file_with_it(path: Path, model: Model) -> None:
    """The other version of the path still stands, and is named."""
    wipe(path, chunk_of(path, "/a.txt"))
    report = repair(path)
    assert [(x.path, x.versions, x.stands_in) for x in report.lost] == [
        ("/a.txt", ("HEAD",), ("snapshot v1",))
    ]
    assert not report.complete
    assert report.rebuilt == ()
    assert [version.version for version in report.changed] == ["HEAD"]
    assert state(report) == without(model, "/a.txt").state()


def test_what_all_versions_share_is_lost_in_all(path: Path, model: Model) -> None:
    wipe(path, chunk_of(path, "/folder/c.txt"), start=70)
    report = repair(path)
    assert [(x.path, x.versions, x.stands_in) for x in report.lost] == [
        ("/folder/c.txt", ("HEAD", "snapshot v1"), ())
    ]
    assert report.unreadable == 1
    model.delete("/folder/c.txt")
    model.names["v1"] = tuple(row for row in model.names["v1"] if row[0] != "/folder/c.txt")
    assert state(report) == model.state()


@pytest.mark.parametrize("kind", ["export", "database"])
def test_a_backup_brings_lost_entries_back(path: Path, model: Model, kind: str) -> None:
    """A replaced entry keeps its time; HEAD and all versions are what they were."""
    backup = path.with_name("backup.aeordb")
    if kind == "export":
        with aeordb.open(path, "r") as db:
            db.export(backup)
    else:
        backup.write_bytes(path.read_bytes())
    head = Oracle(path).head
    lost = chunk_of(path, "/folder/b.bin")
    for entry in (chunk_of(path, "/folder/c.txt"), lost, node_of(path, "/folder")):
        wipe(path, entry, start=96)
    report = repair(path, refill=[backup])
    assert (report.head, report.complete, report.changed) == (head, True, ())
    assert report.refilled >= 3
    assert report.unreadable == 0
    assert state(report) == model.state()
    found = Oracle(report.output or "").need(lost.key, CHUNK)
    assert (found.time, found.value) == (lost.time, lost.value)


def test_a_backup_brings_back_what_has_no_header_any_more(path: Path, model: Model) -> None:
    """The key is known from the version that needs it."""
    backup = path.with_name("backup.aeordb")
    with aeordb.open(path, "r") as db:
        db.export(backup)
    for name in ("/folder/c.txt", "/many/007.txt"):
        wipe(path, chunk_of(path, name))
    wipe(path, node_of(path, "/many"))
    report = repair(path, refill=[backup])
    assert (report.complete, report.changed) == (True, ())
    assert state(report) == model.state()


def test_a_lying_backup_is_not_believed(path: Path, model: Model) -> None:
    """Under the right key, with a good integrity hash, other bytes: the address tells."""
    wanted = chunk_of(path, "/a.txt")
    wipe(path, wanted, start=96)
    forgery = Forgery()
    forgery.entry(CHUNK, wanted.key, b"other bytes")
    root, _ = forgery.folder([forgery.file("/x", b"other")])
    backup = forgery.write(path.with_name("lying.aeordb"), root)
    report = repair(path, refill=[backup])
    assert [lost.path for lost in report.lost] == ["/a.txt"]
    assert report.refilled == 0


@pytest.mark.parametrize("name", ["/a.txt", "/folder", "/many", "/folder/link", "/"])
def test_every_flip_in_an_entrys_frame_is_mended(path: Path, name: str) -> None:
    """Header, integrity hash and key are all told by what the others and the value say."""
    steps = [step for step in STEPS if name == "/many" or "300" not in step.name]
    model = prepare(path, steps)
    oracle = Oracle(path)
    child = oracle.find(name) if name != "/" else None
    entry = oracle.need(oracle.head, DIRECTORY)
    if child is not None:
        entry = oracle.need(child.hash, child.type)
    content = path.read_bytes()
    # The time alone is under no hash.
    for at in [*range(19), *range(27, 95)][:: 1 if name == "/a.txt" else 4]:
        path.write_bytes(content)
        flip(path, entry.offset + at)
        report = aeordb.repair(path, verified=_not_ok(), jobs=1)
        assert report.complete, at
        assert report.changed == (), at
        assert state(report) == model.state(), at
        Path(report.output or "").unlink()


def _not_ok() -> aeordb.VerifyReport:
    return aeordb.VerifyReport(False, (), 1, (), "", b"", 0, 0, 0, 0, 0.0)


def test_a_lost_record_is_found_under_its_path_key(path: Path, model: Model) -> None:
    oracle = Oracle(path)
    for name, kind in (("/folder/c.txt", FILE), ("/folder/link", SYMLINK)):
        child = oracle.find(name)
        assert child is not None
        wipe(path, oracle.need(child.hash, kind))
    report = repair(path)
    assert (report.complete, report.changed) == (True, ())
    assert state(report) == model.state()


def test_a_lost_listing_is_rebuilt_from_records(path: Path, model: Model) -> None:
    wipe(path, node_of(path, "/folder"))
    report = repair(path)
    assert ("/folder", "HEAD", 4) in [(r.path, r.version, r.children) for r in report.rebuilt]
    assert report.lost == ()
    assert not report.complete
    assert state(report) == model.state()


def test_a_lost_root_is_rebuilt_from_records(path: Path, model: Model) -> None:
    wipe(path, node_of(path, "/"))
    report = repair(path)
    assert report.lost == ()
    assert state(report) == model.state()


def test_files_from_before_1970_are_listed_again(path: Path, model: Model) -> None:
    """Found by fuzzing: the listing made anew took no negative time as a virtual time."""
    with aeordb.open(path) as db:
        db.put("/old.txt", b"old", updated=-5000)
    wipe(path, node_of(path, "/"))
    with aeordb.open(str(repair(path).output), "r") as db:
        assert db.stat("/old.txt").updated == -5000
        assert db["/old.txt"] == b"old"


def test_times_far_ahead_are_no_fault_of_the_program(path: Path) -> None:
    """Found by fuzzing: a header's time close to the end of numbers ended in an OverflowError."""
    prepare(path, STEPS[:1])
    wipe(path, node_of(path, "/"))
    with path.open("r+b") as file:
        header = live_slot(file.read(512))
        file.seek(header.index * 256)
        file.write(header.header._replace(updated_at=(1 << 63) - 1, spare=None).encode())
    with suppress(aeordb.AeorDBError):
        aeordb.repair(path, jobs=1)


def test_a_lost_root_is_rebuilt_as_it_was_after_a_restore(path: Path) -> None:
    """What the restore took away has records, too."""
    model = prepare(path, [*STEPS, s.restore("v1")])
    wipe(path, node_of(path, "/"))
    report = repair(path)
    assert state(report) == model.state()


def test_without_a_header_head_is_the_newest_complete_root(path: Path, model: Model) -> None:
    """What is left of the newest one is not thrown away."""
    older = model.head()
    with aeordb.open(path) as db:
        head = db.head
        db.put("/new.bin", noise("new", 4000))
        db.put("/new.txt", b"new")
    model.put("/new.bin", noise("new", 4000))
    model.put("/new.txt", b"new")
    wipe(path, chunk_of(path, "/new.bin"), start=96)
    damage(path, "both-slots")
    report = repair(path)
    assert (report.head, report.complete) == (head, False)
    assert report.kept_as is not None
    assert report.kept_as.startswith("repaired-")
    label = f"snapshot {report.kept_as}"
    assert [(x.path, x.versions) for x in report.lost] == [("/new.bin", (label,))]
    kept = without(model, "/new.bin").head()
    model.go_to(older)
    model.names[report.kept_as] = kept
    assert state(report) == model.state()


def test_without_a_header_what_can_be_found_again_is_complete(path: Path) -> None:
    """HEAD went back to the empty root of the new file, for one record that stood under its path
    key as well."""
    model = prepare(path, STEPS[:2])
    oracle = Oracle(path)
    child = oracle.find("/folder/b.bin")
    assert child is not None
    wipe(path, oracle.need(child.hash, FILE))
    damage(path, "both-slots")
    report = repair(path)
    assert (report.head, report.complete) == (oracle.head, True)
    assert state(report) == model.state()


def test_without_a_header_the_empty_root_is_no_version_to_go_back_to(path: Path) -> None:
    model = prepare(path, [s.put_many({"/a": noise("a", 900), "/b": noise("b", 900)})])
    wipe(path, chunk_of(path, "/a"), start=96)
    damage(path, "both-slots")
    report = repair(path)
    assert [x.path for x in report.lost] == ["/a"]
    assert state(report) == without(model, "/a").state()


def test_without_a_header_what_stands_in_the_place_of_a_root_and_is_none_is_passed_over(
    path: Path, model: Model
) -> None:
    """Found by fuzzing: a whole entry there that is no node ended repair with a FormatError."""
    with aeordb.open(path) as db, db.transaction() as transaction:
        transaction.writer.append(DIRECTORY, path_key(DIRECTORY, "/"), b"not a node")
    damage(path, "both-slots")
    report = repair(path)
    assert state(report) == model.state()


def test_only_the_names_of_a_lost_leaf_are_rebuilt(path: Path, model: Model) -> None:
    """A file that was deleted long ago does not come back with the others."""
    with aeordb.open(path) as db:
        db.delete("/many/000.txt")
        db.delete("/many/200.txt")
    node = directory_node(node_of(path, "/many").value)
    wipe(path, Oracle(path).need(node.nodes[0], DIRECTORY))
    report = repair(path)
    assert report.lost == ()
    assert ("/many", "HEAD", 298) in [(r.path, r.version, r.children) for r in report.rebuilt]
    assert state(report) == without(model, "/many/000.txt", "/many/200.txt").state()


def test_a_lost_snapshot_is_said_to_be_lost(path: Path, model: Model) -> None:
    with aeordb.open(path) as db:
        db.snapshots.create("v2")
    oracle = Oracle(path)
    entry = next(e for e in oracle.scan() if e.type == SNAPSHOT and b"v2" in e.value)
    wipe(path, entry, start=95)
    report = repair(path)
    assert (report.lost_names, report.complete) == (1, False)
    assert state(report) == model.state()


def test_the_root_key_survives(path: Path, model: Model) -> None:
    with aeordb.open(path) as db:
        key = db.create_root_key()
    damage(path, "all")
    report = repair(path)
    with aeordb.open(report.output or "", "r") as db:
        db.export(path.with_name("all.aeordb"), root_key=key)
        head, names = state_of(db) or ((), ())
    assert head == model.head()
    assert dict(names) == {**model.names, SYSTEM: (("key root-bootstrap", "key", 0, ""),)}


def test_a_lost_system_folder_is_rebuilt(path: Path, model: Model) -> None:
    with aeordb.open(path) as db:
        key = db.create_root_key()
    oracle = Oracle(path)
    wipe(path, oracle.need(path_key(DIRECTORY, "/.aeordb-system"), DIRECTORY))
    wipe(path, oracle.need(oracle.system_roots["/.aeordb-system"], DIRECTORY))
    report = repair(path)
    with aeordb.open(report.output or "", "r") as db:
        db.export(path.with_name("all.aeordb"), root_key=key)


def test_a_database_kept_as_a_file_gives_no_names(path: Path, tmp_path: Path) -> None:
    """A chunk whose header is damaged may hold the entries of another database. Its snapshots,
    and its users and keys, were taken for those of the file that holds it.
    """
    inner = tmp_path / "inner.aeordb"
    prepare(inner, [s.put("/x", b"x"), s.snapshot("theirs")])
    with aeordb.open(inner) as db:
        db.create_root_key()
    log = inner.read_bytes()[66_048:]
    assert len(log) < 100_000
    model = prepare(path, [s.put("/a", b"a"), s.snapshot("v1"), s.put("/inner.bin", log)])
    entry = chunk_of(path, "/inner.bin")
    for at in (0, 15):
        content = path.read_bytes()
        flip(path, entry.offset + at)
        report = repair(path)
        found = Oracle(report.output or "")
        assert list(found.snapshots) == ["v1"]
        assert found.system_roots == {}
        assert [lost.path for lost in report.lost] in ([], ["/inner.bin"])
        Path(report.output or "").unlink()
        path.write_bytes(content)
    assert model.state() is not None
