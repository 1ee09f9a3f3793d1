"""Full verified exports against copying the same bytes, and what they need of memory.

    python bench/bench_export.py [--dir DISK] [--million]

2 GB in 8 files against `cp` of the output and a sync; 50,000 small files likewise. With
--million also marking and copying with two jobs against one, on a million small files.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from data import arguments, clock, in_turns, large_folder, noise, scratch, small_folder, target
from many import many_files
from memory import drop_output, peak_private

import aeordb
from aeordb.backup.mark import mark
from aeordb.native.carry import Image, Plan, Window
from aeordb.native.walk import Marks
from aeordb.parallel.threads import in_order

MEMORY_MAX = 120e6
EXPORT = "import aeordb, sys; aeordb.open(sys.argv[1], 'r').export(sys.argv[2])"


def exporting(source: Path, output: Path) -> Callable[[], float]:
    """One export, its file synced and named."""

    def run() -> float:
        drop_output(output)
        with aeordb.open(source, "r") as db, clock() as seconds:
            db.export(output)
        return seconds[0]

    return run


def copying(output: Path, copy: Path) -> Callable[[], float]:
    """`cp` of the output, without sharing blocks, and a sync of the copy."""

    def run() -> float:
        with clock() as seconds:
            subprocess.run(["cp", "--reflink=never", output, copy], check=True)
            subprocess.run(["sync", copy], check=True)
        os.unlink(copy)
        return seconds[0]

    return run


def compare(place: Path, rounds: int, name: str, limit: float, fill: Callable[[Path], int]) -> None:
    """Puts a folder into a database and exports that."""
    source, output = place / "source.aeordb", place / "out.aeordb"
    length = fill(place / "folder")
    with aeordb.open(source, "x") as db:
        db.put_tree(place / "folder")
    shutil.rmtree(place / "folder")
    works = exporting(source, output), copying(output, place / "copy")
    ours, theirs = in_turns(rounds, place, length, *works)
    print(f"{name}, {length / 1e6:.0f} MB, {output.stat().st_size / 1e6:.0f} MB exported")
    target("export / cp + sync", ours, theirs, limit)
    drop_output(output)
    peak = peak_private(EXPORT, source, output)
    mark_ = "ok" if peak <= MEMORY_MAX else "MISSED"
    print(f"  private memory: {peak / 1e6:.0f} MB (target <= {MEMORY_MAX / 1e6:.0f}) {mark_}")
    drop_output(output)
    source.unlink()


def marking(db: aeordb.Database, jobs: int) -> float:
    """Seconds of marking HEAD."""
    index = db.reader().index
    with clock() as seconds:
        mark(index, db.head, Marks(index), Marks(index), jobs=jobs)
    return seconds[0]


def verifying(plan: Plan, jobs: int) -> float:
    """Seconds of making all windows of a plan, each with its path keys, and dropping them."""
    windows: list[Window] = []
    while not windows or windows[-1].end < plan.count:
        windows.append(plan.window(windows[-1].end if windows else 0, 4 << 20))
    images = [Image() for _ in range(jobs + 2)]

    def work(number: int) -> None:
        plan.carry(windows[number], images[number % len(images)])

    with clock() as seconds:
        for _ in in_order(jobs, range(len(windows)), work):
            pass
    return seconds[0]


def two_jobs(place: Path, rounds: int, scale: float) -> None:
    """What a second thread is worth on a million small files."""
    source, output = place / "million.aeordb", place / "out.aeordb"
    count = int(1_000_000 * scale)
    start = time.perf_counter()
    many_files(source, count)
    print(f"{count} files made in {time.perf_counter() - start:.0f} s")
    with aeordb.open(source, "r") as db:
        index = db.reader().index
        one, two = in_turns(rounds, place, 0, lambda: marking(db, 1), lambda: marking(db, 2))
        marks = Marks(index)
        mark(index, db.head, marks, jobs=1)
        plan = Plan(index, marks, paths=marks)
        print(f"  {plan.count} entries reached")
        target("marking, two jobs / one", two, one, 1 / 1.6)
        one, two = in_turns(
            rounds, place, 0, lambda: verifying(plan, 1), lambda: verifying(plan, 2)
        )
        target("verified copying, two jobs / one", two, one, 1 / 1.6)
    peak = peak_private(EXPORT, source, output)
    print(f"  private memory: {peak / 1e6:.0f} MB, of which 16 bytes an entry are the plan")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--million", action="store_true", help="also measure a million files")
    options = parser.parse_args()
    rounds, scale = options.rounds, options.scale
    with scratch(options.dir) as place:
        compare(
            place,
            rounds,
            "large files",
            1.3,
            lambda folder: large_folder(folder, noise, scale),
        )
        compare(place, rounds, "small files", 3.0, lambda folder: small_folder(folder, scale))
        if options.million:
            two_jobs(place, rounds, scale)


if __name__ == "__main__":
    main()
