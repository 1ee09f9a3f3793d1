"""Privileged exports: all snapshots and the system data, never a secret."""

from pathlib import Path

import pytest

import aeordb
from aeordb.backup.export import export
from aeordb.storage.store import Store
from aeordb.versions.system import put_system_file
from tests.kit.backups import log_entries, reach
from tests.kit.fixtures import COMPLETE, fixture_path, manifest, versions
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file

SECRETS = ("api-keys", "refresh-tokens", "magic-links", "email-config.json", "jwt_signing_key")


def privileged(source: Path, output: Path, jobs: int = 1) -> Oracle:
    store = Store(str(source), writable=False)
    view = store.view()
    try:
        export(view, str(output), view.head, privileged=True, jobs=jobs)
    finally:
        view.close()
        store.close()
    assert_file(output)
    return Oracle(output)


@pytest.mark.parametrize("name", COMPLETE)
def test_all_snapshots_and_the_system_data(name: str, tmp_path: Path) -> None:
    source = Oracle(fixture_path(name))
    made = privileged(fixture_path(name), tmp_path / "out")
    assert privileged(fixture_path(name), tmp_path / "4", jobs=4).data == made.data
    assert made.snapshot_records == source.snapshot_records
    for label, rows in versions(name).items():
        if label == "HEAD" or label.startswith("snapshot "):
            root = made.snapshots[label[9:]] if label != "HEAD" else made.head
            assert made.tree(root) == rows
    kept = {
        path: data
        for path, data in source.system_tree().items()
        if not any(part in SECRETS for part in path.split("/"))
        and (path.startswith("/.aeordb-config/") or _exported(path))
    }
    assert made.system_tree() == kept


def _exported(path: str) -> bool:
    return path.split("/")[2] in ("users", "groups", "snapshots", "config")


def test_nothing_else_goes_along(tmp_path: Path) -> None:
    """Every entry is reached by HEAD, a snapshot or the system data, or is a path key of these."""
    made = privileged(fixture_path("system"), tmp_path / "out")
    reached = set()
    for root in (made.head, *made.snapshots.values(), *made.system_roots.values()):
        reached |= set(reach(made, root))
    source = Oracle(fixture_path("system"))
    user = set(reach(source, made.head))
    for root in made.snapshots.values():
        user |= set(reach(source, root))
    for entry in log_entries(made):
        system = entry.key in reached and entry.key not in user
        if system:
            assert entry.flags & 1, "system data without the system flag"
        if entry.key in user:
            assert not entry.flags & 1


def test_no_byte_of_a_secret(tmp_path: Path) -> None:
    source = Oracle(fixture_path("system"))
    privileged(fixture_path("system"), tmp_path / "out")
    data = (tmp_path / "out").read_bytes()
    system = source.system_tree()
    secret = {path: raw for path, raw in system.items() if any(s in path for s in SECRETS)}
    assert "/.aeordb-system/config/jwt_signing_key" in secret
    assert any("api-keys" in path for path in secret)
    for path, raw in secret.items():
        assert raw not in data, path
        name = path.rpartition("/")[2].encode()
        assert name not in data, path
    for name in SECRETS:
        assert name.encode() not in data
    said = manifest("system")
    for text in (said["root_key"], said["second_key"]["api_key"]):
        assert text[24:].encode() not in data
    assert b"argon2id" not in data


def test_aeordbs_own_export_is_cleaned(tmp_path: Path) -> None:
    """`system.export-root` carries the signing key; its system folders hang on path keys alone."""
    name = "system.export-root"
    key = Oracle(fixture_path(name)).system_tree()["/.aeordb-system/config/jwt_signing_key"]
    made = privileged(fixture_path(name), tmp_path / "out")
    assert key not in made.data
    assert b"jwt_signing_key" not in made.data
    assert "/.aeordb-system" in made.system_roots


def test_secrets_anywhere_below_the_system_roots(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    kept = {
        "/.aeordb-system/config/deep/er/fine.json": b'{"fine": 1}',
        "/.aeordb-config/cron.json": b'{"schedules": []}',
        **{f"/.aeordb-system/users/{i:04}": b"%d" % i for i in range(400)},
    }
    gone = {
        "/.aeordb-system/config/deep/er/jwt_signing_key": b"secret-one",
        "/.aeordb-system/config/email-config.json": b"secret-two",
        "/.aeordb-system/api-keys/x": b"secret-three",
        "/.aeordb-system/plugins/p": b"secret-four",
        "/.aeordb-system/groups/magic-links": b"secret-five",
        "/.aeordb-config/refresh-tokens/t": b"secret-six",
    }
    with aeordb.open(path, "x") as db:
        db.put("/a", b"1")
        root_key = db.create_root_key()
        with db.transaction() as tx:
            for place, data in (kept | gone).items():
                put_system_file(tx.writer, place, data, "application/json")
            tx.put("/b", b"2")
        db.snapshots.create("v1")
        report = db.export(tmp_path / "out", root_key=root_key)
        plain = db.export(tmp_path / "plain")
    made = Oracle(tmp_path / "out")
    assert_file(tmp_path / "out")
    assert made.system_tree() == kept
    assert b"secret-" not in made.data
    assert report.snapshots == 1
    assert plain.snapshots == 0
    assert not Oracle(tmp_path / "plain").system_roots
    with aeordb.open(tmp_path / "out", "r") as copy:
        assert [snapshot.name for snapshot in copy.snapshots.list()] == ["v1"]
        assert not copy.is_root_key(root_key)
