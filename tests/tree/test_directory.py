"""Directories against a plain dict, and the shapes that FORMAT.md 3.2 asks for."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.nodes import (
    Child,
    Internal,
    Leaf,
    Listing,
    encode_child,
    encode_internal,
    encode_listing,
)
from aeordb.tree import btree
from aeordb.tree.directory import (
    EMPTY,
    count_children,
    edit_directory,
    find_child,
    is_empty,
    list_children,
)
from tests.kit.layout import h
from tests.tree.fake import FakeWriter, file_child

Model = dict[str, Child]


def numbered(count: int, step: int = 1) -> Model:
    """`count` children whose names sort like their numbers."""
    return {name: file_child(name) for name in (f"n{i * step:07}" for i in range(count))}


def apply(model: Model, edits: Mapping[str, Child | None]) -> Model:
    """The model after edits."""
    after = dict(model)
    for name, child in edits.items():
        if child is None:
            after.pop(name, None)
        else:
            after[name] = child
    return after


def check(writer: FakeWriter, directory: bytes, size: int, model: Model) -> None:
    """The directory holds the model's children, in a legal shape, under the right keys."""
    assert list(list_children(writer, directory)) == [model[name] for name in sorted(model)]
    value = writer.live[directory].value
    assert size == len(value)
    node = btree.read_node(writer, directory)
    if isinstance(node, Listing):
        assert directory == h(b"dirc:", value)
        assert len(model) < c.BTREE_THRESHOLD
        return
    assert model
    depths = set()
    level = [("", directory)]
    depth = 0
    while level:
        below = []
        for low, key in level:
            value = writer.live[key].value
            assert key == h(b"btree:", value)
            node = btree.read_node(writer, key)
            if isinstance(node, Leaf):
                depths.add(depth)
                assert 1 <= len(node.children) <= c.LEAF_MAX_BULK
                assert node.children[0].name >= low
            else:
                assert isinstance(node, Internal)
                assert 1 <= len(node.names) <= c.INTERNAL_MAX_BULK
                below += btree.child_nodes(node, low)
        level = below
        depth += 1
    assert len(depths) == 1


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 3_120, 3_121, 10_000])
def test_a_new_directory_holds_what_it_was_given(count: int) -> None:
    writer = FakeWriter()
    model = numbered(count)
    order = list(model.items())
    random.Random(1).shuffle(order)
    directory, size = edit_directory(writer, None, dict(order))
    check(writer, directory, size, model)
    assert count_children(writer, directory) == count
    assert is_empty(writer, directory) == (count == 0)
    assert (directory == EMPTY) == (count == 0)
    assert len(writer.appended()) == len(set(writer.appended()))
    for name in list(model)[:: max(1, count // 50)]:
        writer.reads.clear()
        assert find_child(writer, directory, name) == model[name]
        assert writer.reads.total() <= 4
    for name in ("a", "n", "n0000000x", "z", "n9999999"):
        assert find_child(writer, directory, name) is None


def test_a_bulk_build_fills_its_leaves() -> None:
    writer = FakeWriter()
    directory, _ = edit_directory(writer, None, numbered(256))
    root = btree.read_node(writer, directory)
    assert isinstance(root, Internal)
    leaves = [btree.read_node(writer, key) for key in root.keys]
    assert [len(leaf.children) for leaf in leaves if isinstance(leaf, Leaf)] == [40] * 6 + [16]


def test_a_flat_listing_keeps_its_order() -> None:
    """AeorDB appends new children and replaces old ones in place; so a put makes its listing."""
    writer = FakeWriter()
    edits = {name: file_child(name) for name in ("m", "c", "x")}
    directory, _ = edit_directory(writer, None, edits)
    more: dict[str, Child | None] = {"c": file_child("c", 2), "a": file_child("a"), "m": None}
    directory, _ = edit_directory(writer, directory, more)
    node = btree.read_node(writer, directory)
    assert isinstance(node, Listing)
    assert [child.name for child in node.children] == ["c", "x", "a"]
    assert [child.name for child in list_children(writer, directory)] == ["a", "c", "x"]


@pytest.mark.parametrize("count", [0, 3, 300, 4_000])
def test_no_change_writes_nothing(count: int) -> None:
    writer = FakeWriter()
    model = numbered(count)
    directory, size = edit_directory(writer, None, model)
    appends = len(writer.log)
    some = dict(list(model.items())[::7])
    for edits in ({}, some, {"nowhere": None}, {**some, "nowhere": None}):
        assert edit_directory(writer, directory, edits) == (directory, size)
    assert len(writer.log) == appends


def test_a_node_that_the_file_has_is_not_written_again() -> None:
    writer = FakeWriter()
    model = numbered(1_000)
    first, _ = edit_directory(writer, None, model)
    second, _ = edit_directory(writer, first, {"n0000500": file_child("n0000500", 2)})
    appends = len(writer.log)
    again, _ = edit_directory(writer, second, {"n0000500": model["n0000500"]})
    assert again == first
    assert len(writer.log) == appends


def test_one_insert_costs_the_depth() -> None:
    writer = FakeWriter()
    directory, _ = edit_directory(writer, None, numbered(10_000, step=2))
    appends = len(writer.log)
    writer.reads.clear()
    # Into a full leaf, which splits: what leads to it is read again, to be taken apart.
    directory, _ = edit_directory(writer, directory, {"n0010001": file_child("n0010001")})
    assert writer.reads.total() <= 5
    assert len(writer.log) - appends <= 4
    appends = len(writer.log)
    writer.reads.clear()
    edit_directory(writer, directory, {"n0010003": file_child("n0010003")})
    assert writer.reads.total() <= 3
    assert len(writer.log) - appends <= 3


@given(
    st.integers(256, 700),
    st.lists(st.tuples(st.integers(0, 1500), st.sampled_from("pxd")), max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_edits_in_the_bytes_are_edits_of_the_parts(
    count: int, edits: list[tuple[int, str]]
) -> None:
    """One edit by itself is made in the nodes' bytes; with another one nodes are taken apart."""
    one, two = FakeWriter(), FakeWriter()
    first, _ = edit_directory(one, None, numbered(count, step=2))
    second, _ = edit_directory(two, None, numbered(count, step=2))
    for number, what in edits:
        name = f"n{number:07}"
        child = None if what == "d" else file_child(name, what)
        got = edit_directory(one, first, {name: child})
        want = edit_directory(two, second, {name: child, "nowhere": None})
        assert got == want
        (first, _), (second, _) = got, want
    for key in two.live:
        assert two.live[key].value == one.live[key].value


def test_a_hundred_thousand_in_and_out_again() -> None:
    writer = FakeWriter()
    model = numbered(100_000, step=2)
    directory, size = edit_directory(writer, None, model)
    assert len(writer.log) <= 100_000 / 40 + 100
    dice = random.Random(2)
    edits: dict[str, Child | None] = {}
    for number in dice.sample(range(200_000), 10_000):
        name = f"n{number:07}"
        edits[name] = None if dice.random() < 0.3 else file_child(name, "new")
    directory, size = edit_directory(writer, directory, edits)
    model = apply(model, edits)
    check(writer, directory, size, model)
    half = dict.fromkeys(list(model)[: len(model) // 2])
    directory, size = edit_directory(writer, directory, half)
    model = apply(model, half)
    check(writer, directory, size, model)
    directory, size = edit_directory(writer, directory, dict.fromkeys(model))
    assert (directory, size) == (EMPTY, 0)


def test_a_full_tree_of_three_levels_keeps_its_leaves_at_one_depth() -> None:
    """Whole internal nodes lose all leaves but one: what is left joins a neighbour."""
    writer = FakeWriter()
    model = numbered(40 * 78 * 4)
    directory, size = edit_directory(writer, None, model)
    names = sorted(model)
    for start in (3, 1, 2, 0):
        block = names[start * 40 * 78 : (start + 1) * 40 * 78]
        edits = dict.fromkeys(block[:5] + block[6:])
        directory, size = edit_directory(writer, directory, edits)
        model = apply(model, edits)
        check(writer, directory, size, model)
    assert len(model) == 4


names = st.one_of(
    st.integers(0, 2_000).map(lambda number: f"{number:04}"),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_edits_in_any_order_are_like_a_dict(data: st.DataObject) -> None:
    writer = FakeWriter()
    model: Model = {}
    directory: bytes | None = None
    dice = random.Random(data.draw(st.integers(0, 1 << 30)))
    for step in range(data.draw(st.integers(1, 6))):
        edits: dict[str, Child | None] = {}
        bulk = data.draw(st.sampled_from([0, 1, 3, 60, 255, 256, 257, 900]))
        for number in dice.sample(range(2_000), bulk):
            edits[f"{number:04}"] = file_child(f"{number:04}", step)
        for name in data.draw(st.lists(names, max_size=4)):
            edits[name] = file_child(name, step) if dice.random() < 0.7 else None
        if data.draw(st.booleans()):
            share = dice.random()
            edits.update(dict.fromkeys(name for name in model if dice.random() < share))
        directory, size = edit_directory(writer, directory, edits)
        model = apply(model, edits)
        check(writer, directory, size, model)
        for name in [*edits][:20]:
            assert find_child(writer, directory, name) == model.get(name)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 40))
def test_a_batch_makes_the_leaves_of_single_edits(seed: int, count: int) -> None:
    """Up to 40 edits in one transaction give what AeorDB's one-by-one gives."""
    dice = random.Random(seed)
    writer = FakeWriter()
    directory, _ = edit_directory(writer, None, numbered(500, step=4))
    edits: dict[str, Child | None] = {}
    for number in dice.sample(range(2_000), count):
        edits[f"n{number:07}"] = None if dice.random() < 0.3 else file_child(f"n{number:07}")
    at_once, _ = edit_directory(writer, directory, edits)
    one_by_one = directory
    for name, child in edits.items():
        one_by_one, _ = edit_directory(writer, one_by_one, {name: child})
    assert at_once == one_by_one


def test_bad_nodes_are_damage_with_their_key() -> None:
    writer = FakeWriter()
    twice = encode_listing([file_child("a").encode(), file_child("a", 2).encode()])
    writer.append(c.ENTRY_DIRECTORY, b"t" * 32, twice)
    loop = encode_internal(["m"], [b"l" * 32, b"l" * 32])
    writer.append(c.ENTRY_DIRECTORY, b"l" * 32, loop)
    writer.append(c.ENTRY_DIRECTORY, b"c" * 32, file_child("a").encode()[:-1])
    leaf = btree.encode_leaf([file_child("b").encode()])
    writer.append(c.ENTRY_DIRECTORY, b"o" * 32, leaf)
    writer.append(c.ENTRY_DIRECTORY, b"w" * 32, encode_internal(["m"], [b"o" * 32, b"o" * 32]))
    writer.append(c.ENTRY_DIRECTORY, b"f" * 32, encode_internal(["m"], [b"t" * 32, b"t" * 32]))
    for letter in "tlcwfx":
        key = letter.encode() * 32
        with pytest.raises(DamagedError) as caught:
            list(list_children(writer, key))
        assert caught.value.key is not None
        assert caught.value.entry_type == c.ENTRY_DIRECTORY
    for letter in "lcx":
        with pytest.raises(DamagedError):
            find_child(writer, letter.encode() * 32, "a")
        with pytest.raises(DamagedError):
            edit_directory(writer, letter.encode() * 32, {"a": None})


def test_an_edit_under_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="holds the child"):
        edit_directory(FakeWriter(), None, {"a": file_child("b")})


def test_a_flat_listing_below_an_internal_node_is_damage() -> None:
    """An edit made in its bytes would have put the listing in the place of the whole B-tree."""
    writer = FakeWriter()
    root, _ = edit_directory(writer, None, numbered(300))
    node = btree.read_node(writer, root)
    assert isinstance(node, Internal)
    flat = encode_listing([encode_child(*file_child("a"))])
    writer.append(c.ENTRY_DIRECTORY, node.keys[0], flat)
    before = dict(writer.live)
    with pytest.raises(DamagedError):
        edit_directory(writer, root, {"b": file_child("b")})
    assert writer.live == before
