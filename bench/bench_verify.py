"""Verifying against hashing the same bytes twice, and how many small entries a second.

    python bench/bench_verify.py [--dir DISK] [--files N]

2 GB in 8 files: each entry has an integrity hash and a content address, so hashing twice with all
processors is what it cannot do without. Then N small files (a million by default): entries a
second, and the memory that this takes.
"""

import mmap
import shutil
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from data import arguments, clock, in_turns, large_folder, noise, scratch, target
from many import many_files
from memory import peak_private

import aeordb
from aeordb.native.hashing import blake3_slices
from aeordb.parallel.threads import in_order
from aeordb.tree.ingest import default_jobs

CHUNK = 256 << 10
WINDOW = 8 << 20
ENTRIES_PER_SECOND = 1e6
VERIFY = "import aeordb, sys; assert aeordb.verify(sys.argv[1]).ok"


def verifying(path: Path) -> Callable[[], float]:
    """One verification."""

    def run() -> float:
        with clock() as seconds:
            report = aeordb.verify(path)
        if not report.ok:
            raise SystemExit(f"damaged: {report.findings[0]}")
        return seconds[0]

    return run


def hashing(path: Path) -> Callable[[], float]:
    """All bytes of the file, hashed twice in pieces of a chunk's length, by all processors."""

    def run() -> float:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

        def work(start: int) -> None:
            end = min(start + WINDOW, len(data))
            offsets = array("Q", range(start, end, CHUNK))
            lengths = array("Q", (min(CHUNK, end - offset) for offset in offsets))
            for _ in range(2):
                blake3_slices(data, offsets, lengths)

        with clock() as seconds:
            for _ in in_order(default_jobs(), range(0, len(data), WINDOW), work):
                pass
        return seconds[0]

    return run


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=1_000_000, help="how many small files")
    options = parser.parse_args()
    with scratch(options.dir) as place:
        large = place / "large.aeordb"
        length = large_folder(place / "folder", noise, options.scale)
        with aeordb.open(large, "x") as db:
            db.put_tree(place / "folder")
        shutil.rmtree(place / "folder")
        ours, theirs = in_turns(options.rounds, place, 0, verifying(large), hashing(large))
        print(f"{length / 1e6:.0f} MB in large files, {length / ours / 1e6:.0f} MB/s")
        target("verify / hashing twice", ours, theirs, 1 / 0.8)
        large.unlink()
        if not options.files:
            return
        many = place / "many.aeordb"
        start = time.perf_counter()
        many_files(many, options.files)
        print(f"{options.files} files made in {time.perf_counter() - start:.0f} s")
        entries = aeordb.verify(many).entries
        seconds = in_turns(options.rounds, place, 0, verifying(many))[0]
        rate = entries / seconds
        mark = "ok" if rate >= ENTRIES_PER_SECOND else "MISSED"
        print(f"  {entries} entries in {seconds:.2f} s: {rate / 1e6:.2f} M/s (>= 1) {mark}")
        print(f"  private memory: {peak_private(VERIFY, many) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
