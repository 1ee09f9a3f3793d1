"""The model by itself: what it says is what FORMAT.md and the library's documentation say."""

import time
from collections.abc import Callable

import pytest

from aeordb.errors import (
    AeorDBError,
    ExistsError,
    NotFoundError,
    PathError,
    UsageError,
)
from aeordb.testing.clock import START, Clock, use_clock
from aeordb.testing.model import Model, Version
from aeordb.testing.operations import delete, mkdir, move, outcome, put, symlink, transaction
from aeordb.testing.tree import FOLDER, File, Symlink, TreeView, in_order


@pytest.fixture
def model() -> Model:
    found = Model(Clock())
    found.put("/a/b", b"1")
    found.symlink("b", "/a/link")
    found.put("/z", b"2", content_type="text/x-z")
    return found


def test_puts_make_parents_and_keep_the_time_of_creation() -> None:
    clock = Clock()
    model = Model(clock)
    model.put("/a/b", b"1")
    clock.move(5)
    model.put("/a/b", b"2")
    assert model.head == {"/a": FOLDER, "/a/b": File(b"2", _type("/a/b"), START, START + 5)}
    clock.move(-100)
    model.symlink("x", "/a/b")
    assert model.head["/a/b"] == Symlink("x", START, START - 95)
    assert clock.highest == START + 5


def _type(path: str) -> str | None:
    model = Model(Clock())
    model.put(path, b"")
    node = model.head[path]
    assert isinstance(node, File)
    return node.content_type


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (lambda m: m.put("/a", b""), ExistsError),
        (lambda m: m.put("/z/inner", b""), PathError),
        (lambda m: m.mkdir("/z"), ExistsError),
        (lambda m: m.delete("/none"), NotFoundError),
        (lambda m: m.delete("/a"), UsageError),
        (lambda m: m.delete("/"), PathError),
        (lambda m: m.move("/a", "/a/inside"), PathError),
        (lambda m: m.move("/z", "/a"), ExistsError),
        (lambda m: m.move("/none", "/b"), NotFoundError),
        (lambda m: m.at("none"), NotFoundError),
        (lambda m: m["/a"], UsageError),
        (lambda m: m["/none"], NotFoundError),
        (lambda m: m.snapshots.restore("none"), NotFoundError),
        (lambda m: m.forks.delete("none"), NotFoundError),
        (lambda m: list(m.at().walk("/none")), NotFoundError),
    ],
)
def test_what_is_refused(
    model: Model, step: Callable[[Model], object], error: type[AeorDBError]
) -> None:
    before = dict(model.head)
    with pytest.raises(error) as caught:
        step(model)
    assert type(caught.value) is error
    assert model.head == before


def test_reading_follows_symlinks(model: Model) -> None:
    assert model["/a/link"] == b"1"
    model.symlink("/a", "/folder")
    assert model["/folder/b"] == b"1"
    model.symlink("../z", "/a/up")
    assert model["/a/up"] == b"2"
    model.symlink("loop", "/loop")
    with pytest.raises(UsageError):
        model["/loop"]


def test_listings_hide_what_is_hidden_and_are_in_byte_order(model: Model) -> None:
    model.put("/.aeordb-mine/x", b"")
    model.put("/a b", b"")
    assert [s.path for s in model.at().walk()] == ["/a", "/a/b", "/a/link", "/a b", "/z"]
    assert [s.path for s in model.at().list()] == ["/a", "/a b", "/z"]
    assert [s.path for s in model.at().list("/z")] == ["/z"]
    assert "/.aeordb-mine/x" in [s.path for s in model.at().walk(hidden=True)]
    assert in_order({"/b": FOLDER, "/\uffff": FOLDER, "/\U0001f600": FOLDER})[1:] == [
        "/\uffff",
        "/\U0001f600",
    ]
    assert [s.path for s in model.at().glob("/**/b")] == ["/a/b"]
    assert model.delete("/.aeordb-mine", recursive=True) == 2


def test_a_transaction_is_all_or_nothing(model: Model) -> None:
    before = dict(model.head)
    done = transaction([put("/n", b""), delete("/none"), mkdir("/m")], commit=False).on(model)
    assert done.result == ["ok", "not_found", "ok"]
    assert model.head == before
    transaction([move("/a", "/c"), symlink("x", "/y")]).run(model)
    assert set(model.head) == {"/c", "/c/b", "/c/link", "/y", "/z"}
    tx = model.transaction()
    tx.put("/never", b"")
    tx.rollback()
    with pytest.raises(UsageError):
        tx.commit()
    assert not model.exists("/never")


def test_versions_stay_as_they_were(model: Model) -> None:
    model.saw_root(b"1" * 32)
    model.snapshots.create("v1")
    model.forks.create("work", "v1")
    model.delete("/a", recursive=True)
    model.saw_root(b"2" * 32)
    assert model.at("v1").read("/a/b") == b"1"
    assert model.at((b"1" * 32).hex()[:8]).exists("/a")
    with pytest.raises(ExistsError):
        model.snapshots.create("work")
    model.snapshots.rename("v1", "first")
    assert (model.snapshots.list(), model.forks.list()) == (["first"], ["work"])
    assert model.at("first").diff(model.at()) == {
        ("deleted", path) for path in ("/a", "/a/b", "/a/link")
    }
    model.snapshots.delete("first")
    model.forks.promote("work")
    assert model["/a/b"] == b"1"
    model.gc()
    with pytest.raises(NotFoundError):
        model.at((b"2" * 32).hex())


def test_one_root_is_one_tree(model: Model) -> None:
    model.saw_root(b"1" * 32)
    model.put("/more", b"")
    with pytest.raises(AssertionError, match="two trees"):
        model.saw_root(b"1" * 32)


def test_imports_keep_versions_by_automatic_names_until_they_are_promoted() -> None:
    model = Model(Clock())
    model.saw_root(b"0" * 32)
    versions = [Version({"/a": FOLDER}, b"a" * 32), Version({"/b": FOLDER}, b"b" * 32)]
    model.import_versions(versions)
    names = ["imported-" + version.root.hex()[:12] for version in versions]
    assert model.snapshots.list() == names
    model.import_versions(versions)
    assert model.snapshots.list() == names
    model.promote(names[0])
    assert set(model.head) == {"/a"}
    assert model.snapshots.list() == names[1:]
    model.import_versions(versions[1:], promote=True)
    assert set(model.head) == {"/b"}
    assert model.snapshots.list() == []


def test_a_kind_that_changed_is_deleted_and_added() -> None:
    old, new = TreeView({"/a": File(b"1"), "/b": File(b"1")}), TreeView({"/a": FOLDER})
    assert old.diff(new) == {("deleted", "/a"), ("added", "/a"), ("deleted", "/b")}


def test_the_clock_is_the_processs_clock() -> None:
    with use_clock(Clock(1000)) as clock:
        assert time.time_ns() == 1_000_000_000
        clock.move(1)
        assert time.time_ns() == 1_001_000_000
    assert time.time_ns() > 1_700_000_000_000_000_000


def test_an_outcome_keeps_no_frames() -> None:
    """A caught error's frames kept views open, and the next gc waited for them in vain."""
    done = outcome(lambda: Model().delete("/none"))
    assert done.code == "not_found"
    assert done.error is not None
    assert done.error.__traceback__ is None
