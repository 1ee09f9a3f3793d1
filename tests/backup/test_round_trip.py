"""What AeorDB wrote, exported by us and imported by us, is what the manifests say."""

from pathlib import Path

import pytest

import aeordb
from tests.kit.fixtures import DATABASES, fixture_path, manifest, versions


def tree(db: aeordb.Database, version: str = "HEAD") -> list[tuple[str, str, str | None]]:
    """Each path with its kind and content hash, or a symlink's target."""
    return [(s.path, s.kind, s.hash or s.target) for s in db.at(version).walk()]


@pytest.mark.parametrize("name", DATABASES)
def test_full_exports_and_patches(name: str, tmp_path: Path) -> None:
    labels = [label.partition(" ")[2] or label for label in versions(name)]
    with aeordb.open(fixture_path(name), "r") as db:
        roots = {label: db.resolve(label) for label in labels}
        with aeordb.open(tmp_path / "copy.aeordb", "x") as copy:
            before = None
            for label in labels:
                backup = tmp_path / "backup.aeordb"
                if before is None or roots[before] == roots[label]:
                    db.export(backup, version=label)
                else:
                    db.export_patch(backup, before, label)
                report = copy.import_(backup, promote=True)
                assert report.version == roots[label] == copy.head
                assert tree(copy) == tree(db, label)
                backup.unlink()
                before = label


def test_privileged(tmp_path: Path) -> None:
    with aeordb.open(fixture_path("system"), "r") as db:
        key = manifest("system")["root_key"]
        db.export(tmp_path / "all.aeordb", root_key=key)
        expected = {name: tree(db, name) for name in ("HEAD", "v1", "v2")}
    with aeordb.open(tmp_path / "copy.aeordb", "x") as copy:
        own = copy.create_root_key()
        report = copy.import_(tmp_path / "all.aeordb", promote=True, root_key=own)
        assert report.skipped_system == 0
        assert {name: tree(copy, name) for name in ("HEAD", "v1", "v2")} == expected
        assert copy.is_root_key(own)
        assert not copy.is_root_key(key)
