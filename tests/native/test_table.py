"""The table of index records against a dict."""

import gc
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.native.table import Table

from . import bits

KEYS = [bits.key_of(str(i)) for i in range(40)]
LOCATIONS = st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))


@given(st.lists(st.tuples(st.sampled_from(KEYS), LOCATIONS)), st.booleans())
def test_like_a_dict(puts: list[tuple[bytes, bits.Location]], many: bool) -> None:
    table, model = Table(), dict(puts)
    if many:
        table.put_many(b"".join(bits.record(key, *where) for key, where in puts))
    else:
        for key, where in puts:
            table.put(key, *where)
    assert len(table) == len(model)
    assert {key: table.get(key) for key in KEYS} == {key: model.get(key) for key in KEYS}
    assert all((key in table) == (key in model) for key in KEYS)
    assert table.records() == bits.records(model)  # in the order of the first put
    assert Table.from_records(table.records()).records() == table.records()


def test_many() -> None:
    noise = random.Random(3)
    model = {noise.randbytes(32): (i & 15, i * 64, 95) for i in range(50_000)}
    table = Table.from_records(bits.records(model))
    assert table.records() == bits.records(model)
    assert all(table.get(key) == where for key, where in model.items())
    assert all(noise.randbytes(32) not in table for _ in range(1000))


def test_keys_that_share_their_beginning() -> None:
    model = {bytes(30) + i.to_bytes(2, "big"): (0, i, 95) for i in range(5000)}
    table = Table.from_records(bits.records(model))
    assert all(table.get(key) == where for key, where in model.items())


def test_a_view_outlives_its_table() -> None:
    rows = dict.fromkeys(KEYS, (1, 2, 3))
    view = Table.from_records(bits.records(rows)).record_view()
    gc.collect()
    assert view == bits.records(rows)
    assert view.readonly
    assert Table().record_view() == b""


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_is_32_bytes(key: bytes) -> None:
    table = Table()
    for use in (table.get, table.__contains__, lambda key: table.put(key, 0, 0, 0)):
        with pytest.raises(ValueError, match="32 bytes"):
            use(key)


def test_records_are_whole() -> None:
    with pytest.raises(ValueError, match="46 bytes"):
        Table.from_records(bytes(47))


@pytest.mark.parametrize("where", [(256, 0, 0), (0, 2**64, 0), (0, 0, 2**32), (0, -1, 0)])
def test_numbers_that_do_not_fit(where: bits.Location) -> None:
    with pytest.raises(OverflowError):
        Table().put(KEYS[0], *where)
