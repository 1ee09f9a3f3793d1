"""Reading 50,000 small files back, against reading them from the folder they came from.

    python bench/bench_readback.py [--dir DISK]

Both sides list all and read all, with warm caches; the library checks every byte on the way
(integrity hash, chunk address, content hash). Then the same folder out to disk, against `cp -r`.
No target is set: the figures say what checking costs.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from data import arguments, clock, in_turns, scratch, small_folder

import aeordb


def from_folder(source: Path) -> Callable[[], float]:
    """Every file opened and read whole."""

    def run() -> float:
        length = 0
        with clock() as seconds:
            for folder, _, names in os.walk(source):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        length += len(file.read())
        assert length
        return seconds[0]

    return run


def from_database(path: Path, length: int) -> Callable[[], float]:
    """Every file listed and read through a view of HEAD, the opening included."""

    def run() -> float:
        found = 0
        with clock() as seconds, aeordb.open(path, "r") as db:
            view = db.at("HEAD")
            for stat in view.walk():
                if stat.kind == "file":
                    found += len(view.read(stat.path))
        assert found == length
        return seconds[0]

    return run


def get(path: Path, place: Path) -> Callable[[], float]:
    """The whole tree to a folder on disk, and a sync."""

    def run() -> float:
        with clock() as seconds:
            with aeordb.open(path, "r") as db:
                report = db.get_tree("/", place / "out")
            os.sync()
        assert report.complete
        shutil.rmtree(place / "out")
        return seconds[0]

    return run


def copy(source: Path, place: Path) -> Callable[[], float]:
    """`cp -r` of the folder, and a sync."""

    def run() -> float:
        with clock() as seconds:
            subprocess.run(["cp", "-r", "--reflink=never", source, place / "copy"], check=True)
            os.sync()
        shutil.rmtree(place / "copy")
        return seconds[0]

    return run


def main() -> None:
    options = arguments(__doc__).parse_args()
    with scratch(options.dir) as place:
        source, path = place / "small", place / "data.aeordb"
        length = small_folder(source, options.scale)
        with aeordb.open(path, "x") as db:
            db.put_tree(source, "/")
        read, plain, out, copied = in_turns(
            options.rounds,
            place,
            length,
            from_database(path, length),
            from_folder(source),
            get(path, place),
            copy(source, place),
        )
        count = int(50_000 * options.scale)
        print(f"{count:,} files, {length / 1e6:.0f} MB")
        print(f"  read, checked: {read:.2f} s, {read / count * 1e6:.0f} us a file")
        print(f"  read from the folder: {plain:.2f} s, ratio {read / plain:.2f}")
        print(f"  get + sync / cp -r + sync: {out:.2f} s / {copied:.2f} s = {out / copied:.2f}")


if __name__ == "__main__":
    main()
