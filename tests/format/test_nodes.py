"""Directory nodes: children, listings, leaves, internal nodes, links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.nodes import (
    Child,
    Internal,
    Leaf,
    Link,
    Listing,
    decode_children,
    decode_internal,
    decode_leaf,
    decode_node,
    encode_child,
    encode_internal,
    encode_leaf,
    encode_listing,
)
from tests.format import values

A = Child(c.KIND_FILE, b"\1" * 32, 5, 10, 20, "a", "text/plain", 20)
B = Child(c.KIND_DIRECTORY, b"\2" * 32, 0, 30, 30, "b", "", 30)


def sorted_unique(children: list[Child]) -> tuple[Child, ...]:
    by_name = {child.name: child for child in children}
    return tuple(by_name[name] for name in sorted(by_name))


@given(st.lists(values.children, max_size=6))
def test_a_listing_comes_back_in_its_order(children: list[Child]) -> None:
    listing = Listing(tuple(children))
    assert decode_node(listing.encode()) == listing


@given(st.lists(values.children, max_size=6).map(sorted_unique))
def test_a_leaf_comes_back(children: tuple[Child, ...]) -> None:
    leaf = Leaf(children)
    assert decode_node(leaf.encode()) == leaf


@given(st.sets(values.names, max_size=5), st.data())
def test_an_internal_node_comes_back(names: set[str], data: st.DataObject) -> None:
    size = len(names) + 1
    keys = data.draw(st.lists(values.hashes, min_size=size, max_size=size))
    node = Internal(tuple(sorted(names)), tuple(keys))
    assert decode_node(node.encode()) == node


@given(st.lists(values.names, min_size=2, unique=True))
def test_order_of_text_is_order_of_bytes(names: list[str]) -> None:
    assert sorted(names) == sorted(names, key=str.encode)


def test_the_empty_value_is_the_empty_listing() -> None:
    assert decode_node(b"") == Listing(())
    assert decode_node(b"", link=True) == Listing(())
    assert Listing(()).encode() == b""


def test_only_a_path_key_leads_to_a_link() -> None:
    assert decode_node(b"\7" * 32, link=True) == Link(b"\7" * 32)
    assert decode_node(bytes(32), link=True) == Link(bytes(32))
    with pytest.raises(FormatError):
        decode_node(b"\7" * 32)
    with pytest.raises(FormatError):
        Link(b"short").encode()


def test_the_shortest_child_is_longer_than_a_link() -> None:
    shortest = encode_child(c.KIND_FILE, bytes(32), 0, 0, 0, "a")
    assert len(shortest) == c.CHILD_FIXED_LENGTH + 1 == 78


def test_joined_children_make_a_listing_or_a_leaf() -> None:
    parts = [A.encode(), B.encode()]
    assert decode_node(encode_listing(parts)) == Listing((A, B))
    assert decode_node(encode_leaf(parts)) == Leaf((A, B))
    assert decode_children(encode_leaf(parts), 3, 2) == [A, B]


def test_every_cut_is_refused() -> None:
    for node in (Listing((A, B)), Leaf((A, B)), Internal(("m",), (bytes(32), b"\1" * 32))):
        value = node.encode()
        whole = {0, len(A.encode())} if isinstance(node, Listing) else set()
        for length in set(range(len(value))) - whole:
            if length:
                with pytest.raises(FormatError):
                    decode_node(value[:length])


def test_a_node_must_be_what_its_count_says() -> None:
    leaf = encode_leaf([A.encode(), B.encode()])
    with pytest.raises(FormatError, match="states 1 children, 2"):
        decode_node(b"\0\1\0" + leaf[3:])
    with pytest.raises(FormatError, match="states 3 children, 2"):
        decode_node(b"\0\3\0" + leaf[3:])
    with pytest.raises(FormatError, match="follow"):
        decode_node(encode_internal((), (bytes(32),)) + b"\0")


def test_sorted_nodes_must_be_sorted() -> None:
    for parts in ([B, A], [A, A]):
        with pytest.raises(FormatError, match="stands behind"):
            decode_node(encode_leaf([child.encode() for child in parts]))
    with pytest.raises(FormatError, match="stands behind"):
        decode_node(encode_internal(("b", "a"), (bytes(32),) * 3))


@pytest.mark.parametrize("kind", [0, 1, 4, 255])
def test_another_kind_of_child_is_refused(kind: int) -> None:
    value = A.encode()
    with pytest.raises(FormatError, match="kind"):
        decode_children(bytes((kind,)) + value[1:])
    with pytest.raises(FormatError):
        A._replace(kind=kind).encode()


def test_names_must_be_utf8_and_not_empty() -> None:
    value = A.encode()
    with pytest.raises(FormatError, match="not UTF-8"):
        decode_children(value.replace(b"a", b"\xff", 1))
    empty = value[:57] + b"\0\0" + value[60:]
    with pytest.raises(FormatError, match="empty name"):
        decode_children(empty)


def test_the_decoders_of_one_kind_refuse_the_other() -> None:
    leaf, internal = Leaf((A,)).encode(), Internal((), (bytes(32),)).encode()
    with pytest.raises(FormatError, match="not a leaf"):
        decode_leaf(internal)
    with pytest.raises(FormatError, match="not an internal"):
        decode_internal(leaf)


@pytest.mark.parametrize(
    "child",
    [
        A._replace(hash=b"short"),
        A._replace(size=-1),
        A._replace(created=1 << 63),
        A._replace(name=""),
        A._replace(name="n" * 65536),
        A._replace(name="\udc80"),
        A._replace(content_type="t" * 65536),
        A._replace(virtual_time=-1),
    ],
)
def test_values_that_do_not_fit_are_refused(child: Child) -> None:
    with pytest.raises(FormatError):
        child.encode()


def test_nodes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FormatError):
        encode_internal(("a",), (bytes(32),))
    with pytest.raises(FormatError):
        encode_internal(("a",), (bytes(32), b"short"))
    with pytest.raises(FormatError):
        encode_internal(("n" * 65536,), (bytes(32),) * 2)
    with pytest.raises(FormatError):
        encode_leaf([b""] * 65536)
