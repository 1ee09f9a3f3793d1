"""Plants each bug in a copy of this checkout and says which check catches it.

    python tests/planted/run.py [NAME...] [--list] [--keep]

Without names, all of them. Exit code 1 if one is not caught, or if a check fails without it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []

from aeordb.native import _native  # noqa: E402
from tests.kit.fixtures import FOLDER as FIXTURES  # noqa: E402
from tests.planted.bug import Bug  # noqa: E402
from tests.planted.bugs import BUGS  # noqa: E402 - found from wherever it is started

PARTS = ("aeordb", "native", "tests", "fuzz", "setup.py", "pyproject.toml", "README.md", "LICENSE")
SECONDS = 1800
_NOT_CODE = shutil.ignore_patterns("__pycache__", "*.o", "_native.c", ".hypothesis")
_PASSED = 0
_NOT_RUN = (4, 5)  # no such test, or none: the list is wrong


class NotPlantedError(Exception):
    """A bug whose line is not in the code, or there twice."""


@dataclass(frozen=True)
class Outcome:
    """What a check said: `said` is its first failing assertion, "" where it passed."""

    check: str
    failed: bool
    said: str = ""


def apply(bug: Bug, root: Path) -> None:
    """Puts the bug into the checkout at `root`. Raises NotPlantedError."""
    path = root / bug.file
    text = path.read_text()
    count = text.count(bug.old)
    if count != 1:
        raise NotPlantedError(f"{bug.name}: its line is {count} times in {bug.file}")
    path.write_text(text.replace(bug.old, bug.new))


def copy(to: Path) -> Path:
    """A copy of this checkout, with its compiled helper."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, to / part, ignore=_NOT_CODE, symlinks=True)
        elif source.exists():
            shutil.copy2(source, to / part)
    helper = _native.__file__
    # What is tested may be installed elsewhere.
    if helper is not None and not list((to / "aeordb/native").glob("_native*.so")):
        shutil.copy2(helper, to / "aeordb/native")
    return to


def build(root: Path) -> None:
    """Compiles the helper of the checkout at `root`."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=SECONDS)


def check(root: Path, *nodes: str) -> Outcome:
    """Runs checks in the checkout at `root`, up to the first that fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *nodes]
    name = " ".join(nodes)
    environment = {
        **os.environ,
        "AEORDB_FIXTURES": str(FIXTURES),
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("PYTHONSAFEPATH", None)
    try:
        ran = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, True, "it did not end")
    if ran.returncode == _PASSED:
        return Outcome(name, False)
    if ran.returncode in _NOT_RUN:
        raise RuntimeError(f"{name}: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    return Outcome(name, True, _first_assertion(ran.stdout + ran.stderr))


def _first_assertion(text: str) -> str:
    found = re.search(r"^E +(\S.*)$", text, re.MULTILINE)
    return (found[1] if found else text.strip().splitlines()[-1])[:160]


def plant(bug: Bug) -> Outcome | None:
    """What catches the bug, or None."""
    with tempfile.TemporaryDirectory(prefix=f"planted-{bug.name}-") as folder:
        root = copy(Path(folder))
        apply(bug, root)
        if bug.file.startswith("native/"):
            build(root)
        for node in bug.checks:
            outcome = check(root, node)
            if outcome.failed:
                return outcome
    return None


def unplanted(checks: Iterable[str]) -> list[Outcome]:
    """Those checks that fail although nothing is planted."""
    with tempfile.TemporaryDirectory(prefix="planted-nothing-") as folder:
        root = copy(Path(folder))
        nodes = list(checks)
        if not nodes or not check(root, *nodes).failed:
            return []
        return [outcome for node in nodes if (outcome := check(root, node)).failed]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    options = parser.parse_args(arguments)
    known = {bug.name: bug for bug in BUGS}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no such bug: {', '.join(unknown)}")
    bugs = [known[name] for name in options.names] or list(BUGS)
    if options.list:
        for bug in bugs:
            print(f"{bug.name:44} {bug.file}")
        return 0
    used: dict[str, None] = {}
    missed = 0
    for bug in bugs:
        outcome = plant(bug)
        if outcome is None:
            missed += 1
            print(f"NOT CAUGHT  {bug.name}", flush=True)
            continue
        used[outcome.check] = None
        print(f"caught      {bug.name}\n            by {outcome.check}: {outcome.said}", flush=True)
    wrong = unplanted(used)
    for outcome in wrong:
        print(f"FAILS WITHOUT A BUG  {outcome.check}: {outcome.said}")
    print(f"{len(bugs) - missed} of {len(bugs)} caught")
    return 1 if missed or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
