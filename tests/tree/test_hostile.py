"""Nodes with flipped, lost and added bytes: damage is told, nothing else happens."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.errors import AeorDBError, DamagedError
from aeordb.format import constants as c
from aeordb.format.nodes import Child
from aeordb.tree.diff import diff
from aeordb.tree.directory import edit_directory, find_child, list_children
from aeordb.tree.edit import TreeEdit
from aeordb.tree.paths import parse_path
from aeordb.tree.walk import walk
from tests.tree.fake import FakeWriter, file_child

Mutation = tuple[str, int, bytes]
mutations = st.tuples(
    st.sampled_from(["overwrite", "cut", "insert", "remove"]),
    st.integers(0, 1 << 20),
    st.binary(min_size=1, max_size=8),
)


def mutate(value: bytes, mutation: Mutation) -> bytes:
    how, number, data = mutation
    # Half of the places are near the start, where the node's type and count are.
    at = number % (min(16, len(value)) if number & 1 else len(value)) if value else 0
    if how == "cut":
        return value[:at]
    if how == "insert":
        return value[:at] + data + value[at:]
    if how == "remove":
        return value[:at] + value[at + len(data) :]
    return value[:at] + data + value[at + len(data) :]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([0, 3, 256, 700]), st.integers(0, 1 << 16), mutations)
def test_a_mutated_node_is_damage_or_another_listing(
    count: int, which: int, mutation: Mutation
) -> None:
    writer = FakeWriter()
    names = [f"n{i:04}" for i in range(count)]
    clean, _ = edit_directory(writer, None, {name: file_child(name) for name in names})
    edits: dict[str, Child | None] = {"n0100": file_child("n0100", 2), "m": file_child("m")}
    target, _ = edit_directory(writer, clean, edits)
    nodes = sorted(key for key, entry in writer.live.items() if entry.type == c.ENTRY_DIRECTORY)
    key = nodes[which % len(nodes)]
    entry = writer.live[key]
    writer.live[key] = replace(entry, value=mutate(entry.value, mutation))
    for directory in (clean, target):
        with suppress(DamagedError):
            list(list_children(writer, directory))
        with suppress(DamagedError):
            list(walk(writer, directory, hidden=True))
        for name in ("n0100", "n0000", "x"):
            with suppress(DamagedError):
                find_child(writer, directory, name)
        with suppress(DamagedError):
            changed, _ = edit_directory(writer, directory, {"n0100": None, "n0101": None})
            assert changed in writer.live
        edit = TreeEdit(writer, directory)
        with suppress(AeorDBError):  # also: not there, or of another kind now
            edit.mkdir(parse_path("/new/folder"))
            edit.delete(parse_path("/new"), recursive=True)
            edit.move(parse_path("/m"), parse_path("/mm"))
            edit.finish()
    with suppress(DamagedError):
        list(diff(writer, clean, target))
    with suppress(DamagedError):
        list(diff(writer, target, clean))


def test_an_empty_leaf_and_a_lone_child_are_read_and_edited() -> None:
    """Shapes that only other programs leave behind: no reason to refuse their data."""
    writer = FakeWriter()
    child = file_child("a")
    writer.append(c.ENTRY_DIRECTORY, b"e" * 32, b"\0\0\0")
    writer.append(c.ENTRY_DIRECTORY, b"a" * 32, b"\0\1\0" + child.encode())
    writer.append(c.ENTRY_DIRECTORY, b"i" * 32, b"\1\0\0" + b"a" * 32)
    writer.append(c.ENTRY_DIRECTORY, b"2" * 32, b"\1\1\0\1\0m" + b"a" * 32 + b"e" * 32)
    assert list(list_children(writer, b"e" * 32)) == []
    for letter in "ai2":
        root = letter.encode() * 32
        assert list(list_children(writer, root)) == [child]
        more, _ = edit_directory(writer, root, {"z": file_child("z")})
        assert [each.name for each in list_children(writer, more)] == ["a", "z"]
        none, size = edit_directory(writer, root, {"a": None})
        assert list(list_children(writer, none)) == []
        assert [change.kind for change in diff(writer, root, more)] == ["added"]
    assert size in (0, 3)


def test_a_missing_root_is_damage() -> None:
    writer = FakeWriter()
    root = b"r" * 32
    for call in (
        lambda: list(walk(writer, root)),
        lambda: list(diff(writer, root, c.ZERO_HASH)),
        lambda: list(diff(writer, c.ZERO_HASH, root)),
        lambda: TreeEdit(writer, root).lookup(parse_path("/a/b")),
        lambda: TreeEdit(writer, root).delete(parse_path("/a")),
        lambda: edit_directory(writer, root, {}),
    ):
        with pytest.raises(DamagedError) as caught:
            call()
        assert caught.value.key == root
