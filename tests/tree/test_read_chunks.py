"""Chunks that come many at a time: each is checked, and what cannot be had so is read alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.storage.protocols import ChunkReader
from aeordb.tree.reading import iter_chunks, read_record
from tests.kit.folders import CHUNK_SIZE, noise, prose

COUNT = 11
DATA = noise("chunks", COUNT * CHUNK_SIZE - 7)
PIECES = [DATA[at : at + CHUNK_SIZE] for at in range(0, len(DATA), CHUNK_SIZE)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[aeordb.Database]:
    with aeordb.open(tmp_path / "data.aeordb", "x", jobs=2) as db:
        db.put("/noise", DATA)
        db.put("/prose", prose("chunks", 3 * CHUNK_SIZE))
        yield db


def keys_of(db: aeordb.Database, path: str) -> bytes:
    _, child = db.at("HEAD")._file(path)
    return read_record(db.reader(), child, path).chunk_keys


def read(reader: ChunkReader, keys: bytes, capacity: int) -> list[bytes]:
    block, lengths = reader.read_chunks(keys, capacity)
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    assert len(block) == sum(lengths)
    return [bytes(block[at : at + length]) for at, length in zip(starts, lengths, strict=True)]


def test_they_come_in_order_as_far_as_there_is_room(database: aeordb.Database) -> None:
    keys, reader = keys_of(database, "/noise"), database.reader()
    assert read(reader, keys, len(DATA)) == PIECES
    assert read(reader, keys, len(DATA) - 1) == PIECES[:-1]
    assert read(reader, keys[64:128], 2 * CHUNK_SIZE) == PIECES[2:4]
    assert read(reader, b"", 10) == []
    assert read(reader, keys, 0) == []


def test_they_end_before_one_that_is_missing_or_compressed(database: aeordb.Database) -> None:
    keys, reader = keys_of(database, "/noise"), database.reader()
    packed = keys_of(database, "/prose")[:32]
    for other in (bytes(32), packed):
        found = read(reader, keys[:96] + other + keys[96:128], len(DATA))
        assert found == PIECES[:3]


def test_they_end_before_one_of_another_address_or_type(database: aeordb.Database) -> None:
    keys = keys_of(database, "/noise")
    with database.transaction() as tx:
        tx.writer.append(c.ENTRY_CHUNK, b"\1" * 32, b"bytes of another chunk")
        tx.writer.append(c.ENTRY_FILE, b"\2" * 32, b"no chunk")
        tx.put("/x", b"x")
    reader = database.reader()
    for other in (b"\1" * 32, b"\2" * 32):
        assert reader.read(other) is not None
        assert read(reader, keys[:32] + other, len(DATA)) == PIECES[:1]


@pytest.mark.parametrize("number", [0, 5, COUNT - 1])
def test_a_damaged_one_is_an_error_with_the_path(number: int, tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/noise", DATA)
    content = bytearray(path.read_bytes())
    content[content.index(PIECES[number][:64]) + 5_000] ^= 1
    path.write_bytes(content)
    with aeordb.open(path, "r", jobs=2) as db:
        keys = keys_of(db, "/noise")
        assert read(db.reader(), keys, len(DATA)) == PIECES[:number]
        with db.at("HEAD").open("/noise") as file, pytest.raises(DamagedError) as caught:
            file.read()
        assert caught.value.path == "/noise"
        assert caught.value.key == keys[number * 32 : number * 32 + 32]
        _, child = db.at("HEAD")._file("/noise")
        record = read_record(db.reader(), child, "/noise")
        with pytest.raises(DamagedError):
            list(iter_chunks(db.reader(), record, jobs=2))


def test_a_large_file_reads_the_same_by_any_number_of_threads(database: aeordb.Database) -> None:
    _, child = database.at("HEAD")._file("/noise")
    record = read_record(database.reader(), child, "/noise")
    for jobs in (1, 2, 4):
        assert b"".join(iter_chunks(database.reader(), record, jobs=jobs)) == DATA
    with database.at("HEAD").open("/prose") as file:
        assert file.read() == prose("chunks", 3 * CHUNK_SIZE)
