"""Folders to measure with, the same on every machine, and clocks that compare fairly.

The content comes from the tests' makers (tests/kit/folders.py), which have a fixed seed.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Behind the installed package, if there is one.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.kit.folders import half, noise, small_files, write_folder

__all__ = [
    "arguments",
    "clock",
    "half",
    "in_turns",
    "large_folder",
    "noise",
    "scratch",
    "small_folder",
    "target",
]

MIB = 1 << 20


def arguments(about: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dir",
        type=Path,
        help="where to work: a disk, not memory; by default the system's folder for such things",
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side, in turns")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the data's amount")
    return parser


@contextmanager
def scratch(place: Path | None) -> Iterator[Path]:
    """A folder for a run; it goes with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="aeordb-bench-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def small_folder(folder: Path, scale: float = 1.0) -> int:
    """50,000 files of 200 B to 20 kB in 2,000 folders, half text and half noise; its bytes."""
    return write_folder(folder, small_files(int(50_000 * scale), int(2_000 * scale)))


def large_folder(folder: Path, make: Callable[[object, int], bytes], scale: float = 1.0) -> int:
    """8 files of 256 MiB each made by `noise` or `half`; its bytes."""
    folder.mkdir(parents=True)
    blocks = int(256 * scale) or 1
    for number in range(8):
        with open(folder / f"large-{number}.bin", "wb") as file:
            for block in range(blocks):
                file.write(make((number, block), MIB))
    return 8 * blocks * MIB


def in_turns(rounds: int, place: Path, amount: int, *works: Callable[[], float]) -> list[float]:
    """The best of each work's seconds, all of them run once a round.

    In turns, so that each meets the same machine; the best, since whatever disturbs only adds.
    Before each run `amount` bytes are written to `place` and deleted: a virtual machine takes
    memory that was free for a while from its host, page by page, and the first to use it pays.
    """
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, seconds in zip(works, times, strict=True):
            _use_memory(place / "memory", amount)
            seconds.append(work())
    return [min(seconds) for seconds in times]


def _use_memory(path: Path, amount: int) -> None:
    block = bytes(MIB)
    with open(path, "wb") as file:
        for _ in range(amount // MIB + 1):
            file.write(block)
    os.sync()
    path.unlink()


@contextmanager
def clock() -> Iterator[list[float]]:
    """Seconds of its body, as the one item of a list."""
    seconds: list[float] = []
    start = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - start)


def target(name: str, ours: float, theirs: float, limit: float) -> None:
    """Prints one comparison, less being better."""
    ratio = ours / theirs
    mark = "ok" if ratio <= limit else "MISSED"
    print(f"  {name}: {ours:.2f} s / {theirs:.2f} s = {ratio:.2f} (target <= {limit:g}) {mark}")
