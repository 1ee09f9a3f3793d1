"""Diff against a comparison of whole listings, and what it costs."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.nodes import Child, encode_internal, encode_leaf, encode_listing
from aeordb.tree.diff import Change, diff
from aeordb.tree.directory import edit_directory
from aeordb.tree.walk import walk
from tests.kit.layout import h
from tests.tree.fake import FakeWriter, file_child

FACTS = ("kind", "hash", "size", "created", "updated", "content_type")


def folder(name: str, directory: tuple[bytes, int], time: int = 1) -> Child:
    return Child(c.KIND_DIRECTORY, directory[0], directory[1], time, time, name)


def listing(writer: FakeWriter, children: Iterable[Child]) -> tuple[bytes, int]:
    return edit_directory(writer, None, {child.name: child for child in children})


def naive(
    writer: FakeWriter, base: bytes, target: bytes, other: FakeWriter | None = None
) -> set[tuple[str, str]]:
    """(kind, path) of every change, from two whole walks."""
    old = dict(walk(writer, base, hidden=True))
    new = dict(walk(other or writer, target, hidden=True))
    found = {("deleted", path) for path in old.keys() - new.keys()}
    found |= {("added", path) for path in new.keys() - old.keys()}
    for path in old.keys() & new.keys():
        one, two = old[path], new[path]
        if one.kind != two.kind:
            found |= {("deleted", path), ("added", path)}
        elif one.kind != c.KIND_DIRECTORY and any(
            getattr(one, fact) != getattr(two, fact) for fact in FACTS
        ):
            found.add(("modified", path))
    return found


def told(changes: Iterable[Change]) -> set[tuple[str, str]]:
    found = [(change.kind, change.path) for change in changes]
    assert len(found) == len(set(found))
    return set(found)


def swapped(changes: Iterable[Change]) -> set[tuple[str, str]]:
    """What the diff the other way round must tell."""
    swap = {"added": "deleted", "deleted": "added", "modified": "modified"}
    return {(swap[kind], path) for kind, path in told(changes)}


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


def test_equal_roots_are_not_read(writer: FakeWriter) -> None:
    root, _ = listing(writer, [file_child("a")])
    assert list(diff(writer, root, root)) == []
    assert not writer.reads


def test_each_kind_of_change(writer: FakeWriter) -> None:
    inner = listing(writer, [file_child("x"), folder("deep", listing(writer, [file_child("y")]))])
    link = Child(c.KIND_SYMLINK, h(b"1"), 0, 1, 1, "link")
    old = [
        file_child("gone"),
        file_child("same"),
        file_child("touched", time=5),
        file_child("changed", 1),
        folder("becomes-file", inner),
        file_child("becomes-folder"),
        folder("kept", inner, time=1),
        folder("empty", listing(writer, [])),
        link,
    ]
    new = [
        file_child("new"),
        file_child("same")._replace(virtual_time=77),
        file_child("touched", time=6),
        file_child("changed", 2, size=9),
        file_child("becomes-file"),
        folder("becomes-folder", inner),
        folder("kept", inner, time=2),
        link._replace(hash=h(b"2")),
        folder("made", listing(writer, [])),
    ]
    base, target = listing(writer, old)[0], listing(writer, new)[0]
    changes = list(diff(writer, base, target))
    assert [(change.kind, change.path) for change in changes] == [
        ("deleted", "/becomes-file"),
        ("deleted", "/becomes-file/deep"),
        ("deleted", "/becomes-file/deep/y"),
        ("deleted", "/becomes-file/x"),
        ("added", "/becomes-file"),
        ("deleted", "/becomes-folder"),
        ("added", "/becomes-folder"),
        ("added", "/becomes-folder/deep"),
        ("added", "/becomes-folder/deep/y"),
        ("added", "/becomes-folder/x"),
        ("modified", "/changed"),
        ("deleted", "/empty"),
        ("deleted", "/gone"),
        ("modified", "/link"),
        ("added", "/made"),
        ("added", "/new"),
        ("modified", "/touched"),
    ]
    by_path = {(change.kind, change.path): change for change in changes}
    touched = by_path["modified", "/touched"]
    assert touched.old == file_child("touched", time=5)
    assert touched.new == file_child("touched", time=6)
    assert by_path["added", "/new"].old is None
    assert by_path["deleted", "/gone"].new is None
    assert told(changes) == naive(writer, base, target)
    assert told(diff(writer, target, base)) == swapped(changes)


def test_changed_folders_on_request(writer: FakeWriter) -> None:
    deep = [listing(writer, [file_child("y", seed)]) for seed in (1, 2)]
    roots = []
    for version in deep:
        middle = listing(writer, [folder("b", version), file_child("same")])
        roots.append(listing(writer, [folder("a", middle), folder("z", deep[0])])[0])
    changes = list(diff(writer, roots[0], roots[1], folders=True))
    assert [change.path for change in changes] == ["/", "/a", "/a/b", "/a/b/y"]
    assert {change.kind for change in changes} == {"modified"}
    first = changes[0]
    assert first.old is not None
    assert first.new is not None
    assert (first.old.hash, first.new.hash) == tuple(roots)


def test_against_nothing(writer: FakeWriter) -> None:
    root, _ = listing(writer, [file_child("a"), folder("b", listing(writer, [file_child("c")]))])
    assert told(diff(writer, c.ZERO_HASH, root)) == naive(writer, c.ZERO_HASH, root)
    assert told(diff(writer, root, c.ZERO_HASH)) == naive(writer, root, c.ZERO_HASH)


def test_base_and_target_in_two_files(writer: FakeWriter) -> None:
    other = FakeWriter()
    old = {f"n{i:04}": file_child(f"n{i:04}") for i in range(600)}
    base, _ = edit_directory(writer, None, old)
    new = {name: child for name, child in old.items() if name > "n0100"}
    new["extra"] = file_child("extra")
    target, _ = edit_directory(other, None, new)
    changes = diff(writer, base, target, target_reader=other)
    assert told(changes) == naive(writer, base, target, other)


def numbered(count: int) -> dict[str, Child]:
    return {name: file_child(name) for name in (f"n{i:07}" for i in range(0, 2 * count, 2))}


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_cost_is_that_of_the_change(writer: FakeWriter, count: int) -> None:
    """In 100,000 children under three folders, some change: reads follow these alone."""
    model = numbered(100_000)
    directory, size = edit_directory(writer, None, model)
    dice = random.Random(count)
    edits: dict[str, Child | None] = {}
    for number in dice.sample(range(200_000), count):
        name = f"n{number:07}"
        edits[name] = None if name in model and dice.random() < 0.5 else file_child(name, 2)
    after = edit_directory(writer, directory, edits)
    roots = []
    for version in ((directory, size), after):
        inner = listing(writer, [folder("big", version), folder("same", (directory, size))])
        roots.append(listing(writer, [folder("top", inner)])[0])
    writer.reads.clear()
    changes = list(diff(writer, *roots))
    reads = writer.reads.total()
    assert len(changes) == len(edits)
    assert {change.path for change in changes} == {f"/top/big/{name}" for name in edits}
    assert reads <= 2 * (2 + 3 * count) + 8, "nodes are read that did not change"


def test_trees_of_other_shapes_share_what_they_can(writer: FakeWriter) -> None:
    """A root that split: one tree is higher than the other, most leaves are the same."""
    model = numbered(40 * 78)
    low, _ = edit_directory(writer, None, model)
    extra = {f"n{i:07}": file_child(f"n{i:07}") for i in range(1, 100, 2)}
    high, _ = edit_directory(writer, low, extra)
    writer.reads.clear()
    changes = list(diff(writer, low, high))
    assert told(changes) == {("added", f"/{name}") for name in extra}
    assert writer.reads.total() <= 20


def test_a_far_shift_is_found_again(writer: FakeWriter) -> None:
    """Whole leaves that went away do not make the rest look new."""
    model = numbered(20_000)
    base, _ = edit_directory(writer, None, model)
    gone = dict.fromkeys(sorted(model)[4_000:4_800])
    target, _ = edit_directory(writer, base, gone)
    writer.reads.clear()
    assert told(diff(writer, base, target)) == {("deleted", f"/{name}") for name in gone}
    assert writer.reads.total() <= 20 + 8


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 30), size=st.sampled_from([3, 200, 300, 900, 4_000]))
def test_any_two_listings(seed: int, size: int) -> None:
    dice = random.Random(seed)
    writer = FakeWriter()
    known = {f"{i:05}": file_child(f"{i:05}") for i in dice.sample(range(2 * size), size)}
    base, _ = edit_directory(writer, None, known)
    target = base
    for step in range(dice.randint(1, 3)):
        edits: dict[str, Child | None] = {}
        if dice.random() < 0.5:
            for number in dice.sample(range(2 * size), dice.randint(0, size // 2)):
                edits[f"{number:05}"] = file_child(f"{number:05}", step)
        if dice.random() < 0.5:
            start, length = dice.randrange(2 * size), dice.randrange(2 * size)
            edits.update((f"{i:05}", None) for i in range(start, start + length))
        target, _ = edit_directory(writer, target, edits)
    changes = list(diff(writer, base, target))
    assert told(changes) == naive(writer, base, target)
    order = [change.path for change in changes]
    assert order == sorted(order)
    assert told(diff(writer, target, base)) == swapped(changes)


def random_tree(writer: FakeWriter, dice: random.Random, depth: int) -> tuple[bytes, int]:
    children = []
    for name in dice.sample("abcdefgh", dice.randint(0, 5)):
        if depth and dice.random() < 0.5:
            children.append(folder(name, random_tree(writer, dice, depth - 1)))
        elif dice.random() < 0.2:
            children.append(Child(c.KIND_SYMLINK, h(name.encode()), 0, 1, 1, name))
        else:
            children.append(file_child(name, dice.randint(0, 1), time=dice.randint(1, 2)))
    return listing(writer, children)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 30))
def test_any_two_trees(seed: int) -> None:
    dice = random.Random(seed)
    writer = FakeWriter()
    base, target = (random_tree(writer, dice, 4)[0] for _ in range(2))
    assert told(diff(writer, base, target)) == naive(writer, base, target)


def test_damage_names_the_path(writer: FakeWriter) -> None:
    versions = [listing(writer, [file_child("y", seed)]) for seed in (1, 2)]
    roots = [
        listing(writer, [folder("a", listing(writer, [folder("b", version)]))])[0]
        for version in versions
    ]
    del writer.live[versions[1][0]]
    with pytest.raises(DamagedError) as caught:
        list(diff(writer, *roots))
    assert caught.value.path == "/a/b"
    assert caught.value.key == versions[1][0]


def test_hostile_nodes_end_in_damage(writer: FakeWriter) -> None:
    def node(letter: str, value: bytes) -> bytes:
        writer.append(c.ENTRY_DIRECTORY, letter.encode() * 32, value)
        return letter.encode() * 32

    base, _ = edit_directory(writer, None, numbered(1_000))
    child = file_child("b").encode()
    leaf = node("b", encode_leaf([child]))
    flat = node("f", encode_listing([child]))
    for key in (
        node("1", encode_internal(["m"], [leaf, leaf])),  # a leaf on the wrong side
        node("2", encode_internal(["a"], [leaf, leaf])),  # a name twice, over two leaves
        node("3", encode_internal(["m"], [b"3" * 32, b"3" * 32])),  # a loop
        node("4", encode_internal(["m"], [flat, flat])),
        node("5", encode_listing([child, child])),
        node("6", encode_listing([Child(c.KIND_DIRECTORY, b"6" * 32, 0, 0, 0, "d").encode()])),
        node("7", encode_listing([file_child("../x").encode()])),
    ):
        for pair in ((base, key), (key, base)):
            with pytest.raises(DamagedError) as caught:
                list(diff(writer, *pair))
            assert caught.value.path
