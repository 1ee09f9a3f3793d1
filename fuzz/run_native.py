"""Runs the fuzz targets of the C helper, under the address and undefined behaviour sanitizers.

    python fuzz/run_native.py [target ...] [--runs N | --short] [--seed N]

Every fuzz/native/TARGET.c defines LLVMFuzzerTestOneInput. It is compiled with gcc, the helper and
fuzz/native/driver.c, which replays fuzz/corpus/native-TARGET/ and then makes N mutations of it.
An input that fails is kept as fuzz-failure.bin: put it into the corpus once its bug is found.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
TARGETS = FUZZ / "native"
NATIVE = FUZZ.parent / "native"
CORPUS = FUZZ / "corpus"
RUNS, SHORT_RUNS = 200_000, 8_000
FLAGS = (
    *("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-fno-omit-frame-pointer"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{NATIVE}"),
)


def targets() -> dict[str, Path]:
    """Target name to its source."""
    sources = sorted(TARGETS.glob("*.c"))
    return {path.stem: path for path in sources if "LLVMFuzzerTestOneInput(" in path.read_text()}


def compile_object(source: Path, folder: Path) -> Path:
    """The object file of one C source; a target's name may be one of the helper's."""
    output = folder / f"{source.parent.parent.name}-{source.stem}.o"
    subprocess.run(["gcc", *FLAGS, "-c", source, "-o", output], check=True)
    return output


def run(name: str, objects: list[Path], folder: Path, options: list[str]) -> bool:
    """Links and runs one target; False if it failed."""
    program = folder / name
    subprocess.run(["gcc", *FLAGS, *objects, "-o", program], check=True)
    files = sorted((CORPUS / f"native-{name}").iterdir())
    environment = os.environ | {
        "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
    }
    done = subprocess.run([program, *options, *files], env=environment)
    print(f"{name}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    return done.returncode == 0


def main() -> int:
    """0 if no target failed."""
    known = targets()
    known.pop("driver", None)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(known))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_RUNS} runs, as in CI")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    names = chosen.targets or list(known)
    if unknown := set(names) - set(known):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    runs = SHORT_RUNS if chosen.short else chosen.runs
    options = ["--runs", str(runs), "--seed", str(chosen.seed)]
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(place)
        sources = [*sorted(NATIVE.glob("*.c")), TARGETS / "driver.c"]
        shared = list(pool.map(lambda source: compile_object(source, folder), sources))
        own = dict(
            zip(
                names,
                pool.map(lambda name: compile_object(known[name], folder), names),
                strict=True,
            )
        )
        passed = pool.map(lambda name: run(name, [*shared, own[name]], folder, options), names)
        return 0 if all(list(passed)) else 1


if __name__ == "__main__":
    sys.exit(main())
