"""How much of a file a growth of the KV block moves."""

import random
from pathlib import Path

import aeordb


def test_a_long_transaction_is_not_copied_when_its_commit_grows_the_block(tmp_path: Path) -> None:
    """One put of 1.5 GB left a file of 3 GB: its commit grew the block, and took all that the
    transaction had appended for entries in the block's way, wherever they lay."""
    path = tmp_path / "data.aeordb"
    content = random.Random(5)
    with aeordb.open(path, "x") as db:
        db.put("/first", content.randbytes(3_000))
        with db.transaction() as tx:
            for i in range(700):
                tx.put(f"/file{i}", content.randbytes(20_000))
        assert db.info().stage >= 1
        assert path.stat().st_size < 1.2 * 700 * 20_000
        assert db["/file0"] != db["/file699"]
        assert len(db["/first"]) == 3_000
