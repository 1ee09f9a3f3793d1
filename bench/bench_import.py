"""Importing an export, against copying its bytes.

    python bench/bench_import.py [--dir DISK]

2 GB in 8 files, into an empty database: of bytes that nothing compresses against `cp` of the
export and a sync; of bytes of which half can be compressed against reading them, decompressing
them, and hashing what is stored and what is meant, on all cores, plus that `cp`. Then the same
import again, which finds everything there. The peak of private memory is that of the process that
imports, the map left out.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import zstandard
from blake3 import blake3
from data import arguments, clock, half, in_turns, large_folder, noise, scratch, target

import aeordb

_IMPORT = """
import sys, time
import aeordb
start = time.perf_counter()
with aeordb.open(sys.argv[1], "a") as db:
    report = db.import_(sys.argv[2], promote=True)
print(time.perf_counter() - start)
"""


def run_import(database: Path, export: Path, peak: list[int]) -> float:
    """Imports in a process of its own; seconds without its start."""
    process = subprocess.Popen(
        [sys.executable, "-c", _IMPORT, str(database), str(export)], stdout=subprocess.PIPE
    )
    peak.append(_follow(process))
    assert process.stdout is not None
    assert process.wait() == 0
    return float(process.stdout.read())


def _follow(process: "subprocess.Popen[bytes]") -> int:
    """The highest private memory of a process, in KiB: what it alone holds and no file does."""
    peak = 0
    while process.poll() is None:
        with suppress(OSError), open(f"/proc/{process.pid}/status") as lines:
            rows = [line.split() for line in lines if line.startswith("RssAnon")]
            peak = max([peak, *(int(row[1]) for row in rows)])
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    return peak


def first(database: Path, export: Path, peak: list[int]) -> Callable[[], float]:
    """Into a new database."""

    def run() -> float:
        for path in (database, Path(f"{database}.lock")):
            path.unlink(missing_ok=True)
        return run_import(database, export, peak)

    return run


def again(database: Path, export: Path, peak: list[int]) -> Callable[[], float]:
    """Into the database that has it."""

    def run() -> float:
        before = database.read_bytes() if database.stat().st_size < 1 << 20 else None
        seconds = run_import(database, export, peak)
        assert before is None or database.read_bytes() == before
        return seconds

    return run


def copy(export: Path, place: Path) -> Callable[[], float]:
    """`cp` of the export, without sharing blocks, and a sync."""

    def run() -> float:
        with clock() as seconds:
            subprocess.run(["cp", "--reflink=never", export, place / "copy"], check=True)
            os.sync()
        (place / "copy").unlink()
        return seconds[0]

    return run


def decompress(source: Path) -> Callable[[], float]:
    """Decompressing all chunks and hashing them twice, on all cores."""
    packed = [
        zstandard.ZstdCompressor(level=1).compress(raw)
        for path in sorted(source.iterdir())
        for raw in _pieces(path)
    ]

    def work(part: list[bytes]) -> None:
        zstd = zstandard.ZstdDecompressor()
        for frame in part:
            blake3(frame).digest()
            blake3(zstd.decompress(frame)).digest()

    def run() -> float:
        cores = len(os.sched_getaffinity(0))
        with clock() as seconds, ThreadPoolExecutor(cores) as pool:
            list(pool.map(work, [packed[start::cores] for start in range(cores)]))
        return seconds[0]

    return run


def _pieces(path: Path) -> "list[bytes]":
    data = path.read_bytes()
    return [data[start : start + 262_144] for start in range(0, len(data), 262_144)]


def large(
    place: Path, rounds: int, scale: float, make: Callable[[object, int], bytes], name: str
) -> None:
    source = place / "large"
    length = large_folder(source, make, scale)
    export, database = place / "export.aeordb", place / "target.aeordb"
    with aeordb.open(place / "source.aeordb", "x") as db:
        db.put_tree(source, "/")
        db.export(export)
    peak: list[int] = []
    works = [first(database, export, peak), again(database, export, peak), copy(export, place)]
    if make is half:
        works.append(decompress(source))
    our_time, second_time, copy_time, *others = in_turns(rounds, place, length, *works)
    print(
        f"large files, {name}, {length / 1e6:.0f} MB, {export.stat().st_size / 1e6:.0f} MB stored"
    )
    if others:
        target("import / cp + sync + unzstd + 2 hashes", our_time, copy_time + others[0], 1.5)
    else:
        target("import / cp + sync", our_time, copy_time, 1.5)
    target("second import / first", second_time, our_time, 0.2)
    print(f"  private memory at its peak: {max(peak) / 1024:.0f} MiB (target <= 120)")
    for path in place.glob("*.aeordb*"):
        path.unlink()
    subprocess.run(["rm", "-r", source], check=True)


def main() -> None:
    options = arguments(__doc__).parse_args()
    with scratch(options.dir) as place:
        large(place, options.rounds, options.scale, noise, "incompressible")
        large(place, options.rounds, options.scale, half, "half compressible")


if __name__ == "__main__":
    main()
