"""Putting folders into a database, against copying them.

    python bench/bench_ingest.py [--dir DISK]

50,000 small files in one commit against `cp -r` and a sync, and against `git add` and `commit`;
2 GB in 8 files against `cp` and a sync: of bytes that nothing compresses, and of bytes of which
half can be, there against the same plus zstd -1 over them on all cores.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import zstandard
from data import (
    arguments,
    clock,
    half,
    in_turns,
    large_folder,
    noise,
    scratch,
    small_folder,
    target,
)

import aeordb


def put(source: Path, place: Path) -> Callable[[], float]:
    """A new database with the folder in it, closed."""

    def run() -> float:
        path = place / "data.aeordb"
        with clock() as seconds, aeordb.open(path, "x") as db:
            report = db.put_tree(source, "/")
        assert report.complete
        run.size = path.stat().st_blocks * 512  # type: ignore[attr-defined]
        path.unlink()
        return seconds[0]

    return run


def copy(source: Path, place: Path) -> Callable[[], float]:
    """`cp -r`, without sharing blocks, and a sync."""

    def run() -> float:
        with clock() as seconds:
            subprocess.run(["cp", "-r", "--reflink=never", source, place / "copy"], check=True)
            os.sync()
        shutil.rmtree(place / "copy")
        return seconds[0]

    return run


def git(source: Path, place: Path) -> Callable[[], float]:
    """`git add` and `git commit` of the whole folder, the repository beside it."""

    def run() -> float:
        def call(*args: str) -> None:
            identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
            options = ["--git-dir", str(place / "git"), "--work-tree", str(source)]
            subprocess.run(["git", *identity, *options, *args], check=True)

        with clock() as seconds:
            call("init", "--quiet")
            call("add", "--all")
            call("commit", "--quiet", "--message", "all")
            os.sync()
        shutil.rmtree(place / "git")
        return seconds[0]

    return run


def compress(source: Path) -> Callable[[], float]:
    """zstd -1 on all cores over each file's bytes, which are read; nothing is written."""

    def run() -> float:
        with clock() as seconds:
            for path in source.iterdir():
                with open(path, "rb") as file, open(os.devnull, "wb") as out:
                    zstandard.ZstdCompressor(1, threads=-1).copy_stream(file, out)
        return seconds[0]

    return run


def small(place: Path, rounds: int, scale: float) -> None:
    source = place / "small"
    length = small_folder(source, scale)
    ours = put(source, place)
    works = ours, copy(source, place), git(source, place)
    our_time, copy_time, git_time = in_turns(rounds, place, length, *works)
    size = ours.size  # type: ignore[attr-defined]
    print(f"small files, {length / 1e6:.0f} MB, {size / 1e6:.0f} MB stored")
    target("put / cp -r + sync", our_time, copy_time, 2.0)
    target("put / git add + commit", our_time, git_time, 0.4)
    shutil.rmtree(source)


def large(
    place: Path, rounds: int, scale: float, make: Callable[[object, int], bytes], name: str
) -> None:
    source = place / "large"
    length = large_folder(source, make, scale)
    ours = put(source, place)
    works = [ours, copy(source, place)]
    if make is half:
        works.append(compress(source))
    our_time, *others = in_turns(rounds, place, length, *works)
    size = ours.size  # type: ignore[attr-defined]
    print(f"large files, {name}, {length / 1e6:.0f} MB, {size / 1e6:.0f} MB stored")
    what = "put / cp + sync" + (" + zstd -1" if make is half else "")
    target(what, our_time, sum(others), 1.3)
    shutil.rmtree(source)


def main() -> None:
    options = arguments(__doc__).parse_args()
    with scratch(options.dir) as place:
        small(place, options.rounds, options.scale)
        large(place, options.rounds, options.scale, noise, "incompressible")
        large(place, options.rounds, options.scale, half, "half compressible")


if __name__ == "__main__":
    main()
