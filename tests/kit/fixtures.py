"""Files made by AeorDB 0.9.5: where they are and what was put into them.

The small ones are kept beside the interop tests and always run; the others are looked for in the
folder that AEORDB_FIXTURES names, else in `../shared/fixtures` beside the repository.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / "tests" / "interop" / "files"
FOLDER = Path(os.environ.get("AEORDB_FIXTURES") or REPOSITORY.parent / "shared" / "fixtures")

DATABASES = (
    "btree",
    "dirty",
    "empty",
    "files",
    "grown",
    "killed",
    "system",
    "voids",
    "voids-reused",
    "zstd",
)
EXPORTS = (
    "btree.export-at600",
    "files.export-head",
    "files.export-v1",
    "system.export-head",
    "system.export-root",
)
PATCHES = (
    "btree.patch-at255-at600",
    "files.patch-v1-v2",
    "files.patch-v2-head",
    "files.patch-v2-v1",
)
# AeorDB's exports and patches lack the nodes below a B-tree's root (FORMAT.md, section 6).
INCOMPLETE = ("btree.export-at600", "btree.patch-at255-at600")
COMPLETE = tuple(name for name in DATABASES + EXPORTS if name not in INCOMPLETE)


def fixture_path(name: str) -> Path:
    """The fixture's file, to be read only; skips the test where it is not at hand."""
    for folder in (KEPT, FOLDER):
        path = folder / f"{name}.aeordb"
        if path.is_file():
            return path
    pytest.skip(f"fixture {name}.aeordb is not in {FOLDER}; set AEORDB_FIXTURES to its folder")


@cache
def manifest(name: str) -> dict[str, Any]:
    """What was put into a fixture: rows [path, kind, size, BLAKE3 hex or target] per version."""
    path = fixture_path(name)
    return json.loads(path.with_name(f"{path.name}.json").read_text("utf-8"))


def versions(name: str) -> dict[str, list[list[object]]]:
    """The rows of HEAD, of each snapshot and of each fork, by "HEAD", "snapshot X", "fork Y"."""
    said = manifest(name)
    found = {"HEAD": sorted(said["HEAD"])}
    for kind in ("snapshots", "forks"):
        for label, version in said.get(kind, {}).items():
            found[f"{kind[:-1]} {label}"] = sorted(version["tree"])
    return found
