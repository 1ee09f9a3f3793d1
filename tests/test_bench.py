"""Every benchmark runs, on next to nothing: they are not to rot between looks at the figures."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.child import ENVIRONMENT, REPOSITORY

BENCH = REPOSITORY / "bench"
TINY = ("--scale", "0.001", "--rounds", "1", "--dir")
OPTIONS = {
    "bench_open_get": ("--files", "20000", "--dir"),
    "bench_patch": ("--scale", "0.02", "--rounds", "1", "--dir"),
    "bench_verify": ("--files", "1000", "--scale", "0.001", "--rounds", "1", "--dir"),
    "bench_puts": ("--count", "20", "--rounds", "1", "--dir"),
}
# One takes its time whatever the amount, the other wants a server.
LEFT_OUT = {"bench_blake3", "bench_server"}


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in BENCH.glob("bench_*.py") if path.stem not in LEFT_OUT)
)
def test_bench(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, BENCH / f"{name}.py", *OPTIONS.get(name, TINY), tmp_path],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONSAFEPATH": ""},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
