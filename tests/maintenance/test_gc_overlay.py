"""What the pages say under newer records of the hot tail."""

from pathlib import Path

import aeordb
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import QuickLayer
from tests.kit.rules import assert_file


def test_no_page_keeps_an_entry_that_gc_frees(tmp_path: Path) -> None:
    """A put of the same bytes wrote records under keys that pages had from before. With nothing
    else to drop gc left these pages alone and listed the older entries' bytes as free: the pages
    named entries in a void, which the newer records hid only as long as the hot tail had them.
    """
    path = tmp_path / "data.aeordb"
    with use_layer(QuickLayer()), aeordb.open(path, "x", jobs=1) as db:
        db.put("/a", b"")
        db.snapshots.create("v0")
        db.gc()
        db.put("/a", b"")
        db.gc()
        assert_file(path, closed=False)
        assert db["/a"] == b""
        before = path.read_bytes()
        db.gc()
        assert path.read_bytes() == before, "there was nothing left to do"
    assert_file(path)
