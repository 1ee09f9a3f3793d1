"""Parts of files in blocks: the right bytes whoever loads them when, or an error."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError
from aeordb.format.records import FileRecord
from aeordb.storage.protocols import Reader
from aeordb.tree.file_blocks import FileBlocks
from tests.kit.folders import CHUNK_SIZE, half, noise
from tests.tree.fake import FakeWriter
from tests.tree.test_reading import made_of


def read(reader: Reader, record: FileRecord, first: int, length: int, size: int) -> bytes:
    """As a server does it: a few at a time are loaded, in any order, and taken in the file's."""
    blocks = FileBlocks(reader, record, first, length)
    loads = blocks.loads(size)
    parts = b""
    while len(parts) < length and (some := list(islice(loads, 2))):
        loaded = [load() for load in reversed(some)]
        for block in reversed(loaded):
            parts += blocks.take(block)
    return parts[:length]


def pieces_of(kind: str) -> list[bytes]:
    rng = random.Random(kind)
    if kind == "even":
        return [noise((kind, i), 1_000) for i in range(29)] + [b"end"]
    if kind == "one":
        return [noise(kind, 5_000)]
    return [noise((kind, i), rng.randint(1, 2_000)) for i in range(30)]


@pytest.mark.parametrize("kind", ["even", "odd", "one"])
def test_every_part_of_a_file(kind: str) -> None:
    pieces = pieces_of(kind)
    data = b"".join(pieces)
    store, record = made_of(*pieces)
    rng = random.Random(kind)
    for _ in range(100):
        first = rng.randrange(len(data))
        length = rng.randint(1, len(data) - first)
        for size in (1, 4 * CHUNK_SIZE):
            assert read(store, record, first, length, size) == data[first : first + length]
    assert read(store, record, 0, len(data), CHUNK_SIZE) == data


@pytest.fixture
def database(tmp_path: Path) -> Iterator[aeordb.Database]:
    with aeordb.open(tmp_path / "data.aeordb", "x", jobs=2) as db:
        yield db


@pytest.mark.parametrize("make", [noise, half])
def test_chunks_packed_or_not_by_many_threads(make: object, database: aeordb.Database) -> None:
    data = make("blocks", 23 * CHUNK_SIZE + 9)  # type: ignore[operator]
    database.put("/f", data)
    view = database.at("HEAD")
    with ThreadPoolExecutor(4) as pool:
        for first, length in ((0, len(data)), (5 * CHUNK_SIZE - 1, 9 * CHUNK_SIZE), (7, 1)):
            blocks = view.blocks("/f", first, length)
            found = pool.map(lambda load: load(), blocks.loads(4 * CHUNK_SIZE))
            got = b"".join(bytes(blocks.take(block)) for block in found)
            assert got[:length] == data[first : first + length]


def test_chunks_that_are_too_long_or_too_few_for_the_file() -> None:
    pieces = [noise(i, 1_000) for i in range(6)]
    for size in (5_999, 6_001, 5_000, 7_000):
        store, record = made_of(*pieces, size=size)
        with pytest.raises(DamagedError, match="do not add up"):
            read(store, record, 0, size, CHUNK_SIZE)


def test_a_chunk_of_other_bytes_is_an_error_with_the_path() -> None:
    store, record = made_of(*pieces_of("even"))
    other = FakeWriter()
    other.live = dict(store.live)
    key = record.chunk_keys[32 * 7 : 32 * 8]
    other.live[key] = store.live[record.chunk_keys[:32]]
    with pytest.raises(DamagedError) as caught:
        read(other, record, 0, record.size, CHUNK_SIZE)
    assert caught.value.path == record.path
    assert read(other, record, 0, 6_000, 1) == b"".join(pieces_of("even"))[:6_000]
