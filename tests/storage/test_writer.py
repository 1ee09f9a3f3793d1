"""A transaction's own view: what it wrote and what it marked counts at once."""

from pathlib import Path

import pytest

import aeordb
from aeordb.format import constants as c
from aeordb.format.keys import chunk_key, file_path_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.aeordb"


def test_a_tombstone_counts_at_once(path: Path) -> None:
    """The index that was made ahead for the transaction knew nothing of its tombstones: a key that
    was marked and then appended again, if the file lacks it, stayed away."""
    key, other = chunk_key(b"abc"), file_path_key("/a")
    with aeordb.open(path, "x") as db:
        db.put("/a", b"abc")
        with db.transaction() as tx:
            writer = tx.writer
            assert writer.has_many([key, other]) == [True, True]
            writer.tombstone(key)
            writer.tombstone(other)
            assert writer.find(key) is None
            assert writer.read(other) is None
            assert writer.has_many([key, other]) == [False, False]
            writer.append_new(
                [(c.ENTRY_CHUNK, c.VALUE_VERSION, 0, c.COMPRESSION_NONE, key, b"abc")]
            )
            assert writer.has_many([key, other]) == [True, False]
        assert db["/a"] == b"abc"
        with db.transaction() as tx:
            assert tx.writer.has_many([key, other]) == [True, False]
            tx.rollback()
