"""Databases of a million small files, made once for a run; in memory that is the file's alone."""

from pathlib import Path

import aeordb

_COMMIT = 50_000
_FOLDER = 200


def many_files(path: Path, count: int) -> None:
    """A database of `count` files of some bytes each, 200 to a folder, and a snapshot `base`."""
    with aeordb.open(path, "x", expect_entries=count) as db:
        for start in range(0, count, _COMMIT):
            with db.transaction() as tx:
                for i in range(start, min(start + _COMMIT, count)):
                    tx.put(file_name(i), b"content of file %d\n" % i)
        db.snapshots.create("base")


def change_files(path: Path, changed: int, step: int) -> None:
    """New content for every `step`-th file from the first on: the same ones in each size."""
    with aeordb.open(path) as db, db.transaction() as tx:
        for i in range(0, changed * step, step):
            tx.put(file_name(i), b"new content of file %d\n" % i)


def file_name(number: int) -> str:
    """Where file `number` lies."""
    folder = number // _FOLDER
    return f"/area-{folder // 100:03}/box-{folder % 100:02}/file-{number:07}.txt"
