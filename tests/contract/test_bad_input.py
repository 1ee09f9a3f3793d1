"""Files that are none, or are damaged: the right error, not a byte changed, never a wrong byte."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aeordb
from aeordb.cli.main import run
from aeordb.errors import AeorDBError, DamagedError, NotADatabaseError, UsageError
from tests.contract.test_readers import content
from tests.kit.fixtures import FOLDER
from tests.kit.layout import PAGE_LENGTH, read_slot
from tests.kit.oracle import Oracle

Changed = Callable[[bytearray], None]
FILES = {f"/f{i % 5}/{i}": content(f"/f{i % 5}/{i}") for i in range(260)}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with pages, a hot tail, free ranges, a snapshot and two good slots."""
    path = tmp_path_factory.mktemp("good") / "data.aeordb"
    with aeordb.open(path, "x") as db:
        with db.transaction() as tx:
            for name, data in FILES.items():
                tx.put(name, data)
        db.snapshots.create("v1")
        for i in range(12):
            db.put("/changing", bytes(3000 * i))
            db.put("/changing", bytes(100 * i))
        db.delete("/changing")
    return path.read_bytes()


@pytest.fixture
def bad(tmp_path: Path, good: bytes) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "bad.aeordb"
        path.write_bytes(data)
        return path

    return write


def slot_field(data: bytearray, offset: int, raw: bytes, slots: tuple[int, ...] = (0, 1)) -> None:
    """Sets a field of the header slots, with good CRCs."""
    for slot in slots:
        start = 256 * slot
        data[start + offset : start + offset + len(raw)] = raw
        data[start + 252 : start + 256] = struct.pack("<I", zlib.crc32(data[start : start + 252]))


def refused(path: Path, kind: type[AeorDBError], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way of opening is refused with this class and its exit code; nothing changes."""
    before = path.read_bytes() if path.is_file() else None
    names = sorted(p.name for p in path.parent.iterdir())
    for mode in ("r", "r+", "a"):
        with pytest.raises(kind) as caught:
            aeordb.open(path, mode)
        assert type(caught.value) is kind
        assert str(path) in str(caught.value)
    monkeypatch.chdir(path.parent)
    assert run(["-D", path.name, "ls"]) == kind.exit_code
    assert run(["-D", path.name, "rm", "/f0/0"]) == kind.exit_code
    if before is not None:
        assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) in (
        names,
        sorted([*names, f"{path.name}.lock"]),
    )


@pytest.mark.parametrize("what", ["empty", "text", "zeros", "short", "folder", "fifo"])
def test_what_is_no_database(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.aeordb"
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        import os

        os.mkfifo(path)
    else:
        path.write_bytes(
            {"empty": b"", "text": b"Dear diary\n" * 99, "zeros": bytes(4096), "short": b"AEOR\3"}[
                what
            ]
        )
    refused(path, NotADatabaseError, monkeypatch)
    assert not path.with_name("bad.aeordb.lock").exists()
    with pytest.raises(NotADatabaseError):
        aeordb.info(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    for mode in ("r", "r+"):
        with pytest.raises(NotADatabaseError, match="no such file"):
            aeordb.open(tmp_path / "none.aeordb", mode)
    with pytest.raises(NotADatabaseError, match="no such file"):
        aeordb.info(tmp_path / "none.aeordb")
    (tmp_path / "dangling").symlink_to("none.aeordb")
    with pytest.raises(NotADatabaseError):
        aeordb.open(tmp_path / "dangling", "a")
    assert [p.name for p in tmp_path.iterdir()] == ["dangling"]
    with pytest.raises(UsageError, match="mode"):
        aeordb.open(tmp_path / "none.aeordb", "w")


@pytest.mark.parametrize(
    ("offset", "raw", "says"),
    [(4, b"\2", "version 2"), (4, b"\4", "version 4"), (5, b"\2\0", "algorithm 2")],
)
def test_other_versions_and_algorithms_are_named(
    good: bytes,
    bad: Callable[[bytes], Path],
    offset: int,
    raw: bytes,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(good)
    slot_field(data, offset, raw)
    path = bad(data)
    refused(path, NotADatabaseError, monkeypatch)
    with pytest.raises(NotADatabaseError, match=says):
        aeordb.open(path)


def test_two_bad_slots_are_damage(
    good: bytes, bad: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(good)
    data[100] ^= 1
    data[356] ^= 1
    refused(bad(data), DamagedError, monkeypatch)


def test_one_bad_slot_is_what_a_cut_leaves(good: bytes, bad: Callable[[bytes], Path]) -> None:
    slots = [read_slot(good[:256]), read_slot(good[256:512])]
    dead = slots.index(min(slots, key=lambda slot: slot.sequence))
    data = bytearray(good)
    data[256 * dead + 30] ^= 4
    path = bad(data)
    with aeordb.open(path, "r") as db:
        assert dict(db) == FILES
    assert path.read_bytes() == data


def live(data: bytes) -> int:
    """Number of the live slot."""
    return max((0, 1), key=lambda n: read_slot(data[256 * n :][:256]).sequence)


def test_a_flipped_bit_in_the_hot_tail_is_never_a_step_back(
    good: bytes, bad: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = read_slot(good[256 * live(good) :][:256])
    length = slot.ours.tail_length
    for at in [*range(18), *range(18, length, max(1, length // 25)), length - 1]:
        data = bytearray(good)
        data[slot.hot_tail + at] ^= 1 << at % 8
        path = bad(data)
        with pytest.raises(DamagedError, match="hot tail") as caught:
            aeordb.open(path, "r")
        assert str(slot.sequence) in str(caught.value)
    refused(path, DamagedError, monkeypatch)


def read_everything(path: Path) -> Iterator[AeorDBError]:
    """Reads all there is, by every way; what raised. A byte that is handed out must be right."""
    try:
        db = aeordb.open(path, "r")
    except AeorDBError as error:
        yield error
        return
    with db:
        for version in ("HEAD", "v1"):
            try:
                view = db.at(version)
                for stat in view.walk():
                    if stat.kind == "file":
                        assert FILES[stat.path] == view.read(stat.path)
            except AeorDBError as error:
                yield error
            for name, data in FILES.items():
                try:
                    assert db[name] == data
                except AeorDBError as error:
                    yield error
        try:
            assert [s.name for s in db.snapshots.list()] == ["v1"]
        except AeorDBError as error:
            yield error


def test_a_cut_file_is_an_error_at_every_length(good: bytes, bad: Callable[[bytes], Path]) -> None:
    edges = [0, 1, 4, 255, 256, 257, 511, 512, 513, 66_047, 66_048, 66_049, len(good) - 1]
    lengths = edges + random.Random(1).sample(range(len(good)), 40)
    for length in lengths:
        path = bad(good[:length])
        with pytest.raises((NotADatabaseError, DamagedError)) as caught:
            aeordb.open(path, "r")
        expected = NotADatabaseError if length < 512 else DamagedError
        assert type(caught.value) is expected, length
        assert path.read_bytes() == good[:length]
        with pytest.raises(expected):
            aeordb.open(path)
        assert path.read_bytes() == good[:length]


def test_a_flipped_bit_in_a_page_is_found(good: bytes, bad: Callable[[bytes], Path]) -> None:
    """A lookup that needs the page fails; it is never taken for a file that is not there."""
    chosen = random.Random(2)
    used = [
        n for n in range(45) if good[512 + n * PAGE_LENGTH :][:4] == struct.pack("<I", 0xAE0DB905)
    ]
    assert len(used) > 40
    for number in chosen.sample(used, 12):
        data = bytearray(good)
        data[512 + number * PAGE_LENGTH + chosen.randrange(10 + 45)] ^= 1 << chosen.randrange(8)
        path = bad(data)
        errors = list(read_everything(path))
        assert errors
        for error in errors:
            assert type(error) is DamagedError
            assert error.exit_code == 14
            assert f"page {number}" in str(error)
        assert path.read_bytes() == data


def test_a_flipped_bit_in_a_value_is_found_and_named(
    good: bytes, bad: Callable[[bytes], Path]
) -> None:
    oracle = Oracle(good)
    entries = [oracle.entry_at(location) for location in oracle.index.values()]
    reached = set()
    for _path, row in ((p, r) for p, r in [(x.path, x.child) for x in oracle.walk(oracle.head)]):
        reached.add(row.hash)
    chosen = random.Random(3).sample([e for e in entries if e.key in reached and e.value], 25)
    for entry in chosen:
        data = bytearray(good)
        at = entry.offset + 31 + random.Random(entry.offset).randrange(entry.total - 31)
        data[at] ^= 16
        path = bad(data)
        errors = list(read_everything(path))
        assert errors, "somebody reads this entry"
        assert all(type(error) is DamagedError for error in errors)
        assert any(error.offset == entry.offset for error in errors)
        assert path.read_bytes() == data


def test_random_damage_never_gives_a_wrong_byte(good: bytes, bad: Callable[[bytes], Path]) -> None:
    chosen = random.Random(4)
    for _ in range(60):
        data = bytearray(good)
        for _ in range(chosen.choice([1, 1, 2, 40])):
            kind = chosen.randrange(3)
            at = chosen.randrange(len(data))
            if kind == 0:
                data[at] ^= 1 << chosen.randrange(8)
            elif kind == 1:
                length = chosen.randrange(1, 3000)
                data[at : at + length] = bytes(len(data[at : at + length]))
            else:
                length = chosen.randrange(1, 600)
                source = chosen.randrange(len(data) - length)
                data[at : at + length] = data[source : source + len(data[at : at + length])]
        path = bad(data)
        for error in read_everything(path):
            assert isinstance(error, (DamagedError, NotADatabaseError))
        assert path.read_bytes() == data


def test_a_file_cut_while_it_is_mapped_is_an_error_and_no_crash(
    good: bytes, bad: Callable[[bytes], Path]
) -> None:
    path = bad(good)
    with aeordb.open(path, "r") as db:
        assert db["/f0/0"] == FILES["/f0/0"]
        view = db.at("HEAD")
        with path.open("r+b") as file:
            file.truncate(70_000)
        errors = 0
        for name, data in FILES.items():
            try:
                assert view.read(name) == data
            except AeorDBError:
                errors += 1
        assert errors > 100


def test_damage_in_a_file_that_aeordb_wrote_is_found(tmp_path: Path) -> None:
    """Its bad page or hot tail is what its crash looks like: the index is rebuilt, in memory."""
    source = FOLDER / "files.aeordb"
    if not source.exists():
        pytest.skip("needs the fixtures")
    good = source.read_bytes()
    with aeordb.open(source, "r") as db:
        expected = dict(db)
    slot = read_slot(good[256 * live(good) :][:256])
    path = tmp_path / "files.aeordb"
    for at in (512 + 20, 512 + 10 * PAGE_LENGTH + 3, slot.hot_tail, slot.hot_tail + 15):
        data = bytearray(good)
        data[at] ^= 1
        path.write_bytes(data)
        with aeordb.open(path, "r") as db:
            assert dict(db) == expected
        assert path.read_bytes() == data
