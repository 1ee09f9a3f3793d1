"""2,000 durable puts of 1 kB, one commit each, against SQLite committing the same bytes.

Targets: at most 1 x SQLite's default journal (DELETE, FULL), at most 3 x its WAL with FULL. Also
printed: how much the file grows with each put, and what stays bounded (hot tail, voids).

    python bench/bench_puts.py [--count 2000] [--dir FOLDER] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aeordb

SIZE = 1_000


def values(count: int) -> list[bytes]:
    """`count` values that do not compress."""
    source = random.Random(7)
    return [source.randbytes(SIZE) for _ in range(count)]


def ours(folder: Path, data: list[bytes], names: list[str]) -> float:
    """Seconds per put of ours; prints how the file grew."""
    path = folder / "puts.aeordb"
    with aeordb.open(path, "x") as db:
        before = path.stat().st_size
        start = time.perf_counter()
        for name, value in zip(names, data, strict=True):
            db.put(name, value)
        seconds = (time.perf_counter() - start) / len(data)
        status = db.status()
    grown = (path.stat().st_size - before) / len(data)
    print(f"  file growth per put of {SIZE} B: {grown:.0f} B; free bytes {status.free_bytes}")
    path.unlink()
    return seconds


def sqlite(folder: Path, mode: str, data: list[bytes], names: list[str]) -> float:
    """Seconds per committed insert of SQLite."""
    path = folder / f"puts-{mode}.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"pragma journal_mode={mode}")
    connection.execute("pragma synchronous=FULL")
    connection.execute("create table files(path text primary key, data blob)")
    start = time.perf_counter()
    for name, value in zip(names, data, strict=True):
        connection.execute("insert or replace into files values (?, ?)", (name, value))
    seconds = (time.perf_counter() - start) / len(data)
    connection.close()
    return seconds


def main() -> None:
    """Runs the three in turn, so that a machine that slows down does so for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default=None)
    options = parser.parse_args()
    data = values(options.count)
    layouts: dict[str, Callable[[int], str]] = {
        "20 folders": lambda i: f"/folder{i % 20}/file{i}",
        "one folder": lambda i: f"/file{i}",
    }
    for title, name in layouts.items():
        print(f"{options.count} puts, {title}:")
        names = [name(i) for i in range(options.count)]
        delete, wal = [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=options.dir) as folder:
                put = ours(Path(folder), data, names)
                in_delete = sqlite(Path(folder), "DELETE", data, names)
                in_wal = sqlite(Path(folder), "WAL", data, names)
            os.sync()
            delete.append(put / in_delete)
            wal.append(put / in_wal)
            print(f"  us per put: {put * 1e6:.0f}, DELETE {in_delete * 1e6:.0f}", end="")
            print(f", WAL {in_wal * 1e6:.0f}")
        print(f"  against SQLite DELETE: {statistics.median(delete):.2f} x (target <= 1)")
        print(f"  against SQLite WAL:    {statistics.median(wal):.2f} x (target <= 3)")


if __name__ == "__main__":
    main()
