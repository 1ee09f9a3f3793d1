"""Hot tails of the helper against those of `format`, and their hashes against the package's."""

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format.hottail import encode_hot_tail, encode_void_record, hot_tail_length
from aeordb.native.table import Table
from aeordb.native.tail import write_tail
from aeordb.native.voids import Voids

from . import bits

ROWS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)))
RANGES = st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 2**30)))


@given(ROWS, RANGES, RANGES, st.integers(0, 5000))
def test_like_the_codec(
    rows: list[bits.Location],
    free: list[tuple[int, int]],
    more: list[tuple[int, int]],
    padding: int,
) -> None:
    table, voids = Table(), Voids()
    for number, row in enumerate(rows):
        table.put(bits.key_of(str(number)), *row)
    listed, end = [], 0
    for gap, length in free:
        voids.insert(end + gap, length, waiting=False)
        listed.append((end + gap, length))
        end += gap + length
    ready = b"".join(encode_void_record(*void) for void in more)
    length = hot_tail_length(len(rows), len(free) + len(more)) + padding
    tail, records, tail_hash = write_tail(table, voids, ready, length)
    assert tail == encode_hot_tail(table.records(), listed + more, length)
    assert records == b"".join(encode_void_record(*void) for void in listed + more)
    assert tail_hash == blake3(tail).digest()


def test_what_does_not_fit() -> None:
    table, voids = Table(), Voids()
    table.put(bytes(32), 1, 2, 3)
    least = hot_tail_length(1, 0)
    assert write_tail(table, voids, b"", least)[0] == encode_hot_tail(table.records(), [])
    for more, length in ((b"", least - 1), (bytes(13), least), (b"", 0)):
        with pytest.raises(ValueError, match="does not fit"):
            write_tail(table, voids, more, length)
    with pytest.raises(ValueError, match="12 bytes"):
        write_tail(table, voids, bytes(12), least)
