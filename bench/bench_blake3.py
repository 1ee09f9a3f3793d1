"""BLAKE3 of the native helper against the ``blake3`` package, on one thread.

    python bench/bench_blake3.py

Two targets: 0.8 of the package's speed on 256 KiB inputs, and three times its speed on a million
inputs of 200 bytes, which Python would otherwise hand to the package one by one.
"""

import random
import time
from collections.abc import Callable

from blake3 import blake3

from aeordb.native import hashing


def best(ours: Callable[[], object], package: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of the fastest run of each, in turns, so that both meet the same machine."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for work, seconds in zip((ours, package), times, strict=True):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in times]


def large(size: int = 256 * 1024, count: int = 64) -> None:
    """One input at a time, from a set that does not fit the nearest cache."""
    inputs = [random.Random(seed).randbytes(size) for seed in range(count)]
    ours, package = best(
        lambda: [hashing.blake3(data) for data in inputs],
        lambda: [blake3(data).digest() for data in inputs],
        rounds=25,
    )
    volume = size * count / 1e9
    print(
        f"blake3 256 KiB: ours {volume / ours:.1f} GB/s, package {volume / package:.1f} GB/s, "
        f"ratio {package / ours:.2f} (target >= 0.8)"
    )


def small(size: int = 200, count: int = 1_000_000) -> None:
    """A million inputs in one call; the lists of hashes are part of the work on both sides."""
    noise = random.Random(1).randbytes(size * count)
    inputs = [noise[at : at + size] for at in range(0, len(noise), size)]
    ours, package = best(
        lambda: hashing.blake3_many(inputs),
        lambda: [blake3(data).digest() for data in inputs],
        rounds=5,
    )
    print(
        f"blake3 1,000,000 x 200 B: ours {count / ours / 1e6:.2f} M/s, "
        f"package one by one {count / package / 1e6:.2f} M/s, "
        f"ratio {package / ours:.1f} (target >= 3)"
    )


if __name__ == "__main__":
    print(f"SIMD: {hashing.simd_name()}")
    large()
    small()
