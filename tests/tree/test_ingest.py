"""Files into a store: any source, any size, any number of threads, the same entries."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from blake3 import blake3

from aeordb.errors import UsageError
from aeordb.format import constants as c
from aeordb.format.records import FileRecord
from aeordb.storage.protocols import NewEntry
from aeordb.tree.blocks import BLOCK_LENGTH
from aeordb.tree.content_types import UNKNOWN, guess, is_compressed
from aeordb.tree.ingest import Stored, store_file
from aeordb.tree.small_files import NewFile, append_prepared, prepare
from tests.kit.folders import CHUNK_EDGES, CHUNK_SIZE, half, noise, prose
from tests.tree.fake import FakeWriter

SIZES = (
    *CHUNK_EDGES,
    *(BLOCK_LENGTH - 1, BLOCK_LENGTH, BLOCK_LENGTH + 1, BLOCK_LENGTH + CHUNK_SIZE),
    *(2 * BLOCK_LENGTH, 7 * BLOCK_LENGTH + 3),
)


def record_of(store: FakeWriter, stored: Stored) -> FileRecord:
    entry = store.read_as(stored.child.hash, c.ENTRY_FILE)
    assert entry.value == stored.record
    return FileRecord.decode(entry.value, entry.version)


def check(store: FakeWriter, stored: Stored, path: str, data: bytes) -> None:
    record = record_of(store, stored)
    assert record.path == path
    assert record.size == stored.child.size == len(data)
    assert record.content_hash == blake3(data).digest()
    pieces = [data[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE)]
    assert list(record.chunks()) == [blake3(b"chunk:" + piece).digest() for piece in pieces]
    assert all(store.has_many(list(record.chunks())))
    text = f"fileid:{path}\0{record.content_type}\0".encode() + record.chunk_keys
    assert stored.child.hash == blake3(text).digest()
    assert stored.child.name == path.rsplit("/", 1)[1]
    assert stored.child.content_type == record.content_type
    assert (stored.child.created, stored.child.updated) == (record.created, record.updated)


def as_bytes(data: bytes, _: Path) -> bytes:
    return data


def as_stream(data: bytes, _: Path) -> BinaryIO:
    return io.BytesIO(data)


def as_dribble(data: bytes, _: Path) -> BinaryIO:
    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 100_003))

    return Dribble(data)


def as_file(data: bytes, folder: Path) -> BinaryIO:
    (folder / "source").write_bytes(data)
    return open(folder / "source", "rb")


@pytest.mark.parametrize("make", [as_bytes, as_stream, as_dribble, as_file])
@pytest.mark.parametrize("size", SIZES)
def test_every_source_gives_the_same_record(
    make: Callable[[bytes, Path], BinaryIO | bytes], size: int, tmp_path: Path
) -> None:
    data = noise("source", size)
    store = FakeWriter()
    source = make(data, tmp_path)
    stored = store_file(store, "/a/file.bin", source, created=1, updated=2, jobs=3)
    check(store, stored, "/a/file.bin", data)
    assert (stored.child.created, stored.child.updated) == (1, 2)
    if not isinstance(source, bytes):
        source.close()


def test_entries_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    data = half("threads", 3 * BLOCK_LENGTH) + noise("threads", 2 * BLOCK_LENGTH + 17)
    logs = []
    for jobs in (1, 2, 7):
        store = FakeWriter()
        with as_file(data, tmp_path) as source:
            store_file(store, "/x", source, created=1, updated=1, jobs=jobs)
        logs.append(store.log)
    store = FakeWriter()
    with ThreadPoolExecutor(4) as pool:
        store_file(store, "/x", io.BytesIO(data), created=1, updated=1, pool=pool)
    logs.append(store.log)
    assert all(log == logs[0] for log in logs)


def test_a_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    store = FakeWriter()
    with as_file(b"0123456789", tmp_path) as source:
        source.seek(4)
        check(store, store_file(store, "/f", source), "/f", b"456789")


def test_equal_chunks_are_appended_once() -> None:
    store = FakeWriter()
    zeros = bytes(5 * BLOCK_LENGTH)
    stored = store_file(store, "/zeros", io.BytesIO(zeros), jobs=2)
    check(store, stored, "/zeros", zeros)
    assert len(store.appended(c.ENTRY_CHUNK)) == 1
    store_file(store, "/again", zeros)
    assert len(store.appended(c.ENTRY_CHUNK)) == 1
    assert len(store.appended(c.ENTRY_FILE)) == 2


def test_of_a_block_only_what_is_new_is_appended() -> None:
    store = FakeWriter()
    pieces = [noise(i, CHUNK_SIZE) for i in range(24)]
    store_file(store, "/old", b"".join(pieces[3:5] + pieces[8:16]))
    before = len(store.appended(c.ENTRY_CHUNK))
    data = b"".join(pieces)
    check(store, store_file(store, "/new", io.BytesIO(data), jobs=2), "/new", data)
    assert len(store.appended(c.ENTRY_CHUNK)) == before + 14
    for piece in pieces:
        assert store.live[blake3(b"chunk:" + piece).digest()].value == piece


class PlainWriter:
    """A writer that takes single entries alone, and keeps them as they came until the end."""

    def __init__(self) -> None:
        self.store = FakeWriter()
        self.kept: list[NewEntry] = []
        self.now = self.store.now

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        return [any(key == entry[4] for entry in self.kept) for key in keys]

    def append(
        self, entry_type: int, key: bytes, value: bytes, *, version: int, flags: int
    ) -> None:
        self.kept.append((entry_type, version, flags, 0, key, value))

    def append_many(self, entries: Sequence[NewEntry]) -> None:
        self.kept += entries

    def append_new(self, entries: Sequence[NewEntry]) -> None:
        for entry in entries:
            if not any(entry[4] == kept[4] for kept in self.kept):
                self.kept.append(entry)


def test_a_writer_that_takes_no_frames(tmp_path: Path) -> None:
    """What it holds back until its end must not be room that is read to again."""
    data = noise("plain", 12 * BLOCK_LENGTH + 5)
    writer = PlainWriter()
    with as_file(data, tmp_path) as source:
        stored = store_file(writer, "/f", source, jobs=2)  # type: ignore[arg-type]
    writer.store.append_many(writer.kept)
    check(writer.store, stored, "/f", data)
    for at in range(0, len(data), CHUNK_SIZE):
        piece = data[at : at + CHUNK_SIZE]
        assert writer.store.live[blake3(b"chunk:" + piece).digest()].value == piece


def test_compressed_types_are_stored_raw() -> None:
    store = FakeWriter()
    text = prose("type", 5_000)
    picture = record_of(store, store_file(store, "/a.jpg", b"1" + text))
    plain = record_of(store, store_file(store, "/a.txt", b"2" + text))
    given = record_of(store, store_file(store, "/b.txt", b"3" + text, content_type="video/mp4"))
    kinds = [store.live[record.chunk_keys].compression for record in (picture, plain, given)]
    assert kinds == [0, 1, 0]
    assert given.content_type == "video/mp4"


def test_a_system_file_is_marked() -> None:
    store = FakeWriter()
    store_file(store, "/.aeordb-system/x", b"secret", system=True)
    assert all(entry.flags == c.ENTRY_FLAG_SYSTEM for entry in store.live.values())


def test_the_times_default_to_now_and_metadata_is_kept() -> None:
    store = FakeWriter()
    store.clock = 122
    record = record_of(store, store_file(store, "/x", b"", metadata=b'{"a": 1}'))
    assert (record.created, record.updated, record.metadata) == (123, 123, b'{"a": 1}')


def test_progress_counts_bytes() -> None:
    seen: list[int] = []
    store_file(FakeWriter(), "/x", bytes(2 * BLOCK_LENGTH + 5), advance=seen.append)
    assert sum(seen) == 2 * BLOCK_LENGTH + 5


def test_a_file_that_grows_while_it_is_read_ends_where_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    data = noise("grows", 3 * BLOCK_LENGTH)
    path.write_bytes(data[: BLOCK_LENGTH + 1])
    store = FakeWriter()

    def grow(_: int) -> None:
        # Not from its start: a reader would see an empty file in between.
        with open(path, "ab") as file:
            file.write(data[path.stat().st_size :])

    with open(path, "rb") as source:
        stored = store_file(store, "/f", source, jobs=1, advance=grow)
    assert BLOCK_LENGTH + 1 <= stored.child.size <= len(data)
    check(store, stored, "/f", data[: stored.child.size])


def test_a_file_that_shrinks_while_it_is_read_ends_where_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "shrinks"
    data = noise("shrinks", 30 * BLOCK_LENGTH)
    path.write_bytes(data)
    store = FakeWriter()
    with open(path, "rb") as source:
        stored = store_file(store, "/f", source, jobs=1, advance=lambda _: os.truncate(path, 17))
    assert stored.child.size < len(data)
    check(store, stored, "/f", data[: stored.child.size])


def test_a_failing_source_leaves_no_thread_behind(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2 * BLOCK_LENGTH:
                raise OSError("the disk is gone")
            return super().read(size)

    store = FakeWriter()
    with pytest.raises(OSError, match="the disk is gone"):
        store_file(store, "/x", Failing(noise("f", 4 * BLOCK_LENGTH)))
    assert len(store.appended(c.ENTRY_FILE)) == 0


def test_a_text_file_is_refused() -> None:
    with pytest.raises(UsageError, match="binary"):
        store_file(FakeWriter(), "/x", io.StringIO("text"))  # type: ignore[arg-type]


def test_small_files_are_stored_as_single_ones_are() -> None:
    datas = {
        "/d/empty.txt": b"",
        "/d/tiny.txt": b"x",
        "/d/text.txt": prose("small", 20_000),
        "/d/noise.bin": noise("small", 3_000),
        "/d/photo.jpg": prose("small", 4_000),
        "/d/two.bin": noise("two", CHUNK_SIZE + 1),
        "/d/twin.txt": prose("small", 20_000),
    }
    many, single = FakeWriter(), FakeWriter()
    files = [NewFile(path, guess(path), 5, 6, data) for path, data in datas.items()]
    prepared = prepare(files, many.now())
    append_prepared(many, prepared)
    assert prepared.size == sum(map(len, datas.values()))
    for (path, data), child, record in zip(
        datas.items(), prepared.children, prepared.records, strict=True
    ):
        check(many, Stored(child, record, blake3(data).digest()), path, data)
        assert record == store_file(single, path, data, created=5, updated=6).record
        assert many.live[blake3(f"file:{path}".encode()).digest()].value == record
    assert many.live.keys() >= single.live.keys()
    for key, entry in single.live.items():
        assert (entry.value, entry.compression) == (
            many.live[key].value,
            many.live[key].compression,
        )
    assert len(many.appended(c.ENTRY_CHUNK)) == 6
    append_prepared(many, prepare([], 1))


def test_content_types_come_from_the_extension_alone() -> None:
    assert guess("/a/b.TXT") == "text/plain"
    assert guess("photo.jpeg") == "image/jpeg"
    assert guess("archive.tar.gz") == "application/gzip"
    assert guess("no-extension") == guess("/a.txt/file") == guess("odd.zzz") == UNKNOWN
    assert guess(".json") == "application/json"


def test_what_is_compressed_already() -> None:
    packed = ("image/png", "VIDEO/mp4", "application/zip", "application/gzip; x=1", "audio/mpeg")
    loose = ("image/svg+xml", "audio/wav", "text/plain", "application/pdf", "", UNKNOWN)
    assert all(map(is_compressed, packed))
    assert not any(map(is_compressed, loose))
