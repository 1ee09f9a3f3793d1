"""What a close gives back."""

from pathlib import Path

import aeordb


def test_a_closed_database_can_be_opened_again_while_its_handle_is_still_named(
    tmp_path: Path,
) -> None:
    """`mmap` keeps a duplicate of its descriptor, and with it the lock on the file's inode: a
    writer that had closed the database but not yet let go of the object met itself as the
    holder."""
    path = tmp_path / "data.aeordb"
    first = aeordb.open(path, "x")
    first.put("/a.txt", b"1")
    first.close()
    with aeordb.open(path, "r+") as second:
        second.put("/a.txt", b"2")
        with aeordb.open(path, "r") as reader:
            assert reader["/a.txt"] == b"2"
    assert repr(first).startswith("<aeordb.Database")
