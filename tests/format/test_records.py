"""Records: round trips, cuts, trailing bytes, limits."""

from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.format.errors import FormatError, VersionError
from aeordb.format.records import (
    DeletionRecord,
    FileRecord,
    ForkRecord,
    SnapshotRecord,
    SymlinkRecord,
)
from tests.format import values


class Record(Protocol):
    def encode(self) -> bytes: ...


RECORDS = st.one_of(values.files, values.symlinks, values.deletions, values.snapshots, values.forks)


def decode(kind: type[Any], value: bytes) -> Record:
    if kind is FileRecord:
        return FileRecord.decode(value, 1)
    record: Record = kind.decode(value)
    return record


@given(RECORDS)
def test_a_record_comes_back(record: Record) -> None:
    assert decode(type(record), record.encode()) == record


@given(RECORDS, st.data())
def test_a_cut_record_is_refused(record: Record, data: st.DataObject) -> None:
    value = record.encode()
    length = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(FormatError):
        decode(type(record), value[:length])


@given(RECORDS)
def test_nothing_may_follow(record: Record) -> None:
    with pytest.raises(FormatError, match="follow"):
        decode(type(record), record.encode() + b"\0")


@given(values.files)
def test_version_0_lacks_the_content_hash(record: FileRecord) -> None:
    value = record.encode()
    hash_at = 4 + len(record.path.encode()) + len(record.content_type.encode()) + 24
    old = FileRecord.decode(value[:hash_at] + value[hash_at + 32 :], 0)
    assert old.content_hash is None
    assert (old.path, old.chunk_keys) == (record.path, record.chunk_keys)
    with pytest.raises(FormatError, match="never written"):
        old.encode()


def test_other_versions_of_a_file_record_are_refused() -> None:
    with pytest.raises(VersionError):
        FileRecord.decode(b"", 2)


def test_a_path_that_is_not_utf8_is_refused() -> None:
    value = SymlinkRecord("/ab", "t", 1, 2).encode().replace(b"/ab", b"/\xff\xfe")
    with pytest.raises(FormatError, match="not UTF-8") as caught:
        SymlinkRecord.decode(value)
    assert caught.value.offset == 0
    with pytest.raises(FormatError):
        SymlinkRecord("/\ud800", "t", 1, 2).encode()


def test_a_stated_count_is_not_believed() -> None:
    """A count of 2^32 - 1 chunk keys in a record of 100 bytes must not be allocated."""
    value = FileRecord("/a", "", 1, 2, 3, bytes(32)).encode()
    with pytest.raises(FormatError, match="chunk keys needs 137438953440 bytes, 0 are left"):
        FileRecord.decode(value[:-4] + b"\xff\xff\xff\xff", 1)


def test_chunks_come_one_by_one() -> None:
    keys = [bytes((i,)) * 32 for i in range(3)]
    record = FileRecord("/a", "", 1, 2, 3, bytes(32), b"", b"".join(keys))
    assert record.chunk_count == 3
    assert list(record.chunks()) == keys


@pytest.mark.parametrize(
    "record",
    [
        FileRecord("/" + "a" * 65535, "", 0, 0, 0, bytes(32)),
        FileRecord("/a", "t" * 65536, 0, 0, 0, bytes(32)),
        FileRecord("/a", "", -1, 0, 0, bytes(32)),
        FileRecord("/a", "", 0, 1 << 63, 0, bytes(32)),
        FileRecord("/a", "", 0, 0, 0, bytes(31)),
        FileRecord("/a", "", 0, 0, 0, bytes(32), b"", bytes(33)),
        SymlinkRecord("/a", "t" * 65536, 0, 0),
        SymlinkRecord("/a", "t", 0, 1 << 63),
        DeletionRecord("/a", 1 << 63, ""),
        SnapshotRecord("n", bytes(31), 0),
        SnapshotRecord("n", bytes(32), 1 << 63),
        ForkRecord("n" * 65536, bytes(32), 0),
    ],
)
def test_values_that_do_not_fit_are_refused(record: Record) -> None:
    with pytest.raises(FormatError):
        record.encode()
