"""gc of a million small files: marking, and sweeping with half of them garbage.

    python bench/bench_gc.py [--dir DISK] [--scale 0.1]

Half of the files get new content and the snapshot that held the old one is deleted. Seconds are
those of the whole gc, less those of a dry run's marking.
"""

import shutil
import time
from pathlib import Path

from data import arguments, clock, scratch
from many import change_files, many_files
from memory import peak_private

import aeordb
from aeordb.maintenance.reach import find_roots, mark_live

MARK_MAX, SWEEP_MAX, MEMORY_MAX = 2.0, 3.0, 100e6
GC = "import aeordb, sys; aeordb.open(sys.argv[1]).gc()"


def marking(path: Path) -> float:
    """Seconds of finding all that is live."""
    with aeordb.open(path, "r") as db:
        index = db.reader().index
        with clock() as seconds:
            mark_live(index, find_roots(index, db.head, jobs=2), jobs=2)
    return seconds[0]


def collecting(source: Path, path: Path) -> tuple[float, aeordb.GcReport]:
    """Seconds of a gc of a copy."""
    shutil.copyfile(source, path)
    with aeordb.open(path) as db, clock() as seconds:
        report = db.gc()
    return seconds[0], report


def say(name: str, value: float, most: float, unit: str) -> None:
    print(
        f"  {name}: {value:.2f} {unit} (target <= {most:g}) {'ok' if value <= most else 'MISSED'}"
    )


def main() -> None:
    options = arguments(__doc__).parse_args()
    count = int(1_000_000 * options.scale)
    with scratch(options.dir) as place:
        source, path = place / "source.aeordb", place / "copy.aeordb"
        start = time.perf_counter()
        many_files(source, count)
        change_files(source, count // 2, 2)
        with aeordb.open(source) as db:
            db.snapshots.delete("base")
        print(f"{count} files made and half of them changed in {time.perf_counter() - start:.0f} s")
        mark = min(marking(source) for _ in range(options.rounds))
        whole, report = min(
            (collecting(source, path) for _ in range(options.rounds)), key=lambda row: row[0]
        )
        print(f"  {report.live_entries} live, {report.garbage_entries} garbage entries")
        print(f"  {report.reclaimed_bytes / 1e6:.0f} MB freed of {source.stat().st_size / 1e6:.0f}")
        say("mark", mark, MARK_MAX * options.scale, "s")
        say("sweep", whole - mark, SWEEP_MAX * options.scale, "s")
        shutil.copyfile(source, path)
        say("private memory", peak_private(GC, path) / 1e6, MEMORY_MAX / 1e6, "MB")


if __name__ == "__main__":
    main()
