"""The parsers of nodes and records against plain ones in Python."""

import struct
from bisect import bisect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.native import nodes
from aeordb.native.faults import NodeFault


class BadError(Exception):
    """What the parsers below raise."""


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise BadError
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, code: str) -> int:
        size = struct.calcsize("<" + code)
        return int(struct.unpack("<" + code, self.take(size))[0])

    def text(self, code: str = "H") -> bytes:
        return self.take(self.number(code))

    def end(self) -> None:
        if self.at != len(self.data):
            raise BadError


def child(reader: Reader) -> nodes.ChildFields:
    kind, key = reader.number("B"), reader.take(32)
    if kind not in (2, 3, 8):
        raise BadError
    size, created, updated = reader.number("Q"), reader.number("q"), reader.number("q")
    name, content_type = reader.text(), reader.text()
    times = reader.number("Q"), reader.number("Q")
    return (kind, key, size, created, updated, name, content_type, *times)


def children(value: bytes) -> list[nodes.ChildFields]:
    reader, found = Reader(value), []
    if value[:1] == b"\1":
        raise BadError
    if value[:1] != b"\0":
        while reader.at < len(value):
            found.append(child(reader))
        return found
    reader.take(1)
    found = [child(reader) for _ in range(reader.number("H"))]
    reader.end()
    rising(found and [row[5] for row in found])
    return found


def rising(names: list[bytes]) -> None:
    if sorted(set(names)) != names:
        raise BadError


def internal(value: bytes) -> tuple[list[bytes], list[bytes]]:
    reader = Reader(value)
    if reader.take(1) != b"\1":
        raise BadError
    names = [reader.text() for _ in range(reader.number("H"))]
    keys = [reader.take(32) for _ in range(len(names) + 1)]
    reader.end()
    rising(names)
    return names, keys


def find(value: bytes, name: bytes) -> Any:
    """The offset of the key below, or (child or None, where it begins and ends, of how many)."""
    if value[:1] == b"\1":
        names, keys = internal(value)
        return len(value) - 32 * len(keys) + 32 * sum(other <= name for other in names)
    rows = children(value)
    leaf = value[:1] == b"\0"
    at = 3 if leaf else 0
    for row in rows:
        if row[5] == name or (leaf and row[5] > name):
            found = row[5] == name
            length = 77 + len(row[5]) + len(row[6]) if found else 0
            return row if found else None, at, at + length, len(rows)
        at += 77 + len(row[5]) + len(row[6])
    return None, at, at, len(rows)


def file_fields(value: bytes, version: int) -> nodes.FileFields:
    r = Reader(value)
    head = r.text(), r.text(), r.number("Q"), r.number("q"), r.number("q")
    content_hash = r.take(32) if version else None
    found = (*head, content_hash, r.text("I"), r.take(32 * r.number("I")))
    r.end()
    return found


def plain(code: str) -> Callable[[bytes], tuple[object, ...]]:
    """A parser of s: text, S: text with a u32 length, h: hash, and numbers."""

    def parse(value: bytes) -> tuple[object, ...]:
        r = Reader(value)
        steps = {"s": r.text, "S": lambda: r.text("I"), "h": lambda: r.take(32)}
        found = tuple(steps[c]() if c in steps else r.number(c) for c in code)
        r.end()
        return found

    return parse


PAIRS: dict[str, tuple[Callable[[bytes], object], Callable[[bytes], object]]] = {
    "children": (nodes.children, children),
    "internal": (nodes.internal, internal),
    "file 0": (lambda v: nodes.file_fields(v, 0), lambda v: file_fields(v, 0)),
    "file 1": (lambda v: nodes.file_fields(v, 1), lambda v: file_fields(v, 1)),
    "symlink": (nodes.symlink_fields, plain("ssqq")),
    "deletion": (nodes.deletion_fields, plain("sqs")),
    "snapshot": (nodes.snapshot_fields, plain("shqS")),
    "fork": (nodes.fork_fields, plain("shq")),
}

U16_TEXT = st.binary(max_size=6).map(lambda text: struct.pack("<H", len(text)) + text)
U32_TEXT = st.binary(max_size=6).map(lambda text: struct.pack("<I", len(text)) + text)
HASH = st.binary(min_size=32, max_size=32)
I64 = st.binary(min_size=8, max_size=8)
NAMES = st.lists(st.binary(max_size=4), max_size=6, unique=True)


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def child_of(name: bytes) -> st.SearchStrategy[bytes]:
    kind = st.sampled_from([b"\2", b"\3", b"\x08"])
    text = struct.pack("<H", len(name)) + name
    return joined(kind, HASH, I64, I64, I64, st.just(text), U16_TEXT, I64, I64)


def nodes_of(names: list[bytes]) -> st.SearchStrategy[bytes]:
    count = struct.pack("<H", len(names))
    texts = b"".join(struct.pack("<H", len(name)) + name for name in sorted(names))
    return st.one_of(
        joined(*map(child_of, names)),
        joined(st.just(b"\0" + count), *map(child_of, sorted(names))),
        joined(st.just(b"\1" + count + texts), *[HASH] * (len(names) + 1)),
    )


KEYS = st.lists(HASH, max_size=3).map(lambda keys: struct.pack("<I", len(keys)) + b"".join(keys))
VALUES = st.one_of(
    NAMES.flatmap(nodes_of),
    joined(U16_TEXT, U16_TEXT, I64, I64, I64, st.sampled_from([b"", b"h" * 32]), U32_TEXT, KEYS),
    joined(U16_TEXT, U16_TEXT, I64, I64),
    joined(U16_TEXT, I64, U16_TEXT),
    joined(U16_TEXT, HASH, I64, U32_TEXT),
    joined(U16_TEXT, HASH, I64),
    st.binary(max_size=40),
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A value, mostly whole, sometimes cut, lengthened or with a changed byte."""
    value = bytearray(draw(VALUES))
    harm = draw(st.integers(0, 5))
    at = draw(st.integers(0, len(value)))
    if harm == 0:
        del value[at:]
    elif harm == 1:
        value[at:at] = draw(st.binary(max_size=3))
    elif harm == 2 and at < len(value):
        value[at] = draw(st.integers(0, 255))
    return bytes(value)


def outcome(parse: Callable[[bytes], object], value: bytes) -> object:
    try:
        return parse(value)
    except (BadError, NodeFault):
        return "bad"


@settings(max_examples=400)
@given(spoilt())
def test_like_the_plain_parsers(value: bytes) -> None:
    for ours, theirs in PAIRS.values():
        assert outcome(ours, value) == outcome(theirs, value)


@settings(max_examples=200)
@given(NAMES.flatmap(nodes_of), st.binary(max_size=4))
def test_find(value: bytes, name: bytes) -> None:
    assert nodes.dir_find(value, name) == find(value, name)
    assert nodes.node_kind(value) == (min(value[0], 2) if value else 2)
    if value[:1] != b"\1":
        for row in children(value):
            assert nodes.dir_find(value, row[5]) == find(value, row[5])


@given(spoilt(), st.binary(max_size=4))
def test_find_in_spoilt_values(value: bytes, name: bytes) -> None:
    ours = outcome(lambda v: nodes.dir_find(v, name), value)
    assert ours == outcome(lambda v: find(v, name), value)


@pytest.mark.parametrize(
    ("value", "offset", "reason"),
    [
        (b"\2", 1, "ends in the middle"),
        (b"\7" + bytes(100), 0, "unknown kind"),
        (b"\0\0\0x", 3, "behind its end"),
        (b"\1", 0, "unknown kind"),
    ],
)
def test_faults_say_where(value: bytes, offset: int, reason: str) -> None:
    with pytest.raises(NodeFault, match=reason) as caught:
        nodes.children(value)
    assert caught.value.offset == offset


def test_names_that_do_not_rise() -> None:
    """Each name stands once in a leaf, and once among an internal node's separators."""
    fields = b"\2" + bytes(32 + 24)
    for first, second in ((b"a", b"a"), (b"b", b"a")):
        texts = [struct.pack("<H", len(name)) + name for name in (first, second)]
        leaf = b"\0\2\0" + b"".join(fields + text + bytes(2 + 16) for text in texts)
        with pytest.raises(NodeFault, match="names do not rise"):
            nodes.children(leaf)
        with pytest.raises(NodeFault, match="names do not rise"):
            nodes.internal(b"\1\2\0" + b"".join(texts) + bytes(3 * 32))


def test_unknown_version_of_a_file_record() -> None:
    with pytest.raises(NodeFault, match="unknown"):
        nodes.file_fields(b"", 2)


def test_lengths_beyond_the_value() -> None:
    """A stated count of 2^32 - 1 chunks allocates nothing."""
    head = bytes(4) + bytes(24) + bytes(4)
    with pytest.raises(NodeFault, match="ends in the middle"):
        nodes.file_fields(head + b"\xff" * 4, 0)


def test_where_a_child_stands_or_would_stand() -> None:
    """A flat listing takes new names behind the others, a leaf in its order."""
    names = [b"b", b"bb", b"d", b"\xff"]
    flat = [encode(name) for name in (b"d", b"b", b"\xff", b"bb")]
    leaf = [encode(name) for name in names]
    head = b"\0" + struct.pack("<H", len(leaf))
    for value, parts, first in ((b"".join(flat), flat, 0), (head + b"".join(leaf), leaf, 3)):
        for part in parts:
            name = part[59 : 59 + part[57]]
            spot = nodes.dir_find(value, name)
            assert not isinstance(spot, int)
            child, start, end, count = spot
            assert child is not None
            assert child[5] == name
            assert (value[start:end], count) == (part, 4)
        for name in (b"a", b"ba", b"c", b"e", b"\xff\xff"):
            at = bisect(names, name)
            place = first + sum(map(len, leaf[:at])) if first else len(value)
            assert nodes.dir_find(value, name) == (None, place, place, 4)
    for value in (head[:1] + b"\1\0" + b"".join(leaf), flat[0][:-1]):
        with pytest.raises(NodeFault):
            nodes.dir_find(value, b"b")


def test_damage_behind_the_child_is_found_too() -> None:
    """Otherwise an edit of a listing would carry it on into the next one."""
    assert nodes.dir_find(encode(b"b"), b"b") == find(encode(b"b"), b"b")
    for value in (encode(b"b") + b"\2", encode(b"b") + b"\7" + encode(b"c")[1:]):
        with pytest.raises(NodeFault):
            nodes.dir_find(value, b"b")


def test_where_the_key_of_the_node_below_stands() -> None:
    value = b"\1\2\0" + b"\1\0d" + b"\1\0m" + b"A" * 32 + b"B" * 32 + b"C" * 32
    keys = len(value) - 96
    below = {b"a": 0, b"d": 1, b"e": 1, b"lz": 1, b"m": 2, b"z": 2}
    for name, number in below.items():
        assert nodes.dir_find(value, name) == keys + 32 * number
    for bad in (value[:-1], value + b"x", value[:5] + b"m" + value[6:]):
        with pytest.raises(NodeFault):
            nodes.dir_find(bad, b"a")


def encode(name: bytes) -> bytes:
    fields = struct.pack("<B32sQqqH", 2, b"k" * 32, 5, 1, 2, len(name))
    return fields + name + struct.pack("<H", 0) + struct.pack("<QQ", 7, 0)
