"""Every route with every kind of credential and every spelling of a path that leads astray.

Whatever is asked: a wrong key gets the one answer of all wrong keys, a key that is not root's gets
no further than it may, nothing is a fault of the server's, and no byte of system data leaves it or
comes in.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest

import aeordb
from aeordb.versions.system import put_system_file, system_directory
from tests.kit.fixtures import fixture_path, manifest
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file
from tests.kit.serving import Answer, Line, Serving

SYSTEM = "/.aeordb-system"
HOUR = 3_600

# What may ask: nobody, whoever has any key, root.
OPEN, ANY, ROOT = "open", "any", "root"


@dataclass(frozen=True)
class Route:
    """A route of the description; `fill` makes (target, body) of one spelling of its kind."""

    method: str
    path: str
    needs: str
    kind: str = ""
    fill: Callable[[bytes], tuple[bytes, bytes]] = lambda _spelling: (b"", b"")

    def requests(self, spellings: dict[str, list[bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """(target, body) for each spelling, or once for a route that takes none."""
        for spelling in spellings.get(self.kind, [b""]):
            target, body = self.fill(spelling)
            yield target or self.path.encode(), body


def in_path(before: str) -> Callable[[bytes], tuple[bytes, bytes]]:
    """The spelling stands in the target behind `before`."""
    return lambda spelling: (before.encode() + spelling, b"")


def in_body(field: str, /, **others: object) -> Callable[[bytes], tuple[bytes, bytes]]:
    """The spelling is the value of a field of the body."""

    def fill(spelling: bytes) -> tuple[bytes, bytes]:
        text = spelling.decode("utf-8", "surrogateescape")
        return b"", json.dumps({**others, field: text}).encode()

    return fill


def put(spelling: bytes) -> tuple[bytes, bytes]:
    """A file at this path."""
    return b"/files" + spelling, b"put by the matrix"


ROUTES = (
    Route("GET", "/system/health", OPEN),
    Route("GET", "/files/{path}", ANY, "path", in_path("/files")),
    Route("GET", "/files/{path}", ANY, "version", in_path("/files/?version=")),
    Route("GET", "/files/{path}", ANY, "version", in_path("/files/?snapshot=")),
    Route("HEAD", "/files/{path}", ANY, "path", in_path("/files")),
    Route("PUT", "/files/{path}", ANY, "path", put),
    Route("DELETE", "/files/{path}", ANY, "path", in_path("/files")),
    Route(
        "DELETE", "/files/{path}", ANY, "path", lambda it: (b"/files" + it + b"?recursive=1", b"")
    ),
    Route("GET", "/versions/snapshots", ANY),
    Route("POST", "/versions/snapshots", ANY, "version", in_body("version", name="stray")),
    Route("POST", "/versions/snapshots", ANY, "path", in_body("name")),
    Route("GET", "/versions/snapshots/{name}", ANY, "path", in_path("/versions/snapshots")),
    Route("GET", "/versions/snapshots/{name}", ANY, "name", in_path("/versions/snapshots/")),
    Route("DELETE", "/versions/snapshots/{name}", ROOT, "path", in_path("/versions/snapshots")),
    Route("POST", "/versions/restore", ROOT, "path", in_body("name")),
    Route("POST", "/versions/export", ROOT, "output", in_body("output")),
    Route("POST", "/versions/export", ROOT, "version", in_body("hash")),
    Route("POST", "/versions/export", ROOT, "version", in_body("snapshot")),
    Route("POST", "/versions/diff", ROOT, "output", in_body("output", **{"from": "v1"})),
    Route("POST", "/versions/diff", ROOT, "version", in_body("from")),
    Route("POST", "/versions/diff", ROOT, "version", in_body("to", **{"from": "v1"})),
    Route("POST", "/versions/import", ROOT, "output", in_body("file", force=True)),
    Route("POST", "/versions/promote", ROOT, "version", in_body("hash")),
    Route("POST", "/auth/token", ANY),
    Route("GET", "/auth/keys", ROOT),
    Route("POST", "/auth/keys", ROOT, "id", in_body("user_id")),
    Route("DELETE", "/auth/keys/{key_id}", ROOT, "name", in_path("/auth/keys/")),
    Route("GET", "/system/cron", ROOT),
    Route(
        "POST",
        "/system/cron",
        ROOT,
        "output",
        lambda it: (
            b"",
            json.dumps(
                {
                    "id": f"to-{it.hex()[:40]}",
                    "task_type": "backup",
                    "schedule": "0 0 1 1 *",
                    "args": {"backup_dir": it.decode("utf-8", "surrogateescape")},
                }
            ).encode(),
        ),
    ),
    Route("PATCH", "/system/cron/{schedule_id}", ROOT, "name", in_path("/system/cron/")),
    Route("DELETE", "/system/cron/{schedule_id}", ROOT, "name", in_path("/system/cron/")),
    Route("GET", "/system/tasks", ROOT),
    Route("GET", "/system/tasks/{task_id}", ROOT, "name", in_path("/system/tasks/")),
    Route("DELETE", "/system/tasks/{task_id}", ROOT, "name", in_path("/system/tasks/")),
    Route("POST", "/system/tasks/gc", ROOT),
    Route("POST", "/system/tasks/backup", ROOT, "output", in_body("backup_dir")),
    Route("POST", "/system/gc", ROOT),
    Route("GET", "/system/stats", ANY),
    Route("GET", "/system/metrics", ANY),
)


def paths(key_id: str) -> list[bytes]:
    """Spellings of a path in the system folders, or out of the tree, as they stand in a target."""
    inside = f"{SYSTEM}/api-keys/{key_id}".encode()
    rest = inside[len(SYSTEM) :]
    return [
        inside,
        b"/.aeordb-system",
        b"/.aeordb-system/",
        b"/.aeordb-system/config/jwt_signing_key",
        b"/.aeordb-config/cron.json",
        b"/" + inside,
        b"//" + inside[1:] + b"//",
        b"/." + inside,
        b"/docs/.." + inside,
        b"/docs/../docs/../" + inside[1:],
        b"/.." + inside,
        b"/../../../../../../etc/passwd",
        b"/etc/passwd",
        b"/proc/self/environ",
        b"/%2e" + inside,
        b"/docs/%2e%2e" + inside,
        b"/docs/%2E%2E" + inside,
        b"/docs/.%2e" + inside,
        b"/%2e%2e%2f" + inside[1:],
        b"/docs%2f..%2f" + inside[1:],
        b"/docs%2F..%2F" + inside[1:],
        b"/%2f" + inside[1:],
        b"%2f" + inside[1:],
        b"/%2Eaeordb-system" + rest,
        b"/.aeordb%2Dsystem" + rest,
        b"/.aeordb%2dsystem" + rest,
        b"/%2e%61%65%6f%72%64%62%2d%73%79%73%74%65%6d" + rest,
        b"/.aeordb-system%2fapi-keys%2f" + key_id.encode(),
        b"/%252e%252e%252f" + inside[1:],
        b"/%252eaeordb-system" + rest,
        b"/docs/%c0%ae%c0%ae" + inside,
        b"/%c0%aeaeordb-system" + rest,
        b"/docs%c0%af..%c0%af" + inside[1:],
        b"/%e0%80%aeaeordb-system" + rest,
        b"/%f0%80%80%aeaeordb-system" + rest,
        b"/docs%e0%80%af.." + inside,
        b"/%u002eaeordb-system" + rest,
        b"/\\.aeordb-system" + rest,
        b"/..%5c" + inside[1:],
        b"/docs%5c..%5c" + inside[1:],
        b"/%00" + inside[1:],
        b"/.aeordb-system%00" + rest,
        inside + b"%00",
        b"/docs/x%00/../.." + inside,
        b"/.aeordb-system%20" + rest,
        b"/.aeordb-system." + rest,
        b"/.AEORDB-SYSTEM" + rest,
        b"/.aeordb-System" + rest,
        b"/%ef%bc%8eaeordb-system" + rest,
        b"/%e2%80%a4aeordb-system" + rest,
        b"/%e2%80%8b.aeordb-system" + rest,
        b"/.aeordb%c2%adsystem" + rest,
        b"/.aeordb%e2%80%90system" + rest,
        b"/docs%ef%bc%8f.." + inside,
        b"/.aeordb-system;x=1" + rest,
        b"/;" + inside,
        b"/..;" + inside,
        b"/?" + inside,
        b"/%3f/.." + inside,
        b"/%23" + inside,
        b"/~" + inside,
        b"/dir:" + inside,
        b"/file:" + inside,
        b"/file:///etc/passwd",
        b"/%ed%a0%80" + inside,
        b"/%ff%fe" + inside,
        b"/%",
        b"/%zz" + inside,
        b"/%2" + inside,
        b"/%0d%0aX-Injected:%201" + inside,
        b"/%0a" + inside,
        b"/%09" + inside,
        b"/docs/key",
        b"/docs/system",
        b"/docs/system/api-keys/" + key_id.encode(),
        b"/docs/climbs/api-keys/" + key_id.encode(),
        b"/docs/out/passwd",
        b"/docs/round/" + key_id.encode(),
        b"/" + b"a/" * 1_200 + b"a",
        b"/" + b"a" * 20_000,
    ]


def names(credentials: list[str]) -> list[bytes]:
    """What is no id of anything: one part of a target."""
    return [
        *(credential.encode() for credential in credentials),
        b".",
        b"..",
        b"%2e%2e",
        b"%2E",
        b"%00",
        b"x%00",
        b"%ff",
        b"%c0%ae",
        b"%ed%a0%80",
        b"%0d%0aX-Injected:%201",
        b"%",
        b"%zz",
        b"*",
        b"%25",
        b";",
        b"..%5c..%5c",
        b"..%2f..%2f.aeordb-system",
        b"%20",
        b"-1",
        b"x" * 5_000,
        b"00000000-0000-0000-0000-000000000000",
    ]


def outputs(outside: Path) -> list[bytes]:
    """Names that are none of a file in the backup folder, or that lead out of it."""
    return [
        b"",
        b".",
        b"..",
        b"/",
        b"../stray",
        b"../../stray",
        b"sub/../../stray",
        b"./stray",
        b"sub/stray",
        os.fsencode(outside / "stray"),
        b"file://" + os.fsencode(outside / "stray"),
        b"/etc/passwd",
        b"/proc/self/mem",
        b"/dev/stdout",
        b"\\stray",
        b"..\\stray",
        b"stray\0.aeordb",
        b"\0",
        b"stray\n",
        b"\r\nstray",
        b"\x7f",
        b".stray",
        b"stray.lock",
        b"stray.part",
        b"x" * 201,
        b"x" * 5_000,
        "\u2044stray".encode(),
        "\u202estray".encode(),
        b"\xff\xfe",
        b"leads-out",
        b"leads-to-file",
        b"folder",
        b"pipe",
        b"dangling",
    ]


@dataclass(frozen=True)
class Scene:
    """A server's folder, its keys by what is wrong with them, and what must never be seen."""

    folder: Path
    database: Path
    spellings: dict[str, list[bytes]]
    wrong: dict[str, dict[str, str]]
    user: dict[str, dict[str, str]]
    root: dict[str, dict[str, str]]
    secrets: list[bytes]


def bearer(credential: str) -> dict[str, str]:
    """The header with a key or token."""
    return {"Authorization": f"Bearer {credential}"}


@pytest.fixture
def scene(fixture_copy: Callable[[str], Path]) -> Scene:
    """AeorDB's file with users, groups and keys; symlinks into the system folders; backups, one
    with system data."""
    path = fixture_copy("system")
    said = manifest("system")
    folder = path.parent
    backups = folder / "backups"
    backups.mkdir()
    root, now = said["root_key"], int(time.time())
    with aeordb.open(path) as db:
        key_id = said["second_key"]["key_id"]
        for target, link in (
            (f"{SYSTEM}/api-keys/{key_id}", "/docs/key"),
            (SYSTEM, "/docs/system"),
            ("../../.aeordb-system", "/docs/climbs"),
            ("/etc", "/docs/out"),
            ("round", "/docs/round"),
        ):
            db.symlink(target, link)
        keys = {name: db.api_keys.create(name) for name in ("revoked", "expired", "rules")}
        records = {key.key_id: key for key in db.api_keys.records()}
        inactive = db.api_keys.create("inactive", user_id=said["users"][1]["user_id"])
        db.api_keys.revoke(keys["revoked"].key_id)
        with db.transaction() as tx:
            for name, change in (("expired", {"expires_at": 1}), ("rules", {"rules": ({},)})):
                record = replace(records[keys[name].key_id], **change)  # type: ignore[arg-type]
                put_system_file(tx.writer, record.path, record.encode(), "application/json")
            user = json.dumps({"$v": 0, **said["users"][1], "is_active": False}).encode()
            put_system_file(
                tx.writer, f"{SYSTEM}/users/{inactive.user_id}", user, "application/json"
            )
        signing = db.api_keys.make_signing_key()

        def token(key_id: str, user_id: str, end: int, key: bytes = signing) -> str:
            claims = {"iss": "aeordb", "sub": user_id, "key_id": key_id}
            return jwt.encode({**claims, "iat": end - HOUR, "exp": end}, key, algorithm="HS256")

        [first] = [key for key in db.api_keys.list() if key.label == "root-bootstrap"]
        second = said["second_key"]
        soon = now + HOUR
        reader = db.reader()
        hashes = [
            hashed
            for place in (SYSTEM, f"{SYSTEM}/api-keys", f"{SYSTEM}/config", f"{SYSTEM}/users")
            if (hashed := system_directory(reader, place)) is not None
        ]
        hash_texts = [hashed.hex() for hashed in hashes]
        hash_texts += [text[:8] for text in hash_texts] + [text.upper() for text in hash_texts]
        hash_texts += [Oracle(path).find("/docs").hash.hex()]  # type: ignore[union-attr]
        secrets = [key.key_hash.encode() for key in db.api_keys.records()]
        db.export(backups / "privileged.aeordb", root_key=root)
    secrets += [signing, signing.hex().encode(), b"argon2", b"alice@example.com", b"root:x:0"]
    (folder / "outside").write_bytes(b"outside")
    (backups / "leads-out").symlink_to(folder)
    (backups / "leads-to-file").symlink_to(folder / "outside")
    (backups / "dangling").symlink_to(folder / "stray")
    (backups / "folder").mkdir()
    os.mkfifo(backups / "pipe")
    spelled = paths(key_id)
    assert len(set(spelled)) >= 60
    wrong_key = root[:-1] + ("0" if root[-1] != "0" else "1")
    root_token = token(first.key_id, first.user_id, soon)
    return Scene(
        folder=folder,
        database=path,
        spellings={
            "path": spelled,
            "name": names([root, root_token, second["api_key"]]),
            "output": outputs(folder),
            "version": [*(text.encode() for text in hash_texts), *map(_quoted, spelled[:40])],
            "id": [b"", b"..", b"../users/x", SYSTEM.encode(), b"\0", b"x" * 40],
        },
        wrong={
            "none": {},
            "basic": {"Authorization": f"Basic {root}"},
            "wrong": bearer(wrong_key),
            "unknown": bearer("aeor_k_" + "0" * 16 + root[23:]),
            "garbage": bearer("garbage"),
            "revoked": bearer(keys["revoked"].api_key),
            "expired": bearer(keys["expired"].api_key),
            "rules": bearer(keys["rules"].api_key),
            "inactive": bearer(inactive.api_key),
            "old token": bearer(token(first.key_id, first.user_id, now)),
            "forged token": bearer(token(first.key_id, first.user_id, soon, b"x" * 32)),
            "revoked key's token": bearer(
                token(keys["revoked"].key_id, keys["revoked"].user_id, soon)
            ),
            "user's token for root": bearer(token(second["key_id"], first.user_id, soon)),
        },
        user={
            "key": bearer(second["api_key"]),
            "token": bearer(token(second["key_id"], second["user_id"], soon)),
        },
        root={"key": bearer(root), "token": bearer(root_token)},
        secrets=secrets,
    )


def _quoted(spelling: bytes) -> bytes:
    return quote(spelling).encode()


def shown(answer: Answer) -> str:
    """An answer for a failure's message."""
    return f"{answer.status} {answer.body[:300]!r}"


def test_the_matrix(scene: Scene) -> None:
    count = 0
    before = Oracle(scene.database).system_tree()
    with (
        Serving(scene.database, "--confine-backups") as server,
        Line(server.address) as ask,
    ):
        described = ask("GET", b"/openapi.json", scene.root["key"]).json()["paths"]
        assert {(method.upper(), path) for path in described for method in described[path]} == {
            (route.method, route.path) for route in ROUTES
        }, "every route must be in the matrix"
        said = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert b"aeor_k_" not in said, "whoever lists processes shall find no key"
        refusals = {}
        for route in ROUTES:
            asked = list(route.requests(scene.spellings))
            for name, headers in scene.wrong.items():
                if route.needs == OPEN:
                    continue
                # Two kinds meet every spelling, the others a part of them.
                for target, body in asked if name in ("none", "wrong") else asked[::5]:
                    answer = ask(route.method, target, headers, body)
                    count += 1
                    what = f"{route.method} {target[:200]!r} with {name}: {shown(answer)}"
                    if answer.status == 400 and b"no valid HTTP" in answer.body:
                        continue  # no request at all
                    assert answer.status == 401, what
                    refusals[answer.body if route.method != "HEAD" else b""] = what
            for is_root, credentials in ((False, scene.user), (True, scene.root)):
                for name, headers in credentials.items():
                    for target, body in asked if name == "key" else asked[::4]:
                        answer = ask(route.method, target, headers, body)
                        count += 1
                        what = f"{route.method} {target[:200]!r} {body[:200]!r} with {name}"
                        what = f"{what}: {shown(answer)}"
                        check(
                            scene, route, answer, is_root=is_root, request=target + body, what=what
                        )

        assert len(refusals) == 2, "one answer, and that to HEAD"
        assert ask("GET", b"/system/health").status == 200
    assert count > 10_000
    for headers in (*scene.user.values(), *scene.root.values()):
        credential = headers["Authorization"].removeprefix("Bearer ")
        assert credential[30:] not in server.log
    for secret in scene.secrets:
        assert secret.decode("latin-1") not in server.log
    check_folder(scene, before)


def check(
    scene: Scene, route: Route, answer: Answer, *, is_root: bool, request: bytes, what: str
) -> None:
    """What holds for every answer to a valid key."""
    assert answer.status < 500, what
    assert answer.status != 401 or route.path == "/auth/token", what
    if answer.status == 400 and b"no valid HTTP" in answer.body:
        return
    if route.needs == ROOT and not is_root:
        assert answer.status in (403, 404, 405), what
    else:
        assert answer.status != 403, what
    for secret in scene.secrets:
        assert secret not in answer.body, what
        assert secret.decode("latin-1") not in str(answer.headers), what
    assert "x-injected" not in answer.headers, what
    if answer.status >= 400 and route.method != "HEAD":
        error = answer.json()["error"]
        assert error["code"], what
    # Only schedules and tasks are about folders of this machine.
    if b"backup_dir" not in request and str(scene.folder).encode() not in request:
        assert str(scene.folder).encode() not in answer.body, what


def check_folder(scene: Scene, before: dict[str, bytes]) -> None:
    """Nothing appeared around the backup folder; what is in it has no system data."""
    names = {entry.name for entry in scene.folder.iterdir()}
    assert names == {
        "system.aeordb",
        "system.aeordb.lock",
        "server.log",
        "backups",
        "outside",
    }
    assert (scene.folder / "outside").read_bytes() == b"outside"
    for entry in (scene.folder / "backups").rglob("*.aeordb"):
        if entry.name != "privileged.aeordb":
            assert Oracle(entry).system_tree() == {}, entry
    after = Oracle(scene.database).system_tree()
    changed = {path for path in after if after[path] != before.get(path)}
    kept = {path for path in changed if "/cron.json" not in path and "/api-keys/" not in path}
    assert {path for path in kept if "task" not in path} == set(), kept
    assert_file(scene.database)


def test_a_backup_with_system_data_brings_none_over_http(scene: Scene) -> None:
    """Ours, AeorDB's (with its signing key), and a whole database with its API keys; each as a
    file in the backup folder and as the body, as they are and salvaged."""
    target = scene.folder / "new.aeordb"
    backups = scene.folder / "backups"
    (backups / "theirs.aeordb").write_bytes(fixture_path("system.export-root").read_bytes())
    (backups / "database.aeordb").write_bytes(scene.database.read_bytes())
    with Serving(target) as server, Line(server.address) as ask:
        root = bearer(server.ready["root_key"])
        stream = {**root, "Content-Type": "application/octet-stream"}
        for name in ("privileged", "theirs", "database"):
            for salvage in ("false", "true"):
                flags = f"?promote=true&force=true&salvage={salvage}".encode()
                wanted = {"promote": True, "force": True, "salvage": salvage == "true"}
                body = json.dumps({"file": f"{name}.aeordb", **wanted}).encode()
                data = (backups / f"{name}.aeordb").read_bytes()
                for answer in (
                    ask("POST", b"/versions/import", root, body),
                    ask("POST", b"/versions/import" + flags, stream, data),
                ):
                    assert answer.status == (400 if name == "database" else 200), shown(answer)
                    assert b"/proc/" not in answer.body
                    for secret in scene.secrets:
                        assert secret not in answer.body
                    if answer.status == 200:
                        assert answer.json()["skipped_system"] > 0
                        assert answer.json()["warnings"]
        assert ask("GET", b"/files/docs/b.txt", root).status == 200
        assert len(ask("GET", b"/auth/keys", root).json()["items"]) == 1
        for headers in (*scene.user.values(), *scene.root.values()):
            assert ask("GET", b"/files/", headers).status == 401
    kept = Oracle(target).system_tree()
    assert len([path for path in kept if "/api-keys/" in path]) == 1
    assert not [path for path in kept if "/users/" in path or "/groups/" in path or "jwt" in path]
    assert_file(target)
