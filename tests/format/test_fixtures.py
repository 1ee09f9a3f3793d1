"""AeorDB's own files, entry by entry: each decodes, encodes to the same bytes, has its key."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from aeordb.format import constants as c
from aeordb.format import keys
from aeordb.format.entry import Entry, decode_entry, encode_entry
from aeordb.format.errors import FormatError
from aeordb.format.header import LiveSlot, live_slot
from aeordb.format.hottail import HotTail, decode_hot_tail, encode_hot_tail
from aeordb.format.nodes import Listing, decode_node
from aeordb.format.page import IndexRecord, decode_page, encode_page, page_of
from aeordb.format.records import (
    DeletionRecord,
    FileRecord,
    ForkRecord,
    SnapshotRecord,
    SymlinkRecord,
)
from aeordb.format.system import API_KEYS, ApiKey
from tests.kit.fixtures import DATABASES, EXPORTS, PATCHES, fixture_path

ALL = DATABASES + EXPORTS + PATCHES
STALE_TAIL = ("dirty",)  # killed while its hot tail was overwritten
HOLES = ("voids-reused",)  # the rest of a reused void begins in the middle of an entry


def load(name: str) -> tuple[bytes, LiveSlot]:
    raw = fixture_path(name).read_bytes()
    return raw, live_slot(raw[: c.HEADERS_LENGTH])


def scan(name: str, raw: bytes, live: LiveSlot) -> Iterator[tuple[int, Entry]]:
    """Every entry of the log; over a hole to the next magic, where holes are known."""
    offset, end = live.header.log_start, live.header.hot_tail_offset
    while offset < end:
        try:
            entry = decode_entry(raw, offset)
        except FormatError:
            assert name in HOLES, (name, offset)
            offset = raw.find(c.ENTRY_MAGIC, offset + 1)
            if offset < 0:
                return
            continue
        yield offset, entry
        offset += entry.header.total_length


def read_tail(raw: bytes, live: LiveSlot) -> HotTail:
    return decode_hot_tail(raw, live.header.hot_tail_offset)


def read_pages(raw: bytes, live: LiveSlot) -> Iterator[tuple[int, bytes, list[IndexRecord]]]:
    for number in range(live.header.pages):
        offset = live.header.kv_offset + number * c.PAGE_LENGTH
        page = raw[offset : offset + c.PAGE_LENGTH]
        yield number, page, decode_page(page)


def folders_of(path: str) -> set[str]:
    return {str(folder) for folder in PurePosixPath(path).parents} if path[:1] == "/" else set()


@pytest.mark.parametrize("name", ALL)
def test_headers_encode_to_the_same_bytes(name: str) -> None:
    raw, live = load(name)
    slots = [live.header, live.other]
    if live.index == 1:
        slots.reverse()
    for index, header in enumerate(slots):
        assert header is not None
        assert header.encode() == raw[index * 256 : index * 256 + 256]
        assert header.spare is None


@pytest.mark.parametrize("name", ALL)
def test_pages_encode_to_the_same_bytes(name: str) -> None:
    raw, live = load(name)
    for number, page, records in read_pages(raw, live):
        assert encode_page(records) == page
        for record in records:
            assert page_of(record.key, live.header.pages) == number


@pytest.mark.parametrize("name", ALL)
def test_the_hot_tail_encodes_to_the_same_bytes(name: str) -> None:
    raw, live = load(name)
    if name in STALE_TAIL:
        with pytest.raises(FormatError):
            read_tail(raw, live)
        return
    tail = read_tail(raw, live)
    end = live.header.hot_tail_offset + tail.length
    assert end == len(raw)
    assert encode_hot_tail(tail.records, tail.voids) == raw[live.header.hot_tail_offset : end]


@pytest.mark.parametrize("name", sorted(set(ALL) - set(STALE_TAIL)))
def test_every_index_record_leads_to_its_entry(name: str) -> None:
    raw, live = load(name)
    index = {record.key: record for _, _, page in read_pages(raw, live) for record in page}
    index |= {record.key: record for record in read_tail(raw, live).index_records()}
    for record in index.values():
        entry = decode_entry(raw, record.offset)
        assert entry.key == record.key
        assert entry.header.total_length == record.length
        assert record.kv_type == c.KV_TYPE[entry.header.type]


@pytest.mark.parametrize("name", ALL)
def test_every_entry_encodes_to_the_same_bytes_under_its_key(name: str) -> None:
    raw, live = load(name)
    entries = list(scan(name, raw, live))
    paths = {"/", *c.SYSTEM_ROOTS}
    for _, entry in entries:
        if entry.header.type == c.ENTRY_FILE and entry.header.version == 1:
            paths |= folders_of(FileRecord.decode(entry.value, 1).path)
        elif entry.header.type == c.ENTRY_SYMLINK:
            paths |= folders_of(SymlinkRecord.decode(entry.value).path)
    # Folders that no file in the same log names.
    paths |= {f"/dirs/d{number:03}" for number in range(300)} | {"/new", "/dup"}
    folders = {keys.directory_path_key(path) for path in paths}
    seen: Counter[int] = Counter()
    for offset, entry in entries:
        header, value = entry.header, entry.value
        again = encode_entry(
            header.type,
            entry.key,
            value,
            header.time,
            version=header.version,
            flags=header.flags,
            compression=header.compression,
        )
        assert again == raw[offset : offset + header.total_length]
        assert entry.key in addresses(entry, folders), (name, offset)
        seen[header.type] += 1
    assert seen[c.ENTRY_FILE] or name == "empty"


def addresses(entry: Entry, folders: set[bytes]) -> tuple[bytes, ...] | set[bytes]:
    """The keys that this entry may have, after its value came through decode and encode."""
    value = entry.value
    match entry.header.type:
        case c.ENTRY_CHUNK:
            return keys.chunk_key(value), keys.system_chunk_key(value)
        case c.ENTRY_FILE if entry.header.version == 0:
            assert value[:1] in b"{["  # a task record of AeorDB: JSON
            return (entry.key,)
        case c.ENTRY_FILE:
            file = FileRecord.decode(value, entry.header.version)
            assert file.encode() == value
            return (
                keys.file_path_key(file.path),
                keys.file_identity_key(file.path, file.content_type, file.chunk_keys),
                keys.file_content_key(value),
            )
        case c.ENTRY_DIRECTORY:
            by_path = entry.key in folders
            node = decode_node(value, link=by_path)
            assert node.encode() == value
            return folders if by_path else (keys.node_key(value),)
        case c.ENTRY_DELETION:
            deletion = DeletionRecord.decode(value)
            assert deletion.encode() == value
            own = keys.deletion_key(deletion.path, deletion.deleted_at)
            return own, *keys.deletion_targets(deletion.path)
        case c.ENTRY_SNAPSHOT:
            snapshot = SnapshotRecord.decode(value)
            assert snapshot.encode() == value
            return (keys.snapshot_key(snapshot.name),)
        case c.ENTRY_FORK:
            fork = ForkRecord.decode(value)
            assert fork.encode() == value
            return (keys.fork_key(fork.name),)
        case c.ENTRY_SYMLINK:
            link = SymlinkRecord.decode(value)
            assert link.encode() == value
            return (
                keys.symlink_path_key(link.path),
                keys.symlink_identity_key(link.path, link.target),
                keys.symlink_content_key(value),
            )
        case _:
            assert not any(value)
            return (b"",)


@pytest.mark.parametrize("name", ["files", "btree", "system"])
def test_children_agree_with_what_they_point_to(name: str) -> None:
    raw, live = load(name)
    entries = {entry.key: entry for _, entry in scan(name, raw, live)}
    listings = [
        decode_node(entry.value)
        for entry in entries.values()
        if entry.header.type == c.ENTRY_DIRECTORY and len(entry.value) != c.HASH_LENGTH
    ]
    for listing in listings:
        for child in listing.children if isinstance(listing, Listing) else ():
            target = entries[child.hash]
            if child.kind == c.KIND_FILE:
                file = FileRecord.decode(target.value, target.header.version)
                assert (file.size, file.content_type) == (child.size, child.content_type)
                assert file.path.endswith(f"/{child.name}")
            elif child.kind == c.KIND_DIRECTORY:
                assert len(target.value) == child.size
                assert child.created == child.updated == child.virtual_time
            else:
                assert SymlinkRecord.decode(target.value).path.endswith(f"/{child.name}")


def test_api_keys_encode_to_the_same_bytes() -> None:
    raw, live = load("system")
    entries = [entry for _, entry in scan("system", raw, live)]
    chunks = {e.key: e.value for e in entries if e.header.type == c.ENTRY_CHUNK}
    found = set()
    for entry in entries:
        if (entry.header.type, entry.header.version) != (c.ENTRY_FILE, 1):
            continue
        file = FileRecord.decode(entry.value, 1)
        if file.path.startswith(API_KEYS):
            data = chunks[file.chunk_keys]
            key = ApiKey.decode(data)
            assert key.encode() == data
            assert key.path == file.path
            found.add((key.label, key.is_root))
    assert found == {("root-bootstrap", True), (None, False)}
