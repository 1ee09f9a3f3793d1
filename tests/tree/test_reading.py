"""Files out of a store: right bytes, or an error that says what is wrong with which entry."""

import io
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zstandard
from blake3 import blake3

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.records import FileRecord
from aeordb.tree.ingest import store_file
from aeordb.tree.reading import decompress, iter_chunks, read_file, read_record
from aeordb.tree.stored_file import open_file
from tests.kit.folders import CHUNK_EDGES, CHUNK_SIZE, half, noise, prose
from tests.tree.fake import FakeWriter


def stored(data: bytes, path: str = "/f.txt") -> tuple[FakeWriter, FileRecord]:
    store = FakeWriter()
    child = store_file(store, path, data).child
    return store, read_record(store, child, path)


def change(store: FakeWriter, key: bytes, **fields: object) -> None:
    """Replaces fields of a stored entry: damage on purpose."""
    store.live[key] = replace(store.live[key], **fields)  # type: ignore[arg-type]


def made_of(*pieces: bytes, size: int | None = None) -> tuple[FakeWriter, FileRecord]:
    """A file of chunks of any lengths, as another program might have cut it."""
    store = FakeWriter()
    keys = [blake3(b"chunk:" + piece).digest() for piece in pieces]
    for key, piece in zip(keys, pieces, strict=True):
        store.append(c.ENTRY_CHUNK, key, piece)
    whole = b"".join(pieces)
    size = len(whole) if size is None else size
    return store, FileRecord("/f", "", size, 1, 2, blake3(whole).digest(), b"", b"".join(keys))


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("size", [*CHUNK_EDGES, 20 * CHUNK_SIZE + 5])
def test_what_was_stored_is_read(size: int, jobs: int) -> None:
    data = half("read", size)
    store, record = stored(data)
    assert read_file(store, record, jobs=jobs) == data
    with open_file(store, record, jobs=jobs) as file:
        assert file.read() == data
        assert file.read() == b""
        file.seek(0)
        assert b"".join(iter(lambda: file.read(70_001), b"")) == data


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("make", ["even", "odd"])
def test_it_seeks_like_any_file(make: str, jobs: int) -> None:
    """`odd`: chunks of many lengths, where no place can be computed."""
    rng = random.Random(4)
    if make == "even":
        data = half("seek", 30 * 1000 + 7)
        pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
        store, record = made_of(*pieces)
    else:
        pieces = [noise(i, rng.randint(1, 2000)) for i in range(40)]
        data = b"".join(pieces)
        store, record = made_of(*pieces)
    expected = io.BytesIO(data)
    with open_file(store, record, jobs=jobs) as file:
        for _ in range(300):
            whence = rng.choice((io.SEEK_SET, io.SEEK_SET, io.SEEK_END))
            place = rng.randint(0, len(data) + 10)
            offset = place - len(data) if whence == io.SEEK_END else place
            assert file.seek(offset, whence) == expected.seek(offset, whence)
            count = rng.choice((0, 1, 10, 1000, 5000, -1))
            assert file.read(count) == expected.read(count)
            assert file.tell() == expected.tell()


def test_the_file_object_keeps_the_rules_of_files() -> None:
    store, record = stored(b"line one\nline two\n")
    file = open_file(store, record)
    assert file.readable()
    assert file.seekable()
    assert not file.writable()
    assert file.readlines() == [b"line one\n", b"line two\n"]
    with pytest.raises(ValueError, match="negative"):
        file.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        file.raw.seek(0, 9)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()
    with pytest.raises(ValueError, match="closed"):
        file.raw.tell()


def test_a_seek_reads_one_chunk_and_the_first() -> None:
    data = noise("seek", 40 * CHUNK_SIZE)
    store, record = stored(data)
    store.reads.clear()
    with open_file(store, record) as file:
        file.seek(30 * CHUNK_SIZE + 5)
        assert file.read(10) == data[30 * CHUNK_SIZE + 5 :][:10]
    assert store.reads.total() == 2


def test_a_system_chunk_may_have_the_other_address() -> None:
    store = FakeWriter()
    key = blake3(b"system::" + b"secret").digest()
    store.append(c.ENTRY_CHUNK, key, b"secret")
    record = FileRecord("/f", "", 6, 1, 2, blake3(b"secret").digest(), b"", key)
    assert read_file(store, record) == b"secret"


def test_a_record_of_version_0_has_no_content_hash_to_check() -> None:
    store, record = made_of(b"abc", b"def")
    old = FileRecord("/f", "", 6, 1, 2, None, b"", record.chunk_keys)
    assert read_file(store, old) == b"abcdef"
    with open_file(store, old) as file:
        assert file.read() == b"abcdef"


def readers(store: FakeWriter, record: FileRecord) -> Iterator[object]:
    yield lambda: read_file(store, record)
    yield lambda: read_file(store, record, jobs=2)
    yield lambda: list(iter_chunks(store, record))
    yield lambda: open_file(store, record).read()
    yield lambda: open_file(store, record, jobs=2).read()


def assert_damaged(store: FakeWriter, record: FileRecord, match: str) -> DamagedError:
    for read in readers(store, record):
        with pytest.raises(DamagedError, match=match) as caught:
            read()  # type: ignore[operator]
        assert caught.value.path == record.path
    return caught.value


def test_a_missing_chunk_is_named_with_the_path() -> None:
    store, record = stored(noise("missing", 30 * CHUNK_SIZE))
    key = record.chunk_keys[20 * 32 : 21 * 32]
    store.tombstone(key)
    error = assert_damaged(store, record, "missing")
    assert error.key == key
    assert error.entry_type == c.ENTRY_CHUNK


def test_other_bytes_under_a_chunks_key_are_damage() -> None:
    store, record = stored(noise("bytes", 3 * CHUNK_SIZE))
    key = record.chunk_keys[32:64]
    change(store, key, value=noise("other", CHUNK_SIZE))
    error = assert_damaged(store, record, "another address")
    assert error.key == key
    assert error.offset == store.live[key].offset


@pytest.mark.parametrize("size", [5, 7])
@pytest.mark.parametrize("pieces", [(b"abcdef",), (b"abc", b"def"), (b"abc", b"", b"def")])
def test_lengths_must_add_up(pieces: tuple[bytes, ...], size: int) -> None:
    store, record = made_of(*pieces, size=size)
    assert_damaged(store, record, "add up|in a file of")


def test_a_file_without_chunks_has_no_bytes() -> None:
    store = FakeWriter()
    empty = blake3(b"").digest()
    assert read_file(store, FileRecord("/f", "", 0, 1, 2, empty)) == b""
    assert_damaged(store, FileRecord("/f", "", 5, 1, 2, empty), "add up")
    assert_damaged(store, FileRecord("/f", "", 0, 1, 2, bytes(32)), "content hash")


@pytest.mark.parametrize("count", [1, 2, 30])
def test_a_wrong_content_hash_shows_before_the_last_chunk(count: int) -> None:
    store, right = made_of(*(noise(i, 1000) for i in range(count)))
    record = FileRecord("/f", "", right.size, 1, 2, bytes(32), b"", right.chunk_keys)
    assert_damaged(store, record, "content hash")
    chunks = iter_chunks(store, record)
    for _ in range(count - 1):
        next(chunks)
    with pytest.raises(DamagedError):
        next(chunks)
    with open_file(store, record) as file:  # not read whole: not known
        file.seek((count - 1) * 1000)
        if count > 2:
            assert len(file.read()) == 1000


def test_the_listing_and_the_record_must_agree() -> None:
    store = FakeWriter()
    child = store_file(store, "/f", b"abc").child
    with pytest.raises(DamagedError, match="listing 4") as caught:
        read_record(store, child._replace(size=4), "/f")
    assert caught.value.path == "/f"
    assert caught.value.offset is not None
    change(store, child.hash, value=b"\0")
    with pytest.raises(DamagedError, match="file record"):
        read_record(store, child, "/f")
    store.tombstone(child.hash)
    with pytest.raises(DamagedError, match="missing") as caught:
        read_record(store, child, "/f")
    assert caught.value.path == "/f"


@pytest.mark.parametrize("stated", [True, False])
def test_a_frame_decompresses_with_and_without_its_size(stated: bool) -> None:
    data = prose("frame", 700_000)
    frame = zstandard.ZstdCompressor(1, write_content_size=stated).compress(data)
    assert decompress(frame, len(data)) == data
    store, record = made_of(data)
    change(store, record.chunk_keys, value=frame, compression=1)
    assert read_file(store, record) == data


def bomb(stated: bool) -> bytes:
    data = bytes(50_000_000)
    return zstandard.ZstdCompressor(19, write_content_size=stated).compress(data)


@pytest.mark.parametrize("stated", [True, False])
def test_a_bomb_is_refused(stated: bool) -> None:
    store, record = made_of(b"abc")
    change(store, record.chunk_keys, value=bomb(stated), compression=1)
    assert_damaged(store, record, "zstd frame")


def test_a_stated_size_is_not_believed() -> None:
    """The frame says 1 GiB in its header and holds next to nothing: no memory is taken for it."""
    header = b"\x28\xb5\x2f\xfd\xa0" + (1 << 30).to_bytes(4, "little")
    frame = header + b"\x01\x00\x00"
    assert zstandard.frame_content_size(frame) == 1 << 30
    store, record = made_of(b"abc", size=1 << 40)
    change(store, record.chunk_keys, value=frame, compression=1)
    assert_damaged(store, record, "claims to hold")


@pytest.mark.parametrize("value", [b"", b"not zstd at all", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_frame_is_damage(value: bytes) -> None:
    store, record = made_of(b"abc")
    change(store, record.chunk_keys, value=value, compression=1)
    assert_damaged(store, record, "chunk|zstd")


@pytest.mark.parametrize("stated", [True, False])
def test_a_cut_or_flipped_frame_is_damage(stated: bool) -> None:
    data = prose("cut", 5_000)
    frame = zstandard.ZstdCompressor(1, write_content_size=stated).compress(data)
    store, record = made_of(data)
    rng = random.Random(1)
    for _ in range(100):
        bad = bytearray(frame)
        if rng.random() < 0.5:
            del bad[rng.randrange(len(bad)) :]
        else:
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        change(store, record.chunk_keys, value=bytes(bad), compression=1)
        try:
            assert read_file(store, record) == data
        except DamagedError:
            continue
