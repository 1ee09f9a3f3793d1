"""Index pages: where keys belong, and the bytes of pages that records are merged into.

Records are 46 bytes each, in hot-tail form, each key once (as a Table gives them).
"""

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from ._native import ffi, lib
from .faults import MapFault, PageFault
from .map import Map
from .table import RECORD, check_key, check_records

PAGE = 1450
"""Bytes of a page (FORMAT.md, KV block)."""


class Checkpoint(NamedTuple):
    """Pages to be written, and what the hot tail must say about them."""

    page_numbers: "array[int]"  # array('I'), rising
    page_bytes: bytes  # PAGE bytes each, in that order
    lead_records: bytes  # all entries of these pages, page by page, in slot order
    overflow_records: bytes  # those that found their page full, and stay in the hot tail


def page_of(key: bytes, pages: int) -> int:
    """The page that `key` belongs to, of `pages` (FORMAT.md, KV block)."""
    if pages < 1:
        raise ValueError("at least one page")
    return int(lib.aeor_page_of(check_key(key), pages))


def mark(records: bytes | memoryview, pages: int) -> bytes:
    """A bitmap with a bit per page, set for the pages that the records belong to (covered)."""
    bitmap = bytearray((pages + 7) // 8)
    with check_records(records) as data, ffi.from_buffer("uint8_t[]", bitmap) as bits:
        _check(lib.aeor_pages_mark(data, len(data) // RECORD, pages, bits))
    return bytes(bitmap)


def overflow_count(records: bytes | memoryview, pages: int) -> int:
    """How many of the records (deleted ones left out) would find their page full."""
    overflow: Any = ffi.new("uint64_t *")
    with check_records(records) as data:
        _check(lib.aeor_pages_overflow(data, len(data) // RECORD, pages, overflow))
    return int(overflow[0])


def checkpoint(
    map: Map,  # noqa: A002
    kv_offset: int,
    pages: int,
    records: bytes | memoryview,
    drops: bool = False,
    images: bool = True,
) -> Checkpoint:
    """Merges the records into the pages of the map: in place, else behind the last entry.

    A deleted record marks its page's entry as deleted; with `drops` it takes the entry out, as it
    does with entries marked earlier, and the lead records have it behind the page's entries with
    the deleted flag.  A deleted record whose page lacks the key has nothing to hide and vanishes;
    an empty page that it would have touched is left alone.
    Without `images` the page bytes are left empty: `replay_batches` makes them later, by parts.
    Raises PageFault for a bad page, MapFault for a cut file.
    """
    return _merge(map.pointer, map.length, kv_offset, pages, records, drops, images)


def order_records(records: bytes | memoryview, pages: int) -> tuple[bytes, bytes]:
    """(records in page order, those that find their page full), deleted ones left out.

    `replay_batches` makes the pages of the first.
    """
    result = _merge(ffi.NULL, 0, 0, pages, records, False, False)
    return result.lead_records, result.overflow_records


def build_pages(records: bytes | memoryview, pages: int) -> tuple[bytearray, bytes, bytes]:
    """A whole block of `pages` pages from scratch: (block, overflow records, lead records)."""
    leads, overflow = order_records(records, pages)
    block = bytearray(pages * PAGE)
    for numbers, images in replay_batches(leads, pages):
        for number, page in enumerate(numbers):
            block[page * PAGE : (page + 1) * PAGE] = images[number * PAGE : (number + 1) * PAGE]
    return block, overflow, leads


def replay_batches(
    lead_records: bytes | memoryview, pages: int, drops: bool = False, limit: int = 4096
) -> Iterator[tuple["array[int]", bytes]]:
    """(page numbers, page bytes) of an earlier checkpoint from its lead records, by parts.

    At most `limit` pages each, so that a large block needs little memory.  With `drops` the
    deleted records among them are left out.  PageFault if they are no lead records: not in page
    order, or more of a page than it holds.
    """
    count, done, least = len(lead_records) // RECORD, 0, 0
    used: Any = ffi.new("uint64_t *")
    while done < count:
        result = _new_result()
        with check_records(lead_records) as data:
            rest = data + done * RECORD
            _check(
                lib.aeor_checkpoint_replay(rest, count - done, pages, drops, limit, used, result),
                result,
            )
        numbers = _numbers(result)
        if numbers[0] < least:
            raise PageFault(numbers[0])
        yield numbers, _bytes(result.images)
        done += used[0]
        least = numbers[-1] + 1


def write_pages(fd: int, kv_offset: int, numbers: "array[int]", images: bytes) -> int:
    """Writes such pages into an open file, neighbours in one call; how many before an error."""
    places = ffi.from_buffer("uint32_t[]", numbers)
    if len(images) != len(numbers) * PAGE:
        raise ValueError(f"{PAGE} bytes a page")
    return int(lib.aeor_pages_write(fd, kv_offset, places, images, len(numbers)))


def replay(
    lead_records: bytes | memoryview, pages: int, drops: bool = False
) -> tuple["array[int]", bytes]:
    """All that `replay_batches` gives, at once: (page numbers, page bytes)."""
    whole = max(1, len(lead_records) // RECORD)
    for batch in replay_batches(lead_records, pages, drops, whole):
        return batch
    return array("I"), b""


def _merge(
    data: Any,
    length: int,
    kv_offset: int,
    pages: int,
    records: bytes | memoryview,
    drops: bool,
    images: bool,
) -> Checkpoint:
    result = _new_result()
    with check_records(records) as new:
        count = len(new) // RECORD
        code = lib.aeor_checkpoint(
            data, length, kv_offset, pages, new, count, drops, images, result
        )
    _check(code, result)
    return new_checkpoint(result)


def new_checkpoint(result: Any) -> Checkpoint:
    """That of a `struct aeor_checkpoint`."""
    return Checkpoint(
        _numbers(result), _bytes(result.images), _bytes(result.leads), _bytes(result.overflow)
    )


def _new_result() -> Any:
    return ffi.gc(ffi.new("struct aeor_checkpoint *"), lib.aeor_checkpoint_free)


def _bytes(part: Any) -> bytes:
    return ffi.buffer(part.data, part.length)[:] if part.length else b""


def _numbers(result: Any) -> "array[int]":
    return array("I", _bytes(result.numbers))


def _check(code: int, result: Any = None) -> None:
    if code == lib.AEOR_ERR_PAGE:
        raise PageFault(result.bad_page)
    if code == lib.AEOR_ERR_FAULT:
        raise MapFault
    if code == lib.AEOR_ERR_MEMORY:
        raise MemoryError("no memory for index pages")
    if code != lib.AEOR_OK:
        raise ValueError("at least one page, and fewer than 2^32")
