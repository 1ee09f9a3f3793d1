"""Exports, patches and imports over HTTP: under names in the backup folder, and streamed."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.format.keys import directory_path_key
from aeordb.server.errors import BusyError
from aeordb.server.threads import UntilStopped
from aeordb.versions.system import system_directory
from tests.kit.rules import assert_file
from tests.kit.serving import Answer, Line, Serving

FILE_TYPE = {"Content-Type": "application/octet-stream"}
FOLDERS = (
    "/.aeordb-system",
    "/.aeordb-system/api-keys",
    "/.aeordb-system/users",
    "/.aeordb-system/groups",
    "/.aeordb-system/config",
)
HOSTILE = (
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "a\0b",
    "a\nb",
    ".hidden",
    "x.part",
    "data.aeordb.lock",
    "x" * 300,
    "%2e%2e%2fx",
)


def post(ask: Line, target: str, **body: Any) -> Answer:
    return ask("POST", target.encode(), {}, json.dumps(body).encode())


@pytest.fixture
def filled(ask: Line) -> Line:
    """A database with two snapshots."""
    ask("PUT", b"/files/a", {}, b"one")
    ask("PUT", b"/files/b", {}, b"two")
    assert post(ask, "/versions/snapshots", name="v1").status == 201
    ask("PUT", b"/files/a", {}, b"three")
    ask("DELETE", b"/files/b")
    assert post(ask, "/versions/snapshots", name="v2", metadata={"by": "me"}).status == 201
    return ask


def content(path: Path) -> dict[str, bytes]:
    with aeordb.open(path, "r") as db:
        return dict(db.items())


def test_snapshots(filled: Line) -> None:
    listed = filled("GET", b"/versions/snapshots").json()["items"]
    assert [item["name"] for item in listed] == ["v1", "v2"]
    assert listed[1]["metadata"] == {"by": "me", "type": "manual"}
    assert filled("GET", b"/versions/snapshots/v1").json() == listed[0]
    assert post(filled, "/versions/snapshots", name="v1").status == 409
    for name in ("", "HEAD", "a/b", "a\0b", "x" * 300):
        assert post(filled, "/versions/snapshots", name=name).status == 400, name
    assert post(filled, "/versions/snapshots", name="x", version="none").status == 404
    restored = post(filled, "/versions/restore", name="v1").json()
    assert restored == {"name": "v1", "version": listed[0]["root"]}
    assert filled("GET", b"/files/b").body == b"two"
    assert filled("DELETE", b"/versions/snapshots/v1").json() == {"name": "v1"}
    assert filled("DELETE", b"/versions/snapshots/v1").status == 404
    assert post(filled, "/versions/restore", name="v1").status == 404


def test_streamed_there_and_back(filled: Line, tmp_path: Path) -> None:
    full = post(filled, "/versions/export", snapshot="v1")
    assert full.headers["content-type"] == "application/octet-stream"
    (tmp_path / "full.aeordb").write_bytes(full.body)
    assert_file(tmp_path / "full.aeordb")
    assert content(tmp_path / "full.aeordb") == {"/a": b"one", "/b": b"two"}
    patch = post(filled, "/versions/diff", **{"from": "v1", "to": "v2"})
    none_left = os.listdir(tmp_path / "backups")
    assert none_left == []
    same = post(filled, "/versions/diff", **{"from": "v2"}).json()
    assert (same["output"], same["files_added"]) == (None, 0)
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "data.aeordb"
    with Serving(path, "--auth", "disabled") as other, Line(other.address) as ask:
        wrong = ask("POST", b"/versions/import", FILE_TYPE, patch.body)
        assert (wrong.status, wrong.json()["error"]["code"]) == (409, "base_mismatch")
        for body in (full.body, patch.body):
            answer = ask("POST", b"/versions/import?promote=true", FILE_TYPE, body)
            assert answer.status == 200, answer
            assert answer.json()["promoted"]
        assert ask("GET", b"/files/a").body == b"three"
        assert ask("GET", b"/files/b").status == 404
        answer = ask("POST", b"/versions/import", FILE_TYPE, full.body).json()
        assert not answer["promoted"]
        assert ask("GET", b"/files/a").body == b"three"
        assert post(ask, "/versions/promote", hash=answer["version"]).json()["promoted"]
        assert ask("GET", b"/files/a").body == b"one"


def test_what_is_no_backup_is_the_client_s_fault(filled: Line, tmp_path: Path) -> None:
    with aeordb.open(tmp_path / "foreign.aeordb", "x") as db:
        db.put("/c", b"a content of its own")
        db.export(tmp_path / "full.aeordb")
    full = (tmp_path / "full.aeordb").read_bytes()
    place = full.index(b"a content of its own")
    flipped = bytearray(full)
    flipped[place] ^= 1
    for body in (b"", b"garbage" * 1000, full[:place], bytes(flipped)):
        answer = filled("POST", b"/versions/import?promote=true", FILE_TYPE, body)
        assert answer.status == 422, answer
        error = answer.json()["error"]
        assert error["code"] in ("damaged", "not_a_database")
        assert "/proc/" not in answer.body.decode()
    assert filled("GET", b"/files/a").body == b"three"


def test_names_stay_in_the_folder(filled: Line, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    before = sorted(os.listdir(tmp_path))
    for name in HOSTILE:
        for target, body in (
            ("/versions/export", {"output": name}),
            ("/versions/diff", {"output": name, "from": "v1"}),
            ("/versions/import", {"file": name}),
        ):
            answer = post(filled, target, **body)
            wanted = 404 if name.startswith("%") else 400
            if name.startswith("%") and target != "/versions/import":
                wanted = 200  # a name like any other: nothing is decoded twice
                os.unlink(backups / name)
            assert answer.status == wanted, (target, name, answer)
            assert str(tmp_path) not in answer.body.decode()
    assert sorted({*os.listdir(tmp_path)} - {"backups"}) == [n for n in before if n != "backups"]
    assert os.listdir(backups) == []


def test_links_and_pipes_are_no_backups(filled: Line, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    assert post(filled, "/versions/export", output="real.aeordb").status == 200
    (backups / "link").symlink_to("real.aeordb")
    (backups / "database").symlink_to("../data.aeordb")
    (backups / "dangling").symlink_to("nowhere")
    (backups / "folder").mkdir()
    os.mkfifo(backups / "pipe")
    for name in ("link", "database", "dangling", "folder", "pipe", "none"):
        assert post(filled, "/versions/import", file=name).status == 404, name
    for name in ("link", "database", "dangling", "folder", "pipe", "real.aeordb"):
        assert post(filled, "/versions/export", output=name).status == 409, name
    assert not (backups / "nowhere").exists()
    assert post(filled, "/versions/import", file="real.aeordb").status == 200


def test_bodies_are_taken_at_their_word(filled: Line) -> None:
    """What a request says that is not understood is refused, not passed over."""
    for target, body in (
        ("/versions/export", b'{"output": "x", "snapshots": "v1"}'),
        ("/versions/export", b'{"output": 7}'),
        ("/versions/export", b"[]"),
        ("/versions/export", b"output=x"),
        ("/versions/export", b'{"output": "x"'),
        ("/versions/diff", b'{"output": "x"}'),
        ("/versions/import", b'{"file": "x", "promote": "yes"}'),
        ("/versions/promote", b'{"hash": null}'),
        ("/versions/export", b'{"snapshot": "v1", "hash": "HEAD"}'),
        ("/versions/export", b"[" * 100_000),
        ("/versions/export", b'{"output": "\\ud800"}'),
    ):
        answer = filled("POST", target.encode(), {}, body)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "usage"), (target, body)
    assert filled("POST", b"/versions/export", {}, b" " * (2 << 20)).status == 413


def test_what_takes_long_ends_with_the_server(db: aeordb.Database, tmp_path: Path) -> None:
    """Nothing half-done is left, neither of an export nor of an import or an upload."""
    db.put("/a", b"one")
    db.export(tmp_path / "full.aeordb")
    db.put("/a", b"two")
    head = db.head
    progress = UntilStopped()
    progress.stopped = True
    with pytest.raises(BusyError):
        db.export(tmp_path / "x.aeordb", progress=progress)
    with pytest.raises(BusyError):
        db.import_(tmp_path / "full.aeordb", promote=True, progress=progress)
    with pytest.raises(BusyError):
        db.put("/b", io.BytesIO(b"three"), progress=progress)
    assert sorted(os.listdir(tmp_path)) == ["data.aeordb", "data.aeordb.lock", "full.aeordb"]
    assert db.head == head


def test_system_data_stays_inside(fixture_copy: Callable[[str], Path]) -> None:
    """Not by a folder's hash or path key either, which elsewhere would do for a version's."""
    path = fixture_copy("system")
    with aeordb.open(path, "r") as db:
        found = [system_directory(db.reader(), folder) for folder in FOLDERS]
    roots = [root.hex() for root in found if root is not None]
    assert roots
    roots += [directory_path_key(folder).hex() for folder in FOLDERS]
    with Serving(path, "--auth", "disabled") as serving, Line(serving.address) as ask:
        for root in roots:
            for answer in (
                ask("GET", f"/files/?version={root}&all=true".encode()),
                ask("GET", f"/files/?version={root[:12]}".encode()),
                post(ask, "/versions/export", hash=root),
                post(ask, "/versions/diff", **{"from": "HEAD", "to": root}),
                post(ask, "/versions/snapshots", name="x", version=root),
                post(ask, "/versions/promote", hash=root),
            ):
                assert answer.status == 404, (root, answer)
        full = post(ask, "/versions/export").body
    assert b"key_hash" not in full
    assert b"api-keys" not in full
