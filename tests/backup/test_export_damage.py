"""Damage in the source: an error with the path that it hits, and no output."""

from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError
from tests.kit.folders import noise
from tests.kit.layout import CHUNK, DIRECTORY, FILE, PAGE_LENGTH, SYMLINK, page_of
from tests.kit.oracle import Oracle


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A database with a bit of everything, cleanly closed."""
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        with db.transaction() as tx:
            for i in range(700):
                tx.put(f"/many/{i:04}", noise(i, 60))
            tx.put("/a/b/large", noise("large", 700_000))
            tx.symlink("large", "/a/b/link")
            tx.mkdir("/a/empty")
        db.snapshots.create("v1")
        db.put("/later", b"1")
    return path


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def place(oracle: Oracle, path: str, chunk: int | None = None) -> tuple[bytes, int]:
    """Key and offset of what stands at a path, or of one of its chunks."""
    child = oracle.find(path)
    assert child is not None
    key = child.hash if chunk is None else oracle.file_record(child.hash).chunks[chunk]
    entry = oracle.entry(key)
    assert entry is not None
    return key, entry.offset


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("where", [0, 5, 20, 40, 70, 96])
@pytest.mark.parametrize(
    ("path", "chunk", "kind"),
    [
        ("/a/b/large", 1, CHUNK),
        ("/a/b/large", None, FILE),
        ("/a/b/link", None, SYMLINK),
        ("/a/b", None, DIRECTORY),
        ("/many/0123", None, FILE),
        ("/many/0123", 0, CHUNK),
    ],
)
def test_a_flipped_bit(
    source: Path, tmp_path: Path, path: str, chunk: int | None, kind: int, where: int, jobs: int
) -> None:
    """In the header, the integrity hash, the key or the value; all but the time is covered."""
    key, offset = place(Oracle(source), path, chunk)
    flip(source, offset + where)
    with aeordb.open(source, "r") as db:
        if where == 20:  # the time: nothing tells that it is another
            db.export(tmp_path / "out", jobs=jobs)
            return
        with pytest.raises(DamagedError) as caught:
            db.export(tmp_path / "out", jobs=jobs)
    assert caught.value.path == path
    assert (caught.value.key, caught.value.offset) == (key, offset)
    assert not list(tmp_path.glob("out*"))


def test_a_missing_b_tree_node(source: Path, tmp_path: Path) -> None:
    oracle = Oracle(source)
    many = oracle.find("/many")
    assert many is not None
    leaf = oracle.node(many.hash).nodes[3]
    entry = oracle.entry(leaf)
    assert entry is not None
    flip(source, entry.offset + 64)
    with aeordb.open(source, "r") as db, pytest.raises(DamagedError) as caught:
        db.export(tmp_path / "out")
    assert caught.value.path == "/many"


def test_aeordbs_incomplete_backup(tmp_path: Path) -> None:
    """A folder whose B-tree nodes are missing is named; nothing is written."""
    from tests.kit.fixtures import fixture_path

    with (
        aeordb.open(fixture_path("btree.export-at600"), "r") as db,
        pytest.raises(DamagedError) as caught,
    ):
        db.export(tmp_path / "out")
    assert caught.value.path == "/many"
    assert list(tmp_path.iterdir()) == []


def test_damage_outside_the_version_does_not_matter(source: Path, tmp_path: Path) -> None:
    _, offset = place(Oracle(source), "/later", 0)
    flip(source, offset + 95)
    with aeordb.open(source, "r") as db:
        db.export(tmp_path / "v1", "v1")
        with pytest.raises(DamagedError):
            db.export(tmp_path / "head")


def test_a_bad_page_is_damage(source: Path, tmp_path: Path) -> None:
    """Of ours: AeorDB's is mended by a scan."""
    oracle = Oracle(source)
    page = page_of(oracle.head, oracle.slot.pages)
    if any(location.key == oracle.head for location in oracle.page(page)):
        flip(source, 512 + page * PAGE_LENGTH + 12)
        with aeordb.open(source, "r") as db, pytest.raises(DamagedError):
            db.export(tmp_path / "out")


def test_aeordbs_bad_page_is_mended(fixture_copy: Callable[[str], Path], tmp_path: Path) -> None:
    path = fixture_copy("files")
    oracle = Oracle(path)
    flip(path, 512 + page_of(oracle.head, oracle.slot.pages) * PAGE_LENGTH + 12)
    with aeordb.open(path, "r") as db:
        db.export(tmp_path / "out")
    assert Oracle(tmp_path / "out").tree() == oracle.tree()


def test_damage_in_a_patch(source: Path, tmp_path: Path) -> None:
    key, offset = place(Oracle(source), "/later", 0)
    flip(source, offset + 95)
    with aeordb.open(source, "r") as db:
        for output in ("one", "two"):
            with pytest.raises(DamagedError) as caught:
                db.export_patch(tmp_path / output, "v1")
            assert (caught.value.path, caught.value.key) == ("/later", key)
        db.export_patch(tmp_path / "back", "HEAD", "v1")
    assert [p.name for p in tmp_path.iterdir() if p.name in ("one", "two")] == []
