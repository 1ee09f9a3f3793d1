"""A fresh folder with a database whose exports and patches have the counts of the manual."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.kit.folders import FIRST_TIME
from tests.kit.program import Folder, make_folder

CHANGED = 6  # folders in which something changes between v1 and v2


@pytest.fixture
def fresh(tmp_path: Path) -> Folder:
    """An empty folder."""
    return make_folder(tmp_path)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `folder` begins with, made once."""
    made = make_folder(tmp_path_factory.mktemp("template") / "made")
    for version in ("v1", "v2"):
        write_version(made.path / f"files-{version}", version)
    made.ok(
        """
        aeordb init
        aeordb put -r files-v1 /
        aeordb snapshot create v1
        aeordb put -r --delete files-v2 /
        aeordb snapshot create v2
        """
    )
    return made.path


@pytest.fixture
def folder(fresh: Folder, template: Path) -> Folder:
    """`data.aeordb`: 142 files, 89 chunks, 23 folders as snapshot v1, and v2 as HEAD.

    From v1 to v2 5 files are added, 12 modified and 3 deleted, with 8 new chunks, in 6 folders.
    `files-v1` and `files-v2` beside it are what was put in.
    """
    shutil.copytree(template, fresh.path, dirs_exist_ok=True)
    return fresh


def write_version(top: Path, version: str) -> None:
    """Writes a folder for each of the two versions."""
    files = {f"d{i % 22:02}/f{i:03}.txt": f"content {i % 89}\n" for i in range(142)}
    changed: set[str] = set()
    if version == "v2":
        near = sorted(name for name in files if int(name[1:3]) < CHANGED)
        changed = {*near[2::3][-12:], *(f"d{i:02}/new.txt" for i in range(5))}
        files |= {name: f"new content {i % 8}\n" for i, name in enumerate(sorted(changed))}
        for name in [name for name in near if name not in changed][:3]:
            del files[name]
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        stamp = FIRST_TIME + (name in changed)
        os.utime(path, (stamp, stamp))


def versions(folder: Folder) -> dict[str, str]:
    """The hashes of all snapshots, and of HEAD."""
    listed = json.loads(folder.ok("aeordb snapshot list --json").out)["result"]["items"]
    head = json.loads(folder.ok("aeordb status --json").out)["result"]["head"]
    return {"HEAD": head, **{item["name"]: item["root"] for item in listed}}


def root_key(ended_out: str) -> str:
    """The key that `aeordb init` printed."""
    found = re.search(r"aeor_k_[0-9a-f]{16}_[0-9a-f]{64}", ended_out)
    assert found is not None
    return found[0]
