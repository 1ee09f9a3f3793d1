"""Index pages against dicts and lists of rows."""

import random
import struct
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.native import pages
from aeordb.native.faults import PageFault
from aeordb.native.index import Index
from aeordb.native.map import Map

from . import bits

START = 512
KEYS = [bits.key_of(str(i)) for i in range(300)]
ROWS = st.dictionaries(
    st.sampled_from(KEYS),
    st.tuples(st.sampled_from([0, 1, 2, 0x20, 0x21]), st.integers(0, 2**40), st.integers(0, 99)),
    max_size=200,
)
Rows = dict[bytes, bits.Location]


def block_of(rows: Rows, count: int) -> tuple[list[list[tuple[bytes, bits.Location]]], bytes]:
    """Rows of each page, first come first served, and the block with 512 bytes before it."""
    placed: list[list[tuple[bytes, bits.Location]]] = [[] for _ in range(count)]
    for key, where in rows.items():
        if len(placed[bits.page_of(key, count)]) < 32:
            placed[bits.page_of(key, count)].append((key, where))
    images = [bits.page(rows) if rows else bytes(bits.PAGE) for rows in placed]
    return placed, bytes(START) + b"".join(images)


@pytest.mark.parametrize("count", [1, 2, 45, 361, 2892, 23140, 92563, 370255, 740_519, 2**31])
def test_page_of_at_every_edge(count: int) -> None:
    noise = random.Random(count)
    places = [0, 1, 2**63, 2**64 - 1, *(noise.getrandbits(64) for _ in range(500))]
    for number in [1, 2, count - 1, *(noise.randrange(count) for _ in range(200))]:
        edge = (number << 64) // count
        places += [edge + step for step in (-2049, -1025, -1024, -1, 0, 1, 1023, 1024, 1025, 2048)]
    for place in places:
        key = (place % 2**64).to_bytes(8, "big") + bytes(24)
        assert pages.page_of(key, count) == bits.page_of(key, count)


@given(ROWS, ROWS, st.sampled_from([1, 3, 45]), st.booleans())
def test_checkpoint(old: Rows, new: Rows, count: int, drops: bool) -> None:
    placed, block = block_of(old, count)
    overflow = []
    left: list[list[tuple[bytes, bits.Location]]] = [[] for _ in range(count)]
    for number in sorted({bits.page_of(key, count) for key in new}):
        rows = dict(placed[number])
        mine = {key: where for key, where in new.items() if bits.page_of(key, count) == number}
        rows.update({key: where for key, where in mine.items() if key in rows})
        if drops:
            left[number] = [row for row in rows.items() if row[1][0] & bits.DELETED]
            rows = {key: where for key, where in rows.items() if not where[0] & bits.DELETED}
        for key, where in mine.items():
            if key in rows or where[0] & bits.DELETED:
                continue
            if len(rows) < 32:
                rows[key] = where
            else:
                overflow.append((key, where))
        placed[number] = list(rows.items())
    touched = sorted({bits.page_of(key, count) for key in new})
    touched = [number for number in touched if placed[number] + left[number]]
    result = pages.checkpoint(Map(block), START, count, bits.records(new), drops)
    assert list(result.page_numbers) == touched
    assert result.page_bytes == b"".join(bits.page(placed[number]) for number in touched)
    assert bits.split(result.overflow_records) == overflow
    leads = [row for number in touched for row in placed[number] + left[number]]
    assert bits.split(result.lead_records) == leads

    again = pages.replay(result.lead_records, count, drops)
    assert again == (result.page_numbers, result.page_bytes)
    parts = list(pages.replay_batches(result.lead_records, count, drops, limit=2))
    assert sum((numbers for numbers, _ in parts), array("I")) == result.page_numbers
    assert b"".join(images for _, images in parts) == result.page_bytes
    lean = pages.checkpoint(Map(block), START, count, bits.records(new), drops, images=False)
    assert lean == result._replace(page_bytes=b"")


@given(ROWS, st.sampled_from([1, 3, 45]))
def test_build(rows: Rows, count: int) -> None:
    live = {key: where for key, where in rows.items() if not where[0] & bits.DELETED}
    placed, block = block_of(live, count)
    built, overflow, leads = pages.build_pages(bits.records(rows), count)
    assert built == block[START:]
    assert bits.split(leads) == [row for page in placed for row in page]
    assert {*bits.split(overflow)} == {*live.items()} - {row for page in placed for row in page}
    assert pages.overflow_count(bits.records(rows), count) == len(overflow) // 46
    assert pages.order_records(bits.records(rows), count) == (leads, overflow)
    index = Index(Map(bytes(START) + built), START, count)
    for key, where in bits.split(leads):
        assert index.find(key) == where


@given(ROWS, st.sampled_from([1, 7, 45]))
def test_mark(rows: Rows, count: int) -> None:
    bitmap = pages.mark(bits.records(rows), count)
    marked = {page for page in range(count) if bitmap[page // 8] >> page % 8 & 1}
    assert marked == {bits.page_of(key, count) for key in rows}


BAD_PAGES = {
    "two of one key": bits.page([(KEYS[0], (0, 1, 2)), (KEYS[0], (0, 3, 4))]),
    "count": struct.pack("<IIH", 0xAE0DB905, 0, 33).ljust(bits.PAGE, b"\0"),
    "magic": struct.pack("<IIH", 0, 0, 1).ljust(bits.PAGE, b"\0"),
}


@pytest.mark.parametrize("name", BAD_PAGES)
def test_a_bad_page_is_not_merged(name: str) -> None:
    with pytest.raises(PageFault) as caught:
        pages.checkpoint(Map(BAD_PAGES[name]), 0, 1, bits.record(KEYS[1], 0, 0, 0))
    assert caught.value.page == 0


def test_an_entry_in_the_wrong_page_is_not_merged() -> None:
    """A replay looks for the page of each lead record by its key: it would land elsewhere."""
    wrong = next(key for key in KEYS if bits.page_of(key, 2) == 1)
    right = next(key for key in KEYS if bits.page_of(key, 2) == 0)
    block = bits.page([(wrong, (0, 1, 2))]) + bytes(bits.PAGE)
    with pytest.raises(PageFault):
        pages.checkpoint(Map(block), 0, 2, bits.record(right, 0, 0, 0))


def test_every_flipped_bit_of_a_page_is_seen() -> None:
    image = bits.page([(key, (0, 1, 2)) for key in KEYS[:3]])
    for at in [*range(200), 1449]:
        for bit in range(8):
            bad = bytearray(image)
            bad[at] ^= 1 << bit
            with pytest.raises(PageFault):
                Index(Map(bad), 0, 1).find(KEYS[0])


def test_what_is_no_lead_record_is_not_replayed() -> None:
    rows = sorted((bits.page_of(key, 45), bits.record(key, 0, 0, 0)) for key in KEYS)
    backwards = b"".join(record for _, record in reversed(rows))
    for limit in (1, 1000):
        with pytest.raises(PageFault):
            list(pages.replay_batches(backwards, 45, limit=limit))
    with pytest.raises(PageFault):
        pages.replay(b"".join(record for _, record in rows), 1)  # 300 in a page


@pytest.mark.parametrize("count", [0, 2**32])
def test_page_counts_out_of_range(count: int) -> None:
    with pytest.raises(ValueError, match="at least one page"):
        pages.checkpoint(Map(b""), 0, count, b"")
    with pytest.raises(ValueError, match="at least one page"):
        pages.overflow_count(b"", count)


def test_pages_are_written_where_they_belong(tmp_path: Path) -> None:
    numbers = array("I", [0, 1, 2, 5, 7, 8])
    images = b"".join(bytes([n + 1]) * pages.PAGE for n in numbers)
    path = tmp_path / "pages"
    path.write_bytes(b"\xff" * (10 + 10 * pages.PAGE))
    with open(path, "r+b") as file:
        assert pages.write_pages(file.fileno(), 10, numbers, images) == 6
    content = path.read_bytes()
    assert content[:10] == b"\xff" * 10
    for n in range(10):
        at = 10 + n * pages.PAGE
        wanted = n + 1 if n in numbers else 0xFF
        assert content[at : at + pages.PAGE] == bytes([wanted]) * pages.PAGE
    with open(path, "rb") as file:
        assert pages.write_pages(file.fileno(), 10, numbers, images) == 0
    with pytest.raises(ValueError, match="bytes a page"):
        pages.write_pages(-1, 0, numbers, images[1:])
