"""Full exports: what is in them, byte for byte, and that nothing else is."""

import os
import threading
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import ExistsError, NotFoundError, UnauthorizedError
from tests.kit.backups import assert_export
from tests.kit.fixtures import COMPLETE, fixture_path, versions
from tests.kit.folders import half, mixed_tree, noise, small_files, write_folder
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", COMPLETE)
def test_every_version_of_the_fixtures(name: str, tmp_path: Path) -> None:
    source = Oracle(fixture_path(name))
    with aeordb.open(fixture_path(name), "r") as db:
        for number, (label, rows) in enumerate(versions(name).items()):
            version = label.partition(" ")[2] or label
            output = tmp_path / f"{number}.aeordb"
            report = db.export(output, version)
            assert_file(output)
            made = assert_export(output, source, db.resolve(version))
            assert made.tree() == rows
            assert report.version == db.resolve(version)
            assert report.bytes == output.stat().st_size
            assert report.output == str(output)


def test_counts_are_those_of_aeordb(tmp_path: Path) -> None:
    """AeorDB 0.9.5 printed these for the same exports."""
    with aeordb.open(fixture_path("files"), "r") as db:
        head = db.export(tmp_path / "head.aeordb")
        first = db.export(tmp_path / "v1.aeordb", "v1")
    assert (head.files, head.chunks, head.directories) == (36, 50, 50)
    assert (first.files, first.chunks, first.directories) == (24, 26, 46)


def test_an_export_is_a_database(db: aeordb.Database, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", mixed_tree())
    db.put_tree(tmp_path / "in")
    db.mkdir("/empty/inner")
    db.export(tmp_path / "out.aeordb")
    with aeordb.open(tmp_path / "out.aeordb") as copy:
        assert copy.head == db.head
        assert dict(copy) == dict(db)
        copy.put("/more", b"1")
        assert copy["/more"] == b"1"
    assert_file(tmp_path / "out.aeordb")


def test_same_bytes_for_any_jobs_and_later(db: aeordb.Database, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", small_files(3_000, 150))
    db.put_tree(tmp_path / "in")
    db.put("/large", noise("large", 9 << 20))
    db.snapshots.create("v1")
    first = tmp_path / "1"
    db.export(first, "v1", jobs=1)
    db.delete("/large")
    with db.transaction() as tx:
        for i in range(2_000):
            tx.put(f"/later/{i}", noise(i, 300))
    for jobs in (1, 2, 4):
        again = tmp_path / f"again-{jobs}"
        db.export(again, "v1", jobs=jobs)
        assert again.read_bytes() == first.read_bytes()
    assert_export(first, Oracle(db.path), db.resolve("v1"))
    assert_file(first)


def test_uncompressed_has_no_compressed_chunk(db: aeordb.Database, tmp_path: Path) -> None:
    for i in range(4):
        db.put(f"/{i}", half(i, 700_000))
    db.put("/small", b"a" * 1_000)
    db.export(tmp_path / "packed")
    db.export(tmp_path / "raw-1", uncompressed=True, jobs=1)
    db.export(tmp_path / "raw-4", uncompressed=True, jobs=4)
    packed = assert_export(tmp_path / "packed", Oracle(db.path), db.head)
    assert any(entry.compression for entry in packed.scan())
    raw = assert_export(tmp_path / "raw-1", Oracle(db.path), db.head, raw=True)
    assert not any(entry.compression for entry in raw.scan())
    assert_file(tmp_path / "raw-1")
    assert raw.tree() == packed.tree()
    assert (tmp_path / "raw-1").read_bytes() == (tmp_path / "raw-4").read_bytes()


def test_the_output_must_not_exist(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/a", b"1")
    taken = tmp_path / "taken"
    taken.write_bytes(b"mine")
    dangling = tmp_path / "dangling"
    dangling.symlink_to("nowhere")
    for path in (taken, dangling, tmp_path):
        with pytest.raises(ExistsError):
            db.export(path)
    assert taken.read_bytes() == b"mine"
    assert files_below(tmp_path) == ["dangling", "data.aeordb", "data.aeordb.lock", "taken"]


def test_an_output_that_appears_meanwhile(
    db: aeordb.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused again at the rename, which never goes over what is there."""
    from aeordb.backup.sink import Sink

    finish = Sink.finish

    def late(self: Sink, kind: int, base: bytes, target: bytes) -> int:
        (tmp_path / "out").write_bytes(b"mine")
        return finish(self, kind, base, target)

    monkeypatch.setattr(Sink, "finish", late)
    db.put("/a", b"1")
    with pytest.raises(ExistsError):
        db.export(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"
    assert files_below(tmp_path) == ["data.aeordb", "data.aeordb.lock", "out"]


def test_folders_are_made_and_a_stale_part_is_replaced(db: aeordb.Database, tmp_path: Path) -> None:
    db.put("/a", b"1")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "out.aeordb.part").write_bytes(bytes(1_000_000))
    db.export(tmp_path / "a" / "b" / "out.aeordb")
    db.export(tmp_path / "c" / "d" / "out.aeordb")
    assert files_below(tmp_path / "a") == ["b", "b/out.aeordb"]
    assert files_below(tmp_path / "c") == ["d", "d/out.aeordb"]


def test_wrong_arguments_leave_nothing(db: aeordb.Database, tmp_path: Path) -> None:
    db.create_root_key()
    with pytest.raises(NotFoundError):
        db.export(tmp_path / "out", "nothing")
    with pytest.raises(UnauthorizedError):
        db.export(tmp_path / "out", root_key="aeor_k_" + 16 * "0" + "_" + 64 * "0")
    assert files_below(tmp_path) == ["data.aeordb", "data.aeordb.lock"]


class Interrupting(aeordb.Progress):
    """Interrupts as Ctrl-C would, once so many bytes are done."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.finished = 0

    def start(self, total: int | None, label: str) -> None:
        pass

    def advance(self, count: int, items: int = 0) -> None:
        self.left -= count
        if self.left < 0:
            raise KeyboardInterrupt

    def finish(self) -> None:
        self.finished += 1


@pytest.mark.parametrize("jobs", [1, 4])
def test_an_interrupt_leaves_nothing(db: aeordb.Database, tmp_path: Path, jobs: int) -> None:
    db.put("/large", noise("large", 20 << 20))
    progress = Interrupting(10 << 20)
    with pytest.raises(KeyboardInterrupt):
        db.export(tmp_path / "out", progress=progress, jobs=jobs)
    assert progress.finished == 1
    assert files_below(tmp_path) == ["data.aeordb", "data.aeordb.lock"]
    assert not [t for t in threading.enumerate() if t.name.startswith("aeordb-")]
    db.export(tmp_path / "out", jobs=jobs)
    assert_file(tmp_path / "out")


def test_progress_adds_up(db: aeordb.Database, tmp_path: Path) -> None:
    class Adding(Interrupting):
        total = 0

        def start(self, total: int | None, label: str) -> None:
            self.total = total or 0
            self.done = self.items = 0

        def advance(self, count: int, items: int = 0) -> None:
            self.done += count
            self.items += items

    write_folder(tmp_path / "in", mixed_tree())
    db.put_tree(tmp_path / "in")
    progress = Adding(0)
    db.export(tmp_path / "out", progress=progress)
    assert progress.done == progress.total > 0
    assert progress.finished == 1


def test_a_read_only_file_in_a_read_only_folder(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    with aeordb.open(place / "data.aeordb", "x") as db:
        db.put("/a", b"1")
    os.unlink(place / "data.aeordb.lock")
    os.chmod(place / "data.aeordb", 0o444)
    os.chmod(place, 0o555)
    before = (place / "data.aeordb").read_bytes()
    try:
        with aeordb.open(place / "data.aeordb", "r") as db:
            db.export(tmp_path / "out")
    finally:
        os.chmod(place, 0o755)
    assert files_below(place) == ["data.aeordb"]
    assert (place / "data.aeordb").read_bytes() == before
    assert_file(tmp_path / "out")


def test_many_keys_ride_in_the_hot_tail(db: aeordb.Database, tmp_path: Path) -> None:
    """The stage is the lowest that leaves at most 512 keys over, and these are found."""
    with db.transaction() as tx:
        for i in range(560):
            tx.put(f"/{i}", noise(i, 40))
    db.export(tmp_path / "out")
    made = assert_export(tmp_path / "out", Oracle(db.path), db.head)
    assert made.slot.stage == 0
    assert made.tail is not None
    assert 100 < len(made.tail.writes) <= 512
    assert_file(tmp_path / "out")
    with aeordb.open(tmp_path / "out", "r") as copy:
        assert len(copy) == 560
