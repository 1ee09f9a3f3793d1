"""The rules of a file hold for AeorDB's own files, and each fires when it is broken."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.fixtures import DATABASES, EXPORTS, INCOMPLETE, fixture_path
from tests.kit.layout import FILE, PAGE_LENGTH, page_of, read_slot
from tests.kit.oracle import Oracle
from tests.kit.rules import check_file
from tests.kit.values import path_key


@pytest.mark.parametrize("name", [n for n in DATABASES + EXPORTS if n not in INCOMPLETE])
def test_aeordbs_own_files_keep_the_rules(name: str) -> None:
    findings = check_file(fixture_path(name), ours=False)
    if name == "dirty":
        assert findings == [f"no hot tail at {Oracle(fixture_path(name)).slot.hot_tail}"]
    elif name == "system.export-root":
        # It carries the path keys of its snapshots' files as well.
        assert findings == ["live path key without a path at HEAD: file /docs/a.txt"]
    else:
        assert findings == []


def test_an_export_without_its_inner_nodes_is_found() -> None:
    findings = check_file(fixture_path("btree.export-at600"), ours=False)
    assert len(findings) == 1
    assert "missing below /many" in findings[0]


class Image:
    """A copy of a fixture that is bent and keeps its checksums."""

    def __init__(self) -> None:
        self.data = bytearray(fixture_path("system").read_bytes())
        self.oracle = Oracle(bytes(self.data))
        self.slot = self.oracle.slot
        self.live = self.oracle.slots.index(self.slot) * 256

    def header(self, offset: int, raw: bytes, slot: int | None = None) -> None:
        start = self.live if slot is None else slot
        self.data[start + offset : start + offset + len(raw)] = raw
        self.data[start + 252 : start + 256] = struct.pack(
            "<I", zlib.crc32(self.data[start : start + 252])
        )

    def page(self, number: int, records: list[bytes]) -> None:
        start = self.slot.kv_offset + number * PAGE_LENGTH
        page = struct.pack("<IIH", 0xAE0DB905, 0, len(records)) + b"".join(records)
        page = page.ljust(PAGE_LENGTH, b"\0")
        page = page[:4] + struct.pack("<I", zlib.crc32(page)) + page[8:]
        self.data[start : start + PAGE_LENGTH] = page

    def records(self, number: int) -> list[bytes]:
        found = self.oracle.page(number)
        return [struct.pack("<32sBQI", r.key, r.kv, r.offset, r.length) for r in found]

    def tail(self, voids: list[tuple[int, int]]) -> None:
        head = bytes.fromhex("AE017DB10D") + struct.pack("<BII", 1, 0, len(voids))
        body = b"".join(struct.pack("<BQI", 1, start, end - start) for start, end in voids)
        self.data[self.slot.hot_tail :] = head + struct.pack("<I", zlib.crc32(head)) + body

    def live_file(self) -> bytes:
        return path_key(FILE, "/users/alice.json")


def flip_a_chunk(image: Image) -> None:
    location = next(x for x in image.oracle.index.values() if x.kv == 0)
    image.data[location.end - 1] ^= 1


def forget_a_path_key(image: Image) -> None:
    number = page_of(image.live_file(), image.slot.pages)
    kept = [r for r in image.records(number) if r[:32] != image.live_file()]
    image.page(number, kept)


def name_another_entry(image: Image) -> None:
    number = page_of(image.live_file(), image.slot.pages)
    records = image.records(number)
    records[0] = records[0][:33] + records[1][33:]
    image.page(number, records)


def put_a_key_elsewhere(image: Image) -> None:
    number = page_of(image.live_file(), image.slot.pages)
    image.page((number + 1) % image.slot.pages, image.records(number)[:1])


def put_a_key_twice(image: Image) -> None:
    number = page_of(image.live_file(), image.slot.pages)
    image.page(number, image.records(number) + image.records(number)[:1])


def leave_bytes_in_a_page(image: Image) -> None:
    number = page_of(image.live_file(), image.slot.pages)
    fewer = [r for r in image.records(number) if r[:32] != image.live_file()]
    image.page(number, [*fewer, bytes(44) + b"\1"])
    start = image.slot.kv_offset + number * PAGE_LENGTH
    page = bytearray(image.data[start : start + PAGE_LENGTH])
    page[8:10] = struct.pack("<H", len(fewer))
    page[4:8] = bytes(4)
    page[4:8] = struct.pack("<I", zlib.crc32(page))
    image.data[start : start + PAGE_LENGTH] = page


def tear_a_page(image: Image) -> None:
    image.data[image.slot.kv_offset + 100] ^= 1


def list_live_bytes_as_free(image: Image) -> None:
    location = image.oracle.index[image.live_file()]
    image.tail([(location.offset, location.end)])


def list_free_bytes_twice(image: Image) -> None:
    image.tail([(image.slot.log_start, image.slot.log_start + 200)] * 2)


def leave_bytes_behind_the_tail(image: Image) -> None:
    image.data += b"\0"


def garble_the_other_slot(image: Image) -> None:
    image.data[(256 - image.live) + 20] ^= 1


def go_back_in_time(image: Image) -> None:
    image.header(23, struct.pack("<q", image.slot.updated - 1))


def point_head_into_the_dark(image: Image) -> None:
    image.header(65, b"\1" * 32)


def point_head_at_an_older_version(image: Image) -> None:
    image.header(65, image.oracle.snapshots["v1"])


def break_an_entry_header(image: Image) -> None:
    entry = next(e for e in image.oracle.scan() if e.key not in image.oracle.index)
    image.data[entry.offset] ^= 1


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (flip_a_chunk, "integrity hash"),
        (forget_a_path_key, "/users/alice.json: no path key"),
        (name_another_entry, "is not the one the index names"),
        (put_a_key_elsewhere, "belongs elsewhere"),
        (put_a_key_twice, "a key stands twice"),
        (leave_bytes_in_a_page, "not zero behind its records"),
        (tear_a_page, "page CRC"),
        (list_live_bytes_as_free, "/users/alice.json: no path key"),
        (list_free_bytes_twice, "meets the one before it"),
        (leave_bytes_behind_the_tail, "the tail ends at"),
        (garble_the_other_slot, "is neither good nor zero"),
        (go_back_in_time, "later than the header's time"),
        (point_head_into_the_dark, "is missing"),
        (point_head_at_an_older_version, "live path key"),
        (break_an_entry_header, "gap of"),
    ],
)
def test_a_bent_file_is_found(bend: Callable[[Image], None], said: str, tmp_path: Path) -> None:
    image = Image()
    bend(image)
    path = tmp_path / "bent.aeordb"
    path.write_bytes(image.data)
    findings = check_file(path, ours=False)
    assert any(said in finding for finding in findings), findings


def test_a_file_of_ours_needs_our_marker(tmp_path: Path) -> None:
    findings = check_file(fixture_path("system"))
    assert findings == ["the live slot lacks our marker"]


def test_voids_of_ours_lie_under_void_entries() -> None:
    findings = check_file(fixture_path("voids"))
    assert any("is not covered by void entries" in finding for finding in findings)
    assert any("lies in a void" in finding for finding in findings)
    assert check_file(fixture_path("voids"), taken_over=True) == ["the live slot lacks our marker"]


def test_the_slots_are_read_as_the_table_says() -> None:
    """One slot byte by byte, so that the reader's table is itself checked against numbers."""
    raw = fixture_path("empty").read_bytes()[:256]
    slot = read_slot(raw)
    assert struct.unpack_from("<Q", raw, 7) == (slot.sequence,)
    assert raw[65:97] == slot.head
    assert struct.unpack_from("<Q", raw, 122) == (slot.hot_tail,)
    assert raw[130] == slot.stage
    assert raw[197:252] == slot.spare
