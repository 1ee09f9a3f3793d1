"""Large and odd things: folders of many children, long names, deep paths, huge files."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aeordb
from aeordb.errors import NotFoundError, PathError
from tests.kit.child import ENVIRONMENT
from tests.kit.layout import h
from tests.kit.rules import assert_file

FULL = os.environ.get("AEORDB_FULL") == "1"


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 10_000])
def test_folders_of_many_children(db: aeordb.Database, count: int) -> None:
    names = [f"{i * 7919 % 100_003:06}" for i in range(count)]
    with db.transaction() as tx:
        tx.mkdir("/folder")
        for name in names:
            tx.put(f"/folder/{name}", name.encode())
    db.snapshots.create("full")
    assert [s.path for s in db.list("/folder", hashes=False)] == [
        f"/folder/{name}" for name in sorted(names)
    ]
    for name in names[:: max(1, count // 50)]:
        assert db[f"/folder/{name}"] == name.encode()
        assert db.stat(f"/folder/{name}").size == 6
    with pytest.raises(NotFoundError):
        db.stat("/folder/none")
    with db.transaction() as tx:
        for name in names[::2]:
            tx.delete(f"/folder/{name}")
        tx.put("/folder/one more", b"1")
    assert len(db) == count // 2 + 1
    assert len(list(db.at("full").list("/folder", hashes=False))) == count
    changes = list(db.diff("full", "HEAD"))
    assert sum(c.kind == "deleted" for c in changes) == (count + 1) // 2
    assert [c.path for c in changes if c.kind == "added"] == ["/folder/one more"]


def test_a_folder_of_100_000_children(tmp_path: Path) -> None:
    """Made at once and added to: the cost of an addition is a few nodes, not the folder."""
    with aeordb.open(tmp_path / "d.aeordb", "x", expect_entries=100_000) as db:
        with db.transaction() as tx:
            for i in range(100_000):
                tx.put(f"/folder/{i:06}", b"")
        assert sum(1 for _ in db.list("/folder", hashes=False)) == 100_000
        before = os.stat(db.path).st_size
        db.put("/folder/050000x", b"1")
        assert os.stat(db.path).st_size - before < 100_000
        listed = [s.path for s in db.list("/folder", hashes=False)]
        assert listed == sorted(listed)
        assert len(listed) == 100_001
        assert db["/folder/050000x"] == b"1"
        assert db.stat("/folder/099999").size == 0
        base = db.head.hex()
        db.delete("/folder/000007")
        assert [(c.kind, c.path) for c in db.diff(base)] == [("deleted", "/folder/000007")]


def test_names_of_every_length(db: aeordb.Database) -> None:
    names = ["n" * length for length in (1, 2, 255, 256, 4096, 65_533, 65_534)]
    names.append("ü" * 32_767)
    with db.transaction() as tx:
        for name in names:
            tx.put("/" + name, name[:5].encode())
    db.symlink("/" + names[-2], "/l")
    assert {s.path[1:] for s in db.list()} == {*names, "l"}
    for name in names:
        assert db["/" + name] == name[:5].encode()
    for name in ("n" * 65_535, "ü" * 32_768, "n" * 100_000):
        with pytest.raises(PathError) as caught:
            db.put("/" + name, b"")
        assert "bytes, at most" in caught.value.reason
        with pytest.raises(PathError):
            db.stat("/" + name)
    assert len(db) == len(names)


def test_paths_to_the_depth_limit(db: aeordb.Database) -> None:
    deepest = "/" + "/".join("d" * 5 for _ in range(1000))
    db.put(deepest, b"bottom")
    assert db[deepest] == b"bottom"
    assert sum(1 for _ in db.walk()) == 1000
    with pytest.raises(PathError) as caught:
        db.put(deepest + "/e", b"")
    assert "1,001 parts" in caught.value.reason
    long = "/" + "/".join("d" * 64 for _ in range(1008))
    with pytest.raises(PathError):
        db.put(long + "d" * 100, b"")
    longest = "/" + "/".join(["x" * 654] * 100) + "/" + "y" * 34
    assert len(longest) == 65_535
    db.put(longest, b"1")
    with pytest.raises(PathError):
        db.put(longest + "y", b"1")
    assert db[longest] == b"1"
    db.delete("/" + "d" * 5, recursive=True)
    assert list(db) == [longest]


NONSENSE = {
    "": "empty",
    "/": "root",
    "//": "slash at the end",
    "/a//b": "empty part",
    "/a/": "slash at the end",
    "/./a": "'.'",
    "/a/..": "'..'",
    "..": "'..'",
    "/a\0b": "NUL",
    "/\udcff": "surrogate",
    "/.aeordb-system/x": "system",
    "/.aeordb-config/cron.json": "system",
    "/.aeordb-system": "system",
}


@pytest.mark.parametrize("path", NONSENSE, ids=repr)
def test_nonsense_paths_are_refused_with_the_reason(db: aeordb.Database, path: str) -> None:
    db.put("/file", b"1")
    before = (db.head, db.status().sequence)
    for action in (
        lambda: db.put(path, b""),
        lambda: db.symlink("/file", path),
        lambda: db.__setitem__(path, b""),
    ):
        with pytest.raises(PathError) as caught:
            action()
        assert NONSENSE[path] in caught.value.reason
        assert caught.value.path == path
        assert caught.value.exit_code == 2
    if path not in ("/", "/a/"):
        with pytest.raises(PathError):
            db.mkdir(path)
        with pytest.raises(PathError):
            db.move("/file", path)
        with pytest.raises(PathError):
            db.delete(path)
    assert (db.head, db.status().sequence) == before


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not set(name) & set("/\0")
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(names, min_size=1, max_size=8, unique=True), st.lists(names, max_size=3))
def test_all_of_unicode_in_names(db: aeordb.Database, names: list[str], folder: list[str]) -> None:
    top = "/".join(["/" + str(db.status().sequence), *folder])
    with db.transaction() as tx:
        for name in names:
            tx.put(f"{top}/{name}", name.encode())
    found = [s.path for s in db.list(top, hidden=True)]
    assert found == [f"{top}/{name}" for name in sorted(names, key=str.encode)]
    for name in names:
        assert db[f"{top}/{name}"] == name.encode()


SPARSE = """
import resource, sys, time, aeordb
size = int(sys.argv[2])
with open(sys.argv[1] + ".source", "wb") as file:
    file.truncate(size)
    for at in range(0, size, size // 7 + 1):
        file.seek(at)
        file.write(b"%d" % at)
with aeordb.open(sys.argv[1], "x") as db:
    db.put("/warm", bytes(3_000_000))
    db.get("/warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    stat = db.put("/large", sys.argv[1] + ".source")
    assert stat.size == size
    middle = time.monotonic()
    done = 0
    with db.open("/large") as file, open(sys.argv[1] + ".source", "rb") as source:
        while data := file.read(1 << 20):
            assert data == source.read(1 << 20)
            done += len(data)
        assert done == size
        file.seek((size // 7 + 1) * 3)
        assert file.read(1) != b"\\0"
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(before, after, middle - start, time.monotonic() - middle)
"""


def test_a_huge_sparse_source_takes_flat_memory(tmp_path: Path) -> None:
    """5 GB with AEORDB_FULL=1, else 200 MB: what it costs in memory is the same few chunks."""
    size = 5_000_000_000 if FULL else 200_000_000
    ran = subprocess.run(
        [sys.executable, "-c", SPARSE, str(tmp_path / "d.aeordb"), str(size)],
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    before, after, *seconds = map(float, ran.stdout.split())
    print(f"{size} bytes: {(after - before) / 1024:.0f} MiB more, put and read in {seconds} s")
    assert after - before < 100 * 1024, "kilobytes"
    if not FULL:
        assert_file(tmp_path / "d.aeordb")


def test_2000_commits_of_one_file_each_stay_bounded(tmp_path: Path) -> None:
    """Hot tail, listed free ranges and the bytes read at an open do not grow with the commits."""
    path = tmp_path / "d.aeordb"
    tails, voids = [], []
    with aeordb.open(path, "x") as db:
        for i in range(2000):
            db.put(f"/{i % 40}/{i}.txt", b"%d" % i * 50)
            state = db._store.state
            tails.append(state.region[1])
            voids.append(len(state.voids))
            if i == 1000:
                half = os.stat(path).st_size
        assert len(db) == 2000
        size = os.stat(path).st_size
    assert max(tails) < 192 << 10
    assert max(voids) < 600
    assert max(tails[1000:]) < 1.5 * max(tails[:1000])
    assert size < 2.6 * half
    with aeordb.open(path, "r") as db:
        assert db._store.state.region[1] == tails[-1]
        assert db["/0/1960.txt"] == b"1960" * 50
    assert_file(path)


def test_growth_through_the_stages_with_point_reads_going_on(tmp_path: Path) -> None:
    path = tmp_path / "d.aeordb"
    stages = []
    with aeordb.open(path, "x") as db, aeordb.open(path, "r") as reader:
        old = reader.at("HEAD")
        written = 0
        for count in (300, 900, 4000, 20_000):
            with db.transaction() as tx:
                for i in range(written, written + count):
                    tx.put(f"/{i // 1000}/{i}", b"%d" % i)
            written += count
            stages.append(aeordb.info(path).stage)
            assert list(old.walk()) == []
            for i in range(0, written, written // 100):
                assert db[f"/{i // 1000}/{i}"] == b"%d" % i
            view = reader.at("HEAD")
            for path_ in [s.path for s in view.walk(hashes=False) if s.kind == "file"][::200]:
                assert view.read(path_) == path_.split("/")[2].encode()
            reader.refresh()
            assert reader["/0/0"] == b"0"
        assert stages[0] == 0
        assert stages[-1] == 3
        assert stages == sorted(stages)
    assert_file(path)


def test_content_from_and_to_file_objects(db: aeordb.Database) -> None:
    data = h(b"x") * 40_000
    db.put("/o", io.BytesIO(data))
    with db.open("/o") as file:
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]
        assert file.tell() == len(data)
        file.seek(262_140)
        assert file.read(10) == data[262_140:262_150]
