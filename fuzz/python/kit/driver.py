"""Drives fuzz targets in Python: with bytes by chance, or with atheris; keeps what is new.

A target is run in bounds: processor time by a timer, memory by a limit of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType, FunctionType

from aeordb.errors import AeorDBError

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
FAILURE = Path("fuzz-failure.bin")
SECONDS, MEMORY, GROWTH = 20, 4 << 30, 300 << 20
KEPT = 100
Run = Callable[[str, bytes], str]


class TooLongError(BaseException):
    """A run took more processor time than any may."""


class TooMuchError(BaseException):
    """A run took more memory than any may."""


@contextlib.contextmanager
def expecting(found: dict[str, object], name: str) -> Iterator[None]:
    """Notes an error of ours; lets all others through."""
    try:
        yield
    except AeorDBError as error:
        error.to_json()
        found[name] = type(error).__name__


def keep_failure(data: bytes) -> None:
    """Keeps an input that failed."""
    FAILURE.write_bytes(data)


def corpus(prefix: str, name: str) -> list[bytes]:
    """The target's kept inputs, by file name."""
    return [path.read_bytes() for path in sorted((CORPUS / f"{prefix}-{name}").glob("*.bin"))]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or replaced by edge values."""
    raw = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(raw))
        match chance.randrange(6):
            case 0:
                raw[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                del raw[at : at + chance.randint(1, 40)]
            case 2:
                raw[at:at] = raw[at : at + chance.randint(1, 80)]
            case 3:
                raw[at : at + 4] = chance.choice(
                    (b"\xff" * 4, bytes(4), b"\1\0\0\0", b"\0\0\0\x80")
                )
            case 4:
                raw[at : at + 8] = chance.choice((b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(8)))
            case _:
                if at < len(raw):
                    raw[at] ^= 1 << chance.randrange(8)
    return bytes(raw)


def changed(data: bytes, chance: random.Random) -> bytes:
    """A recipe like another, or one of its own."""
    if chance.random() < 0.4:
        return chance.randbytes(chance.choice((4, 6, 8, 10, 14, 20, 30)))
    raw = bytearray(data)
    if chance.random() < 0.5:
        raw += chance.randbytes(chance.randint(3, 9))
    for _ in range(chance.randint(0, 3)):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw[:60])


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Ends a run that takes too long, or too much."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"more than {SECONDS} s")

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) << 10
    if grown > GROWTH:
        raise TooMuchError(f"{grown >> 20} MiB more than ever before")


def _where(error: BaseException) -> str:
    """The places in the package that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if "/aeordb/" in frame.filename][-3:] or frames[-2:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in inner)


def plain(
    prefix: str, name: str, run: Run, options: argparse.Namespace, change: Callable[..., bytes]
) -> None:
    """Inputs by chance; those that end as none before are changed further."""
    chance = random.Random(options.seed)
    seeds = corpus(prefix, name)
    known: dict[str, bytes] = {}
    for data in seeds:
        known.setdefault(run(name, data), data)
    fresh: dict[str, bytes] = {}
    pool, tried, slowest = list(seeds) or [b""], 0, 0.0
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        data = change(chance.choice(pool), chance)
        start = time.process_time()
        try:
            with bounded():
                ended = run(name, data)
        except BaseException as error:
            keep_failure(data)
            if not options.go_on or isinstance(error, KeyboardInterrupt):
                print(f"{name}: {data.hex()}", flush=True)
                raise
            ended = f"FAILED {type(error).__name__}: {str(error)[:90]} {_where(error)}"
            if ended not in known:
                print(f"{name}: {data.hex()}\n  {ended}", flush=True)
        slowest = max(slowest, time.process_time() - start)
        tried += 1
        if ended not in known:
            known[ended] = fresh[ended] = data
            pool.append(data)
        elif ended in fresh and len(data) < len(fresh[ended]):
            fresh[ended] = data
    print(f"{name}: {tried} inputs, {len(known)} endings, the slowest {slowest:.1f} s", flush=True)
    if options.keep:
        folder = CORPUS / f"{prefix}-{name}"
        folder.mkdir(exist_ok=True)
        for data in sorted(fresh.values(), key=len)[: max(KEPT - len(seeds), 0)]:
            (folder / f"{hashlib.sha256(data).hexdigest()[:12]}.bin").write_bytes(data)


def _functions(package: str) -> Iterator[FunctionType]:
    """All functions and methods of the package's modules that are loaded."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != package:
            continue
        holders = [vars(module), *(vars(x) for x in vars(module).values() if isinstance(x, type))]
        for holder in holders:
            for value in list(holder.values()):
                if isinstance(value, FunctionType) and value.__module__ == name:
                    yield value


def guided(prefix: str, name: str, run: Run, options: argparse.Namespace) -> None:
    """Inputs by atheris, which sees what code they reach; does not come back."""
    import atheris

    def one(data: bytes) -> None:
        with bounded():
            run(name, data)

    for function in _functions("aeordb"):
        atheris.instrument_func(function)
    found = options.found / f"{prefix}-{name}"
    found.mkdir(parents=True, exist_ok=True)
    limits = ["-max_len=200", f"-timeout={SECONDS}", "-rss_limit_mb=4096"]
    limits += [f"-max_total_time={int(options.seconds)}", f"-seed={options.seed}"]
    flags = [*limits, "-print_final_stats=1", f"-exact_artifact_path={FAILURE}"]
    folders = [path for path in (found, CORPUS / f"{prefix}-{name}") if path.is_dir()]
    atheris.Setup([sys.argv[0], *flags, *map(str, folders)], one)
    atheris.Fuzz()


def main(
    about: str | None,
    prefix: str,
    targets: Iterable[str],
    run: Run,
    change: Callable[..., bytes] = changed,
) -> None:
    """Fuzzes the targets that the command line names, one after the other."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="*", choices=[*targets, []])
    parser.add_argument("--seconds", type=float, default=10.0, help="per target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["plain", "atheris"], default="plain")
    parser.add_argument("--keep", action="store_true", help="new inputs go into the corpus")
    parser.add_argument("--go-on", action="store_true", help="behind failures")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="of atheris")
    options = parser.parse_args()
    names = options.target or list(targets)
    if options.engine == "atheris":
        if len(names) == 1:
            guided(prefix, names[0], run, options)
        arguments = ["--engine", "atheris", "--seconds", str(options.seconds)]
        arguments += ["--seed", str(options.seed), "--found", str(options.found)]
        for name in names:
            subprocess.run([sys.executable, sys.argv[0], name, *arguments], check=True)
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name in names:
        plain(prefix, name, run, options, change)
