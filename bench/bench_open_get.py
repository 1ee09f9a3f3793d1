"""Opening a database of a million files, and reading one path at HEAD and at a snapshot.

Targets: get at most 100 us in the library, warm; open at most 2 ms, whatever the size.

    python bench/bench_open_get.py [--files 1000000] [--dir FOLDER]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aeordb
from aeordb.database.transaction import Transaction
from aeordb.tree.paths import parse_path
from aeordb.tree.small_files import NewFile, append_prepared, prepare

PER_FOLDER = 500
BATCH = 2_000


def make(path: Path, files: int) -> list[str]:
    """A database of so many small files in one commit, with the snapshot `v1` and one change."""
    names = [f"/top{i % 20}/folder{i // PER_FOLDER}/file{i}.txt" for i in range(files)]
    names.sort()
    with aeordb.open(path, "x", expect_entries=files) as db:
        with db.transaction() as tx:
            for start in range(0, files, BATCH):
                put_batch(tx, names[start : start + BATCH])
        db.snapshots.create("v1")
        db.put("/top0/new.txt", b"later")
    return names


def put_batch(tx: Transaction, names: list[str]) -> None:
    """Puts files of about 100 bytes, hashed many at once."""
    files = [NewFile(name, "text/plain", 1, 2, name.encode() * 4) for name in names]
    prepared = prepare(files, tx.writer.now())
    append_prepared(tx.writer, prepared)
    for file, child in zip(files, prepared.children, strict=True):
        tx.edit.put_child(parse_path(file.path), child)


def median_us(run: Callable[[], object], times: int) -> float:
    """The median time of a call in microseconds."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent) * 1e6


def main() -> None:
    """Makes two databases, one of them ten times smaller, and compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--dir", default=None)
    options = parser.parse_args()
    for files in (options.files // 10, options.files):
        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
            path = Path(folder) / "many.aeordb"
            start = time.perf_counter()
            names = make(path, files)
            print(f"{files} files: made in {time.perf_counter() - start:.1f} s")
            choose = random.Random(3)
            opened = median_us(lambda: aeordb.open(path, "r").close(), 50)  # noqa: B023
            print(f"  open: {opened / 1000:.2f} ms (target <= 2)")
            with aeordb.open(path, "r") as db:
                view = db.at("v1")
                for name in names[:: len(names) // 1000]:
                    assert db[name] == view.read(name)
                some = [choose.choice(names) for _ in range(1000)]
                for name in some:
                    db[name]
                head = median_us(lambda: db[choose.choice(some)], 2000)  # noqa: B023
                old = median_us(lambda: view.read(choose.choice(some)), 2000)  # noqa: B023
                whole = median_us(lambda: db.at("v1").read(choose.choice(some)), 2000)  # noqa: B023
            print(f"  get at HEAD: {head:.0f} us, at a snapshot's view: {old:.0f} us,")
            print(f"  at a snapshot by name: {whole:.0f} us (target <= 100)")


if __name__ == "__main__":
    main()
