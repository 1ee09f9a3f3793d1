"""The fuzz targets of the C helper: every function has one, and the kept inputs pass.

Here without sanitizers, so that it is quick; `fuzz/run_native.py` runs them with these.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ROOT / "fuzz" / "native"
CDEF = re.compile(r"/\* cdef \*/(.*?)/\* end cdef \*/", re.DOTALL)
FUNCTION = re.compile(r"\b(aeor_\w+)\(")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
WITHOUT = {
    "aeor_blake3",  # of Python's own bytes alone; its parts are called by the others
    "aeor_blake3_simd",
    "aeor_page_of",  # in every search for a key
}


def test_every_function_has_a_target() -> None:
    source = "".join(path.read_text() for path in sorted(TARGETS.glob("*.[ch]")))
    called = set(FUNCTION.findall(source))
    offered = set()
    for header in (ROOT / "native").glob("*.h"):
        for part in CDEF.findall(header.read_text()):
            offered |= set(FUNCTION.findall(COMMENT.sub("", part)))
    assert offered - called == WITHOUT


def test_every_target_has_a_small_corpus() -> None:
    names = [path.stem for path in TARGETS.glob("*.c") if path.stem != "driver"]
    kept = {name: list((ROOT / "fuzz/corpus" / f"native-{name}").iterdir()) for name in names}
    assert {name: len(files) for name, files in kept.items() if not 0 < len(files) < 300} == {}
    assert sum(path.stat().st_size for files in kept.values() for path in files) < 1 << 20


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_kept_inputs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "fuzz" / "run_native.py", "--replay", "--plain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
