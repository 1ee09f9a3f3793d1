"""Runs the fuzz targets of the C helper, under the address and undefined behaviour sanitizers.

    python fuzz/run_native.py [target ...] [--runs N | --short | --long] [--seed N]
                              [--engine libfuzzer|gcc] [--keep]

Every fuzz/native/TARGET.c defines LLVMFuzzerTestOneInput. Its inputs in fuzz/corpus/native-TARGET/
are replayed first. Then libFuzzer makes N new ones that are guided by coverage; where clang is
missing, fuzz/native/driver.c makes N mutations with gcc. An input that fails is kept as
fuzz-failure.bin: put it into the corpus once its bug is found.

--long makes 5*10^7 runs in all. --keep puts the inputs that found new code into the corpus, the
smallest ones of each target. --replay runs the corpora alone, --plain without sanitizers.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
TARGETS = FUZZ / "native"
NATIVE = FUZZ.parent / "native"
CORPUS = FUZZ / "corpus"
RUNS, SHORT_RUNS = 200_000, 8_000
KEPT, KEPT_BYTES = 120, 60_000
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FLAGS = ("-std=gnu11", "-g", "-Wall", "-Wextra", "-fno-omit-frame-pointer", f"-I{NATIVE}")
ENVIRONMENT = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:allocator_may_return_null=1:"
    "max_allocation_size_mb=1024",
    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
}

# The longest input of each target (bytes), and its runs in a long round (thousands): what is fast
# gets more.
PLAN = {
    "record": (512, 12_000),
    "entry": (512, 14_000),
    "node": (2048, 11_000),
    "rooms": (2048, 5_000),
    "log": (2048, 2_000),
    "index": (4096, 2_500),
    "page": (4096, 1_000),
    "carry": (4096, 1_000),
    "walk": (4096, 1_000),
    "table": (1024, 700),
    "bounds": (2048, 400),
    "layers": (4096, 300),
    "verify": (4096, 250),
    "sweep": (4096, 200),
    "hash_driver": (4096, 100),
    "cut": (4096, 20),
}
OTHERS = (4096, 100)
SHORT_PART = 40  # a short round has no more than this part of a long one


@dataclass(frozen=True)
class Engine:
    """How targets are compiled, and run."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    link: tuple[str, ...] = ()

    @property
    def guided(self) -> bool:
        return self.name == "libfuzzer"


PLAIN = Engine("gcc", "gcc", ("-O0",))
GCC = Engine("gcc", "gcc", ("-O1", *SANITIZERS))
LIBFUZZER = Engine(
    "libfuzzer", "clang", ("-O1", *SANITIZERS, "-fsanitize=fuzzer-no-link"), ("-fsanitize=fuzzer",)
)


def targets() -> dict[str, Path]:
    """Target name to its source."""
    sources = sorted(TARGETS.glob("*.c"))
    found = {path.stem: path for path in sources if "LLVMFuzzerTestOneInput(" in path.read_text()}
    found.pop("driver", None)
    return found


def has_libfuzzer() -> bool:
    """Whether clang is there, with libFuzzer."""
    if shutil.which(LIBFUZZER.compiler) is None:
        return False
    source = "#include <stddef.h>\n#include <stdint.h>\n"
    source += "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d && n ? 0 : 0; }"
    with tempfile.TemporaryDirectory() as folder:
        command = [LIBFUZZER.compiler, "-xc", "-", *LIBFUZZER.flags, *LIBFUZZER.link]
        done = subprocess.run(
            [*command, "-o", f"{folder}/probe"], input=source, text=True, capture_output=True
        )
    return done.returncode == 0


def compile_object(engine: Engine, source: Path, folder: Path) -> Path:
    """The object file of one C source; a target's name may be one of the helper's."""
    output = folder / f"{source.parent.parent.name}-{source.stem}.o"
    subprocess.run([engine.compiler, *FLAGS, *engine.flags, "-c", source, "-o", output], check=True)
    return output


def build(engine: Engine, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """The program of each target."""
    known = targets()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sources = sorted(NATIVE.glob("*.c"))
        if not engine.guided:
            sources.append(TARGETS / "driver.c")
        sources += [known[name] for name in names]
        objects = list(pool.map(lambda source: compile_object(engine, source, folder), sources))
        shared = objects[: -len(names)]

        def link(name: str, own: Path) -> Path:
            flags = (*engine.flags, *engine.link, "-pthread")
            program = folder / name
            subprocess.run([engine.compiler, *flags, *shared, own, "-o", program], check=True)
            return program

        return dict(zip(names, pool.map(link, names, objects[-len(names) :]), strict=True))


def corpus(name: str) -> list[Path]:
    """The target's kept inputs."""
    return sorted((CORPUS / f"native-{name}").iterdir())


def execute(command: Sequence[str | Path]) -> tuple[bool, str]:
    """Whether it went well, and what it said."""
    done = subprocess.run(
        command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, errors="replace"
    )
    return done.returncode == 0, done.stdout + done.stderr


def explore(name: str, program: Path, folder: Path, runs: int, seed: int) -> tuple[bool, str]:
    """Guided runs; what they found new is in `folder` then."""
    folder.mkdir(exist_ok=True)
    options = {
        "runs": runs,
        "seed": seed,
        "max_len": PLAN.get(name, OTHERS)[0],
        "timeout": 20,
        "rss_limit_mb": 2048,
        "print_final_stats": 1,
        "exact_artifact_path": "fuzz-failure.bin",
        "verbosity": 1,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    return execute([program, *flags, folder, CORPUS / f"native-{name}"])


def keep(name: str, program: Path, found: Path) -> None:
    """Puts the smallest inputs that reach code which the corpus does not into the corpus."""
    target = CORPUS / f"native-{name}"
    merged = found.parent / f"{found.name}-merged"
    shutil.copytree(target, merged)
    ok, said = execute(
        [program, "-merge=1", f"-max_len={PLAN.get(name, OTHERS)[0]}", merged, found]
    )
    if not ok:
        raise SystemExit(f"{name}: the merge failed\n{said[-2000:]}")
    present = corpus(name)
    room, size = KEPT - len(present), KEPT_BYTES - sum(path.stat().st_size for path in present)
    fresh = [path for path in merged.iterdir() if not (target / path.name).exists()]
    for path in sorted(fresh, key=lambda path: (path.stat().st_size, path.name)):
        if room <= 0 or path.stat().st_size > size:
            break
        shutil.copy(path, target / path.name[:16])
        room, size = room - 1, size - path.stat().st_size


def runs_of(name: str, chosen: argparse.Namespace) -> int:
    """How many runs the target gets."""
    share = PLAN.get(name, OTHERS)[1] * 1000
    if chosen.replay:
        return 0
    if chosen.short:
        return min(SHORT_RUNS, share // SHORT_PART)
    return share if chosen.long else chosen.runs


def run(name: str, program: Path, engine: Engine, folder: Path, chosen: argparse.Namespace) -> int:
    """Replays and runs one target; how many inputs it ran, or -1 if one failed."""
    start = time.monotonic()
    files = corpus(name)
    done, found = len(files), folder / f"found-{name}"
    runs = runs_of(name, chosen)
    if engine.guided:
        ok, said = execute(
            [program, "-timeout=20", "-exact_artifact_path=fuzz-failure.bin", *files]
        )
        if ok and runs:
            ok, said = explore(name, program, found, runs, chosen.seed)
            count = re.search(r"stat::number_of_executed_units:\s+(\d+)", said)
            done += int(count.group(1)) if count else 0
        if ok and runs and chosen.keep:
            keep(name, program, found)
    else:
        ok, said = execute([program, "--runs", str(runs), "--seed", str(chosen.seed), *files])
        done += runs
    coverage = re.findall(r"cov: (\d+) ft: (\d+)", said)
    more = f", {coverage[-1][0]} edges" if coverage else ""
    if not ok:
        print(said[-6000:], file=sys.stderr)
    result = "ok" if ok else "FAILED"
    print(f"{name}: {result}, {done} runs{more}, {time.monotonic() - start:.0f} s", flush=True)
    return done if ok else -1


def parse() -> argparse.Namespace:
    """The command line."""
    known = targets()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(known))
    parser.add_argument("--runs", type=int, default=RUNS, help="of each target")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_RUNS} or less, as in CI")
    parser.add_argument("--long", action="store_true", help="5*10^7 in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["libfuzzer", "gcc"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at once")
    parser.add_argument("--replay", action="store_true", help="only the kept inputs")
    parser.add_argument("--plain", action="store_true", help="gcc without sanitizers")
    parser.add_argument("--keep", action="store_true", help="new inputs go into the corpus")
    chosen = parser.parse_args()
    chosen.targets = chosen.targets or list(known)
    if unknown := set(chosen.targets) - set(known):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return chosen


def main() -> int:
    """0 if no target failed."""
    chosen = parse()
    if chosen.plain:
        engine = PLAIN
    elif chosen.engine == "gcc" or (chosen.engine is None and not has_libfuzzer()):
        engine = GCC
    else:
        engine = LIBFUZZER
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(chosen.jobs) as pool:
        folder = Path(place)
        programs = build(engine, chosen.targets, folder)
        counts = list(
            pool.map(lambda name: run(name, programs[name], engine, folder, chosen), programs)
        )
    print(f"{sum(count for count in counts if count > 0)} runs in all, with {engine.name}")
    return 0 if min(counts) >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
