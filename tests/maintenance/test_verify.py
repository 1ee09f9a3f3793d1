"""Verify: what it finds, what it leaves alone, and what is no damage."""

import hashlib
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aeordb
from aeordb.format import constants as c
from aeordb.format.header import live_slot, split_slots
from aeordb.format.keys import file_content_key, file_identity_key, file_path_key
from aeordb.format.records import FileRecord
from aeordb.maintenance import findings as f
from aeordb.native.framing import frame_entries
from aeordb.native.log import LogEntry, scan_log
from aeordb.storage.filemap import FileMap
from aeordb.storage.state import read_header
from aeordb.tree.paths import parse_path
from aeordb.tree.walk import find
from tests.kit.child import ENVIRONMENT
from tests.kit.fixtures import DATABASES, fixture_path

HASHED_AT = 31
VALUE_AT = 95


def log_of(path: Path) -> list[LogEntry]:
    fd = os.open(path, os.O_RDONLY)
    try:
        header = read_header(fd, str(path))
        end = header.hot_tail_offset
        batches = scan_log(FileMap(fd).covering(end), header.log_start, end)
        return [entry for batch in batches for entry in batch]
    finally:
        os.close(fd)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def kinds(report: aeordb.VerifyReport) -> set[str]:
    return {finding.kind for finding in report.findings}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with two versions and a folder that both share, closed cleanly."""
    place = tmp_path / "data.aeordb"
    with aeordb.open(place, "x") as db:
        with db.transaction() as tx:
            tx.put("/docs/a.txt", b"text of a")
            tx.put("/docs/b.txt", b"text of b")
            tx.put("/big.bin", os.urandom(3 * c.CHUNK_LENGTH))
        db.snapshots.create("v1")
        db["/new"] = b"only now"
    return place


def test_a_good_file(path: Path) -> None:
    report = aeordb.verify(path)
    assert report.ok
    assert report.findings == ()
    assert report.notes == ()
    assert report.versions == 2
    assert report.entries == len(log_of(path))
    assert report.bytes == sum(entry.length for entry in log_of(path))
    with aeordb.open(path, "r") as db:
        assert db.verify().ok
        assert report.head == db.head


def test_nothing_is_changed(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    (path.parent / "data.aeordb.lock").unlink()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert aeordb.verify(path, deep=True).ok
        assert os.listdir(path.parent) == ["data.aeordb"]
    finally:
        path.parent.chmod(0o755)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_damaged_chunk_names_files_and_versions(path: Path) -> None:
    with aeordb.open(path, "r") as db:
        whole = db["/big.bin"]
    at = path.read_bytes().index(whole[c.CHUNK_LENGTH : c.CHUNK_LENGTH + 64])
    flip(path, at + 1000)
    report = aeordb.verify(path)
    (finding,) = report.findings
    assert finding.kind == f.ENTRY
    assert finding.offset == at - VALUE_AT
    assert finding.paths == ("/big.bin",)
    assert finding.versions == ("HEAD", "snapshot v1")
    assert "--from" in finding.hint
    assert finding.what == f.KINDS[f.ENTRY]


def test_a_damaged_record_and_folder(path: Path) -> None:
    for kind, where, version in (
        (c.ENTRY_FILE, "/new", "HEAD"),
        (c.ENTRY_DIRECTORY, "/docs", "HEAD"),
    ):
        good = path.read_bytes()
        with aeordb.open(path, "r") as db:
            view = db.reader()
            child = find(view, db.head, parse_path(where))
            assert child is not None
            entry = view.read(child.hash)
            assert entry is not None
            assert entry.type == kind
        flip(path, entry.offset + VALUE_AT + 3)
        report = aeordb.verify(path)
        hit = [finding for finding in report.findings if finding.key == child.hash]
        assert where in hit[0].paths
        assert version in hit[0].versions
        path.write_bytes(good)


def test_garbage_is_told_from_what_is_needed(path: Path) -> None:
    """An entry that no version reaches may be damaged too: gc frees it."""
    with aeordb.open(path) as db:
        db["/gone"] = b"a text that is gone"
        db.delete("/gone")
    flip(path, path.read_bytes().index(b"a text that is gone") + 2)
    (finding,) = aeordb.verify(path).findings
    assert (finding.kind, finding.paths, finding.versions) == (f.ENTRY, (), ())


def test_both_slots_gone(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:8] + bytes(504) + data[512:])
    with pytest.raises(aeordb.DamagedError):
        aeordb.verify(path)


def test_one_slot_gone(path: Path) -> None:
    flip(path, 100)
    report = aeordb.verify(path)
    assert kinds(report) == {f.HEADER_SLOT}
    assert report.findings[0].offset == 0


@pytest.mark.parametrize("slot", [0, 1])
def test_a_slot_of_zeros(slot: int, path: Path) -> None:
    """Of a writer that was killed the last commit may be in it: none may vanish unsaid."""
    start, end = slot * c.SLOT_LENGTH, (slot + 1) * c.SLOT_LENGTH
    closed = path.read_bytes()
    with aeordb.open(path) as db:
        for number in range(3):
            db["/later"] = b"%d" % number
        killed = path.read_bytes()
    for data, newest, lost in ((closed, b"only now", False), (killed, b"2", True)):
        live = live_slot(data).index == slot
        path.write_bytes(data[:start] + bytes(end - start) + data[end:])
        report = aeordb.verify(path)
        assert not report.ok
        assert {finding.offset for finding in report.findings if finding.kind == f.HEADER_SLOT} == {
            start
        }
        (finding,) = (one for one in report.findings if one.kind == f.HEADER_SLOT)
        assert "all zeros" in finding.reason
        with aeordb.open(path, "r") as db:
            there = db.get("/later") if lost else db.get("/new")
        if not live:
            assert there == newest
            assert ("last commit may be lost" in finding.hint) == lost
        elif lost:
            assert there != newest
            assert "last commit may be lost" in finding.hint


def test_a_slot_of_zeros_beside_aeordbs(fixture_copy: Callable[[str], Path]) -> None:
    """Our first commit to AeorDB's file, wiped out: AeorDB's own slot is the only one then."""
    path = fixture_copy("files")
    with aeordb.open(path) as db:
        db["/ours"] = b"ours"
        data = path.read_bytes()
    start = live_slot(data).index * c.SLOT_LENGTH
    path.write_bytes(data[:start] + bytes(c.SLOT_LENGTH) + data[start + c.SLOT_LENGTH :])
    assert f.HEADER_SLOT in kinds(aeordb.verify(path))


def test_slots_of_one_commit(tmp_path: Path) -> None:
    """A file just made, and one that was opened since and not written to, have one slot."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        assert split_slots(path.read_bytes())[1].is_zero
        assert db.verify().ok
        db["/a"] = b"a"
    with aeordb.open(path) as db:
        db.gc(compact=True)
        assert split_slots(path.read_bytes())[1].is_zero
        assert db.verify().ok
    assert aeordb.verify(path).ok


def test_the_hot_tail_gone(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    offset = read_header(fd, str(path)).hot_tail_offset
    os.close(fd)
    flip(path, offset + 30)
    report = aeordb.verify(path)
    assert kinds(report) == {f.HOT_TAIL}
    assert report.findings[0].offset == offset
    # The log is verified all the same, by an index made from it.
    flip(path, path.read_bytes().index(b"text of b"))
    assert kinds(aeordb.verify(path)) == {f.HOT_TAIL, f.ENTRY}


def many(path: Path) -> None:
    with aeordb.open(path, "x") as db, db.transaction() as tx:
        for number in range(700):
            tx.put(f"/many/{number:04}", b"%d" % number)


def test_a_page_gone(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    many(path)
    offset = c.HEADERS_LENGTH + 5 * c.PAGE_LENGTH
    flip(path, offset + 40)
    report = aeordb.verify(path)
    assert kinds(report) == {f.PAGE}
    assert report.findings[0].offset == offset


def test_an_index_record_that_points_elsewhere(tmp_path: Path) -> None:
    """With a good checksum, as a fault of a program would leave it."""
    path = tmp_path / "data.aeordb"
    many(path)
    data = bytearray(path.read_bytes())
    at = c.HEADERS_LENGTH + 5 * c.PAGE_LENGTH
    page = data[at : at + c.PAGE_LENGTH]
    first, second = (slice(10 + 45 * n + 33, 10 + 45 * n + 45) for n in (0, 1))
    page[first], page[second] = page[second], page[first]
    page[4:8] = bytes(4)
    page[4:8] = zlib.crc32(page).to_bytes(4, "little")
    data[at : at + c.PAGE_LENGTH] = page
    path.write_bytes(data)
    report = aeordb.verify(path)
    assert {f.INDEX} <= kinds(report)
    assert f.PAGE not in kinds(report)


def test_an_entry_under_a_wrong_address(path: Path) -> None:
    """Its integrity hash holds: a program stored it so."""
    place = next(e for e in log_of(path) if e.type == c.ENTRY_CHUNK and e.length < 200)
    data = bytearray(path.read_bytes())
    value = bytearray(data[place.offset + VALUE_AT : place.offset + place.length])
    value[0] ^= 1
    frame = frame_entries(
        bytes([c.ENTRY_CHUNK]), b"\0", b"\0", b"\0", place.key, [bytes(value)], place.time
    )
    data[place.offset : place.offset + place.length] = frame
    path.write_bytes(data)
    report = aeordb.verify(path)
    assert kinds(report) == {f.ADDRESS}
    assert report.findings[0].offset == place.offset
    assert report.findings[0].paths


def test_a_missing_entry_does_not_end_the_walk(tmp_path: Path) -> None:
    """Two chunks that the log lost: both are found, each with its file."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db, db.transaction() as tx:
        for name in ("one", "two", "three"):
            tx.put(f"/{name}", name.encode() * 50)
    for name in ("one", "three"):
        entry = next(
            e
            for e in log_of(path)
            if name.encode() * 50 == path.read_bytes()[e.offset + VALUE_AT :][: e.length - VALUE_AT]
        )
        flip(path, entry.offset)  # No entry begins there any more.
    report = aeordb.verify(path)
    assert {f.GAP, f.INDEX} <= kinds(report)
    assert {p for finding in report.findings for p in finding.paths} == {"/one", "/three"}


def test_deep_reads_every_file(path: Path) -> None:
    assert aeordb.verify(path).files == 0
    report = aeordb.verify(path, deep=True)
    assert report.ok
    assert report.files == 4


def test_a_content_hash_that_lies(tmp_path: Path) -> None:
    """All hashes and addresses hold, but the record's content hash is another file's."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db["/f"] = b"the content"
    data = bytearray(path.read_bytes())
    for entry in log_of(path):
        if entry.type != c.ENTRY_FILE:
            continue
        value = bytes(data[entry.offset + VALUE_AT : entry.offset + entry.length])
        record = FileRecord.decode(value, entry.version)
        assert record.content_hash is not None
        lie = value.replace(record.content_hash, hashlib.sha256(b"lie").digest())
        keys = {
            file_identity_key(record.path, record.content_type, record.chunk_keys): False,
            file_path_key(record.path): False,
            file_content_key(value): True,
        }
        assert not keys[entry.key]
        frame = frame_entries(
            bytes([c.ENTRY_FILE]), b"\1", b"\0", b"\0", entry.key, [lie], entry.time
        )
        data[entry.offset : entry.offset + entry.length] = frame
    path.write_bytes(data)
    assert aeordb.verify(path).ok
    report = aeordb.verify(path, deep=True)
    assert kinds(report) == {f.CONTENT}
    assert report.findings[0].paths == ("/f",)


def test_since_leaves_out_what_a_version_reaches(path: Path) -> None:
    old = path.read_bytes().index(b"text of a")
    new = path.read_bytes().index(b"only now")
    flip(path, old)
    assert not aeordb.verify(path).ok
    assert aeordb.verify(path, since="v1").ok
    flip(path, new)
    assert kinds(aeordb.verify(path, since="v1")) == {f.ENTRY}
    with pytest.raises(aeordb.NotFoundError):
        aeordb.verify(path, since="v2")


def test_a_sample_reads_a_part(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    many(path)
    data = bytearray(path.read_bytes())
    for entry in log_of(path):
        if entry.type == c.ENTRY_CHUNK:
            data[entry.offset + HASHED_AT] ^= 1
    path.write_bytes(data)
    assert aeordb.verify(path).found == 700
    assert 0 < aeordb.verify(path, sample=0.2).found < 350
    with pytest.raises(aeordb.UsageError):
        aeordb.verify(path, sample=0)


def test_any_number_of_jobs_finds_the_same(path: Path) -> None:
    for text in (b"text of a", b"only now"):
        flip(path, path.read_bytes().index(text))
    one, two = aeordb.verify(path, jobs=1), aeordb.verify(path, jobs=3)
    assert one.findings == two.findings
    assert len(one.findings) == 2


def test_exports_and_patches(path: Path, tmp_path: Path) -> None:
    with aeordb.open(path, "r") as db:
        db.export(tmp_path / "out.aeordb")
        db.export_patch(tmp_path / "patch.aeordb", base="v1")
    for name in ("out", "patch"):
        assert aeordb.verify(tmp_path / f"{name}.aeordb").ok
        entry = log_of(tmp_path / f"{name}.aeordb")[0]
        flip(tmp_path / f"{name}.aeordb", entry.offset + entry.length - 1)
        assert f.ENTRY in kinds(aeordb.verify(tmp_path / f"{name}.aeordb"))


@pytest.mark.parametrize("name", DATABASES)
def test_files_of_aeordb_hold(name: str) -> None:
    report = aeordb.verify(fixture_path(name))
    assert report.ok
    # Its crash leaves an index that is to be made anew: a remark, no damage.
    assert bool(report.notes) == (name == "dirty")


def test_the_holes_in_an_export_of_aeordb() -> None:
    report = aeordb.verify(fixture_path("btree.export-at600"))
    assert kinds(report) == {f.MISSING}
    assert {finding.paths for finding in report.findings} == {("/many",)}


@pytest.mark.parametrize("name", [*DATABASES])
def test_files_that_we_went_on_with_hold(name: str, fixture_copy: Callable[[str], Path]) -> None:
    path = fixture_copy(name)
    for number in range(3):
        with aeordb.open(path) as db:
            db[f"/ours-{number}"] = b"more" * 100
    report = aeordb.verify(path)
    assert report.findings == ()


KILLED = """
import os, sys, aeordb
db = aeordb.open(sys.argv[1])
for number in range(30):
    db[f"/f{number % 7}"] = b"%d" % number * 50
os._exit(1)
"""


def test_a_killed_writer_leaves_no_damage(path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, path], env=ENVIRONMENT, check=False)
    assert aeordb.verify(path).findings == ()


def test_beside_a_writer(tmp_path: Path) -> None:
    """What is committed meanwhile is left out: no finding, however often one looks."""
    path = tmp_path / "data.aeordb"
    many(path)
    with aeordb.open(path) as db:
        for number in range(120):
            db[f"/many/{number:04}"] = b"changed %d" % number
            if number % 3 == 0:
                db.delete(f"/many/{number + 200:04}")
            if number % 4 == 0:
                assert db.verify().findings == ()


def test_commits_while_it_runs(tmp_path: Path) -> None:
    """A writer commits between the steps of one verification, checkpoints included."""
    path = tmp_path / "data.aeordb"
    many(path)
    with aeordb.open(path) as db:

        class Writing:
            step = 0

            def start(self, total: int | None, label: str) -> None:
                self.advance(0)

            def advance(self, count: int, items: int = 0) -> None:
                for _ in range(3):
                    Writing.step += 1
                    with db.transaction() as tx:
                        for number in range(300):
                            tx.put(f"/many/{number:04}", b"%d %d" % (Writing.step, number))
                        tx.delete(f"/many/{400 + Writing.step:04}")

            def finish(self) -> None:
                pass

        for _ in range(4):
            report = db.verify(progress=Writing())
            assert report.findings == ()
        assert Writing.step > 10


COLLECTING = """
import random, sys, aeordb
chance = random.Random(1)
with aeordb.open(sys.argv[1]) as db:
    for number in range(25):
        with db.transaction() as tx:
            for _ in range(chance.randint(1, 300)):
                path = f"/many/{chance.randrange(900):04}"
                tx.put(path, chance.randbytes(chance.randint(1, 2000)))
        if number % 5 == 4:
            try:
                db.gc()
            except aeordb.LockedError:
                pass
"""


def test_beside_a_process_that_writes_and_collects(tmp_path: Path) -> None:
    """Free space that is written to again while it is read is no damage."""
    path = tmp_path / "data.aeordb"
    many(path)
    child = subprocess.Popen([sys.executable, "-c", COLLECTING, path], env=ENVIRONMENT)
    while child.poll() is None:
        assert aeordb.verify(path).findings == ()
    assert child.returncode == 0
    assert aeordb.verify(path).ok


operations = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "put", "delete", "move", "mkdir", "snapshot", "forget", "restore"]
        ),
        st.integers(0, 11),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=operations)
def test_random_histories_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("history") / "data.aeordb"
    places = [f"/{a}/{b}" if b < 3 else f"/{a}" for a in "xyz" for b in range(4)]
    with aeordb.open(path, "x") as db:
        for verb, place, number in steps:
            try:
                if verb == "put":
                    db.put(places[place], b"%d" % number * 40)
                elif verb == "delete":
                    db.delete(places[place], recursive=True)
                elif verb == "move":
                    db.move(places[place], f"{places[(place + 5) % 12]}-{number}")
                elif verb == "mkdir":
                    db.mkdir(places[place])
                elif verb == "snapshot":
                    db.snapshots.create(f"s{number}")
                elif verb == "forget":
                    db.snapshots.delete(f"s{number}")
                else:
                    db.snapshots.restore(f"s{number}")
            except aeordb.AeorDBError:
                continue
        assert db.verify(deep=True).findings == ()
    assert aeordb.verify(path).findings == ()


def test_slots_that_a_new_file_has_not_written(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    aeordb.open(path, "x").close()
    assert aeordb.verify(path).ok
    with aeordb.open(path, "r") as db:
        db.export(tmp_path / "out.aeordb")
    slots = split_slots((tmp_path / "out.aeordb").read_bytes())
    assert slots[1].is_zero
    assert aeordb.verify(tmp_path / "out.aeordb").ok


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, and longer than nothing\n" * 40)
    for name in ("text", "nothing"):
        with pytest.raises(aeordb.NotADatabaseError):
            aeordb.verify(tmp_path / name)
