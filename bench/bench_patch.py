"""Patches: what a hundred changed files of a million cost, and how large a patch is.

    python bench/bench_patch.py [--dir DISK]

100 files with new content in a database of a million, and in one of two million; 64 KiB edits at
scattered places of a 256 MiB file.
"""

import random
from collections.abc import Callable
from pathlib import Path

from data import MIB, arguments, clock, in_turns, noise, scratch, target
from many import change_files, many_files
from memory import drop_output

import aeordb

CHANGED = 100
EDIT = 64 << 10


def patching(source: Path, output: Path) -> Callable[[], float]:
    """One patch from the snapshot to HEAD, in a process that runs already."""

    def run() -> float:
        drop_output(output)
        with clock() as seconds, aeordb.open(source, "r") as db:
            db.export_patch(output, "base")
        return seconds[0]

    return run


def few_of_many(place: Path, rounds: int, scale: float) -> None:
    """The same change in databases of one and of two million files."""
    counts = [int(1_000_000 * scale), int(2_000_000 * scale)]
    works = []
    for count in counts:
        source = place / f"{count}.aeordb"
        many_files(source, count)
        change_files(source, CHANGED, counts[0] // CHANGED)
        works.append(patching(source, place / "patch"))
    one, two = in_turns(rounds, place, 0, *works)
    print(f"{CHANGED} changed files of {counts[0]} and of {counts[1]}")
    mark = "ok" if one <= 0.3 else "MISSED"
    print(f"  patch of {counts[0]}: {one:.3f} s (target <= 0.3 s) {mark}")
    target("twice the files / once", two, one, 1.1)


def scattered(place: Path, scale: float) -> None:
    """Edits of a large file in place."""
    source, output = place / "large.aeordb", place / "patch-large"
    data = bytearray(b"".join(noise(i, MIB) for i in range(int(256 * scale) or 1)))
    rng = random.Random(1)
    with aeordb.open(source, "x") as db:
        db.put("/large", bytes(data))
        db.snapshots.create("base")
        places = sorted(rng.sample(range(0, len(data) - EDIT, EDIT), 64))
        for number, at in enumerate(places):
            data[at : at + EDIT] = noise((number, "edit"), EDIT)
        db.put("/large", bytes(data))
        report = db.export_patch(output, "base")
    changed = EDIT * len(places)
    ratio = report.bytes / changed
    mark = "ok" if ratio <= 6 else "MISSED"
    print(f"{changed / 1e6:.1f} MB changed in place in a file of {len(data) / 1e6:.0f} MB")
    print(f"  patch: {report.bytes / 1e6:.1f} MB = {ratio:.2f} x (target <= 6) {mark}")


def main() -> None:
    options = arguments(__doc__).parse_args()
    with scratch(options.dir) as place:
        scattered(place, options.scale)
        few_of_many(place, options.rounds, options.scale)


if __name__ == "__main__":
    main()
