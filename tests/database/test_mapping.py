"""The database as a mapping of its live files, and the views that read its versions."""

import os
import pathlib
from collections.abc import MutableMapping

import pytest

import aeordb
from aeordb.errors import NotFoundError, PathError, UsageError


@pytest.fixture
def files(db: aeordb.Database) -> aeordb.Database:
    with db.transaction() as tx:
        for path in ("/a.txt", "/d/b.txt", "/d/e/c.txt", "/d/e/c.bin", "/z/.aeordb-hidden/x"):
            tx.put(path, path.encode())
        tx.symlink("d/b.txt", "/link")
        tx.symlink("/d", "/dlink")
        tx.mkdir("/empty")
    return db


def test_it_is_a_mutable_mapping(db: aeordb.Database) -> None:
    assert isinstance(db, MutableMapping)
    assert (len(db), list(db), bool(db)) == (0, [], False)
    db["/a"] = b"1"
    db["b/c"] = bytearray(b"2")
    assert dict(db) == {"/a": b"1", "/b/c": b"2"}
    assert ("/a" in db, "a" in db, "/b" in db, "/x" in db, 5 in db) == (
        True,
        True,
        False,
        False,
        False,
    )
    assert db.get("/x") is None
    assert db.get("/x", b"none") == b"none"
    assert db.setdefault("/a", b"9") == b"1"
    assert db.pop("/a") == b"1"
    assert db.pop("/a", b"no") == b"no"
    db.update({"/d": b"4", "/e": b"5"})
    assert sorted(db.items()) == [("/b/c", b"2"), ("/d", b"4"), ("/e", b"5")]
    del db["/d"]
    with pytest.raises(KeyError):
        del db["/d"]
    with pytest.raises(KeyError):
        db["/d"]
    db.clear()
    assert dict(db) == {}
    assert db.stat("/b").kind == "folder"


def test_folders_are_no_keys(files: aeordb.Database) -> None:
    """Asking for one raised a UsageError, so that `get` and `pop` did not give their default."""
    assert "/d" not in files
    with pytest.raises(KeyError):
        files["/d"]
    assert files.get("/d") is None
    assert files.pop("/d", b"none") == b"none"
    with pytest.raises(NotFoundError):
        del files["/d"]
    assert files["/d/b.txt"] == b"/d/b.txt"


def test_a_text_is_no_content(db: aeordb.Database, tmp_path: pathlib.Path) -> None:
    """`put` takes a str as the name of a local file; an assignment of one would have read it."""
    (tmp_path / "secret").write_bytes(b"x")
    for value in (str(tmp_path / "secret"), 5, None, tmp_path / "secret"):
        with pytest.raises(TypeError):
            db["/a"] = value
    assert len(db) == 0


def test_listings(files: aeordb.Database) -> None:
    kinds = {stat.path: stat.kind for stat in files.list()}
    assert list(kinds) == ["/a.txt", "/d", "/dlink", "/empty", "/link", "/z"]
    assert kinds["/empty"] == "folder"
    assert [s.path for s in files.list("/d/e")] == ["/d/e/c.bin", "/d/e/c.txt"]
    assert [s.path for s in files.list("/a.txt")] == ["/a.txt"]
    assert [s.path for s in files.walk("/d")] == ["/d/b.txt", "/d/e", "/d/e/c.bin", "/d/e/c.txt"]
    assert list(files.list("/z")) == []
    assert [s.path for s in files.walk("/z", hidden=True)] == [
        "/z/.aeordb-hidden",
        "/z/.aeordb-hidden/x",
    ]
    assert all(s.hash is None for s in files.walk(hashes=False))
    with pytest.raises(NotFoundError):
        list(files.list("/none"))
    assert files.stat("/link").target == "d/b.txt"
    assert files.stat(pathlib.PurePosixPath("/d/b.txt")).size == 8


def test_symlinks_are_followed_for_content_alone(files: aeordb.Database) -> None:
    assert files["/link"] == b"/d/b.txt"
    assert files["/dlink/e/c.txt"] == b"/d/e/c.txt"
    with files.open("/dlink/b.txt") as file:
        assert file.read() == b"/d/b.txt"
    assert "/link" not in files
    with pytest.raises(NotFoundError):
        files.stat("/dlink/b.txt")
    view = files.at("HEAD")
    assert view.read("/link") == b"/d/b.txt"
    with pytest.raises(UsageError, match="folder"):
        view.read("/dlink")
    with files.transaction() as tx:
        tx.symlink("loop2", "/loop1")
        tx.symlink("/loop1", "/loop2")
        tx.symlink("../../../../a.txt", "/d/e/up")
        tx.symlink("gone", "/dangling")
        for i in range(45):
            tx.symlink(f"c{i + 1}" if i < 44 else "a.txt", f"/c{i}")
    with pytest.raises(UsageError, match="40 symlinks"):
        files.at("HEAD").read("/loop1")
    assert files["/d/e/up"] == b"/a.txt", "a path cannot lead out of the root"
    assert files["/c10"] == b"/a.txt"
    with pytest.raises(UsageError, match="40 symlinks"):
        files.open("/c0")
    with pytest.raises(NotFoundError):
        files["/dangling"]
    with pytest.raises(PathError):
        files.symlink("", "/nothing")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/*.txt", ["/a.txt"]),
        ("*.txt", ["/a.txt"]),
        ("/d/*", ["/d/b.txt", "/d/e"]),
        ("/**/*.txt", ["/a.txt", "/d/b.txt", "/d/e/c.txt"]),
        ("/d/**/c.*", ["/d/e/c.bin", "/d/e/c.txt"]),
        ("/d/**", ["/d/b.txt", "/d/e", "/d/e/c.bin", "/d/e/c.txt"]),
        ("/?/e/c.[bt]*", ["/d/e/c.bin", "/d/e/c.txt"]),
        ("/d/b.txt", ["/d/b.txt"]),
        ("/none/*", []),
        ("/a.txt/*", []),
        ("/z/*", []),
        ("/*/e/**", ["/d/e/c.bin", "/d/e/c.txt"]),
    ],
)
def test_patterns(files: aeordb.Database, pattern: str, found: list[str]) -> None:
    """A trailing `**` is all that lies below: it gave the folder itself too, behind a pattern."""
    paths = sorted(stat.path for stat in files.glob(pattern))
    assert paths == found
    assert all(s == files.stat(s.path) for s in files.glob(pattern))
    assert sorted(s.path for s in files.at("HEAD").glob(pattern)) == paths


def test_patterns_see_hidden_names_when_asked(files: aeordb.Database) -> None:
    assert [s.path for s in files.glob("/z/**/x")] == []
    assert [s.path for s in files.glob("/z/**/x", hidden=True)] == ["/z/.aeordb-hidden/x"]


def test_a_view_stays_as_it_is(files: aeordb.Database) -> None:
    view = files.at("HEAD")
    before = list(view.walk())
    reading = view.open("/d/e/c.txt")
    files.delete("/d", recursive=True)
    files.put("/a.txt", b"new")
    assert list(view.walk()) == before
    assert view.read("/a.txt") == b"/a.txt"
    assert reading.read() == b"/d/e/c.txt"
    assert view.exists("/d")
    assert not files.at("HEAD").exists("/d")


def test_a_reader_stays_at_its_version_until_refreshed(files: aeordb.Database) -> None:
    with aeordb.open(files.path, "r") as other:
        head = other.head
        files.put("/new", b"1")
        assert other.head == head != files.head
        assert "/new" not in other
        assert other.refresh() == files.head
        assert other["/new"] == b"1"
        for action in (
            lambda: other.put("/x", b""),
            lambda: other.delete("/new"),
            lambda: other.snapshots.create("v"),
            lambda: other.transaction(),
        ):
            with pytest.raises(UsageError, match="reading only"):
                action()


def test_a_closed_handle_says_so(files: aeordb.Database) -> None:
    path = files.path
    with aeordb.open(path, "r") as other:
        view = other.at("HEAD")
        file = other.open("/a.txt")
        assert file.read(2) == b"/a"
    other.close()
    for action in (
        lambda: other["/a.txt"],
        lambda: list(other),
        lambda: other.head,
        lambda: other.put("/x", b""),
        lambda: other.refresh(),
        lambda: other.snapshots.list(),
        lambda: other.status(),
        lambda: view.read("/a.txt"),
        lambda: list(view.walk()),
    ):
        with pytest.raises(UsageError, match="closed"):
            action()


def test_a_handle_does_not_cross_a_fork(files: aeordb.Database) -> None:
    """The child is told so, and nothing that it does or its end takes anything from its parent."""
    from aeordb.errors import LockedError

    view = files.at("HEAD")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for action in (
                lambda: files["/a.txt"],
                lambda: files.put("/x", b""),
                lambda: files.transaction(),
                lambda: files.head,
                lambda: files.snapshots.list(),
            ):
                with pytest.raises(UsageError, match="fork"):
                    action()
            files.close()
            del view
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with pytest.raises(LockedError) as caught:
        aeordb.open(files.path)
    assert caught.value.pid == os.getpid()
    files.put("/x", b"1")
    assert view.read("/a.txt") == b"/a.txt"


def test_modes(tmp_path: pathlib.Path) -> None:
    from aeordb.errors import ExistsError

    path = tmp_path / "d.aeordb"
    with aeordb.open(path, "a") as db:
        db.put("/a", b"1")
    with aeordb.open(path, "a") as db:
        assert db["/a"] == b"1"
    before = path.read_bytes()
    with pytest.raises(ExistsError):
        aeordb.open(path, "x")
    assert path.read_bytes() == before
    with aeordb.open(path) as db:
        assert db.info().kind == "database"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.aeordb", "d.aeordb.lock"]


def test_a_database_that_another_process_was_faster_to_make_will_do(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.aeordb"
    aeordb.open(path, "x").close()
    real = os.path.lexists
    answers = iter([False])
    monkeypatch.setattr(
        "aeordb.database.database.os.path.lexists", lambda name: next(answers, real(name))
    )
    with aeordb.open(path, "a") as db:
        assert len(db) == 0
