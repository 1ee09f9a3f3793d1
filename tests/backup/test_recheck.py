"""Reading a finished backup back: every byte of it counts."""

from pathlib import Path

import pytest

import aeordb
from aeordb.backup.recheck import recheck
from aeordb.errors import AeorDBError, DamagedError
from aeordb.progress import NO_PROGRESS
from tests.kit.folders import noise
from tests.kit.oracle import Oracle


@pytest.fixture
def exported(db: aeordb.Database, tmp_path: Path) -> tuple[Path, bytes]:
    """An export of several windows, and its version."""
    db.put("/large", noise("large", 9 << 20))
    for i in range(40):
        db.put(f"/d{i % 7}/{i}", noise(i, 200))
    db.export(tmp_path / "out")
    return tmp_path / "out", db.head


def check(path: Path, version: bytes, base: bytes | None = None, jobs: int = 1) -> None:
    recheck(str(path), version, base, jobs=jobs, progress=NO_PROGRESS)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_good_one_passes(exported: tuple[Path, bytes], jobs: int) -> None:
    check(*exported, jobs=jobs)


def test_a_good_patch_passes(db: aeordb.Database, tmp_path: Path) -> None:
    db.snapshots.create("v1")
    db.put("/a", b"1")
    db.export_patch(tmp_path / "patch", "v1")
    check(tmp_path / "patch", db.head, db.resolve("v1"))
    for version, base in ((db.head, None), (db.resolve("v1"), db.head)):
        with pytest.raises(DamagedError, match="other versions"):
            check(tmp_path / "patch", version, base)


@pytest.mark.parametrize("jobs", [1, 4])
def test_one_changed_byte_anywhere(exported: tuple[Path, bytes], jobs: int) -> None:
    path, version = exported
    data = path.read_bytes()
    oracle = Oracle(path)
    entries = list(oracle.scan(end=oracle.slot.hot_tail))
    for entry in entries[:: len(entries) // 12]:
        # Its magic, its type, its lengths, its integrity hash, its key, its last byte.
        for at in (0, 5, 11, 40, 70, entry.total - 1):
            changed = bytearray(data)
            changed[entry.offset + at] ^= 0x40
            path.write_bytes(changed)
            with pytest.raises(AeorDBError):
                check(path, version, jobs=jobs)


def test_cut_anywhere(exported: tuple[Path, bytes]) -> None:
    path, version = exported
    data = path.read_bytes()
    for length in range(0, len(data), len(data) // 20):
        path.write_bytes(data[:length])
        with pytest.raises(AeorDBError):
            check(path, version)
