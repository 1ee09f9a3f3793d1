"""Who may ask: keys and tokens, one answer to all that are not right, and revocation at once."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

import aeordb
from aeordb.database import access
from aeordb.errors import UsageError
from aeordb.format.system import ApiKey
from aeordb.server.settings import Settings
from aeordb.versions.system import put_system_file
from tests.kit.asgi import App, Clock
from tests.kit.fixtures import manifest
from tests.kit.rules import assert_file

HOUR = 3_600_000
DAY = 24 * HOUR


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at the test's start until it is set."""
    return Clock(now())


@pytest.fixture
def root(db: aeordb.Database) -> str:
    """The database's root key."""
    return db.create_root_key()


@pytest.fixture
def app(db: aeordb.Database, root: str, clock: Clock) -> Iterator[App]:
    """The server over a new database with a root key."""
    with App(db, clock) as running:
        yield running


def edit(db: aeordb.Database, key_id: str, **fields: Any) -> None:
    """Changes a key's record, as AeorDB could."""
    [record] = [key for key in db.api_keys.records() if key.key_id == key_id]
    changed: ApiKey = replace(record, **fields)
    with db.transaction() as tx:
        put_system_file(tx.writer, changed.path, changed.encode(), "application/json")
    db.api_keys.changed()


def token_of(app: App, key: str) -> str:
    answer = app("POST", "/auth/token", key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["token"])


def test_keys_that_aeordb_made_work(fixture_copy: Callable[[str], Path]) -> None:
    said = manifest("system")
    path = fixture_copy("system")
    with aeordb.open(path) as db, App(db) as app:
        for key, status in ((said["root_key"], 200), (said["second_key"]["api_key"], 403)):
            assert app("GET", "/versions/snapshots", key).status_code == 200
            assert app("GET", "/auth/keys", key).status_code == status
            token = token_of(app, key)
            assert app("GET", "/versions/snapshots", token).status_code == 200
            assert app("GET", "/auth/keys", token).status_code == status
    assert_file(path)


def test_a_key_s_life(app: App, root: str) -> None:
    answer = app("POST", "/auth/keys", root, json={"label": "job"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    key = made["api_key"]
    assert app("GET", "/versions/snapshots", key).status_code == 200
    token = token_of(app, key)
    listed = app("GET", "/auth/keys", root)
    assert key[24:] not in listed.text
    assert "argon2" not in listed.text
    assert [item["label"] for item in listed.json()["items"]] == ["root-bootstrap", "job"]
    for credential in (key, token):
        assert app("GET", "/versions/snapshots", credential).status_code == 200
        assert app("GET", "/auth/keys", credential).status_code == 403
        assert app("POST", "/auth/keys", credential, json={"root": True}).status_code == 403
    revoked = app("DELETE", f"/auth/keys/{made['key_id']}", root).json()
    assert revoked["is_revoked"]
    for credential in (key, token):
        assert app("GET", "/versions/snapshots", credential).status_code == 401
    assert app("GET", "/auth/keys", root).status_code == 200


def test_another_root_key_and_the_last_one(app: App, root: str, db: aeordb.Database) -> None:
    first = db.api_keys.list()[0].key_id
    refused = app("DELETE", f"/auth/keys/{first}", root)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "usage")
    second = app("POST", "/auth/keys", root, json={"root": True}).json()["api_key"]
    assert app("DELETE", f"/auth/keys/{first}", second).status_code == 200
    assert app("GET", "/auth/keys", root).status_code == 401
    assert app("GET", "/auth/keys", second).status_code == 200


def test_a_new_root_key_counts_at_once(app: App, root: str, db: aeordb.Database) -> None:
    assert app("GET", "/auth/keys", root).status_code == 200
    second = db.emergency_reset()
    assert app("GET", "/auth/keys", root).status_code == 401
    assert app("GET", "/auth/keys", second).status_code == 200


def test_one_answer_for_every_credential_that_is_not_right(
    app: App, root: str, db: aeordb.Database, clock: Clock
) -> None:
    made = {name: db.api_keys.create(name) for name in ("revoked", "expired", "rules")}
    tokens = {name: token_of(app, key.api_key) for name, key in made.items()}
    old = token_of(app, root)
    db.api_keys.revoke(made["revoked"].key_id)
    edit(db, made["expired"].key_id, expires_at=clock.now)
    edit(db, made["rules"].key_id, rules=({"/a/**": "cr......"},))
    signing = db.api_keys.signing_key()
    assert signing is not None
    claims = jwt.decode(old, signing, algorithms=["HS256"], issuer="aeordb")
    clock.now += HOUR

    def forged(change: dict[str, Any], key: bytes = signing, algorithm: str = "HS256") -> str:
        fresh = {**claims, "iat": clock.now // 1000, "exp": clock.now // 1000 + 60}
        whole = {name: value for name, value in {**fresh, **change}.items() if value is not None}
        return jwt.encode(whole, key, algorithm=algorithm)

    assert app("GET", "/auth/keys", forged({})).status_code == 200
    wrong = {
        "no header": None,
        "empty": "",
        "garbage": "garbage",
        "dots": "a.b.c",
        "bytes": "\u00e9\u00ff",
        "long": "x" * 5000,
        "wrong secret": root[:-1] + ("0" if root[-1] != "0" else "1"),
        "unknown key": "aeor_k_" + "0" * 16 + root[23:],
        "upper case": root.upper(),
        "with a blank": root + " x",
        "old token": old,
        "another signing key": forged({}, b"x" * 32),
        "another algorithm": forged({}, b"x" * 64, "HS512"),
        "another issuer": forged({"iss": "other"}),
        "another user": forged({"sub": made["rules"].user_id}),
        "unknown key id": forged({"key_id": made["rules"].user_id}),
        "key id of another type": forged({"key_id": 7}),
        "text as a time": forged({"exp": "9999999999"}),
        "a float as a time": forged({"exp": 9999999999.5}),
        "from the future": forged({"iat": clock.now // 1000 + 60}),
        **{f"no {name}": forged({name: None}) for name in claims},
        **{f"{name} key": key.api_key for name, key in made.items()},
        **{f"{name} key's token": token for name, token in tokens.items()},
    }
    head, payload, _ = forged({}).split(".")
    none = jwt.encode(claims, None, algorithm="none")
    wrong |= {"no algorithm": none, "no signature": f"{head}.{payload}."}
    answers = set()
    for name, credential in wrong.items():
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}".encode()}
        answer = app("GET", "/versions/snapshots", headers=headers)
        assert answer.status_code == 401, name
        answers.add((answer.text, answer.headers["www-authenticate"]))
    for header in (root, f"Basic {root}", f"Token {root}", "Bearer", f"Bearer\t{root}"):
        answer = app("GET", "/versions/snapshots", headers={"Authorization": header})
        assert answer.status_code == 401, header
        answers.add((answer.text, answer.headers["www-authenticate"]))
    assert len(answers) == 1
    [(text, challenge)] = answers
    assert json.loads(text)["error"]["code"] == "unauthorized"
    assert challenge.startswith("Bearer")


def test_what_else_a_header_may_look_like(app: App, root: str) -> None:
    for header in (f"bearer {root}", f"BEARER {root}", f"Bearer  {root}"):
        answer = app("GET", "/versions/snapshots", headers={"Authorization": header})
        assert answer.status_code == 200, header


def test_two_headers_are_none(app: App, root: str) -> None:
    import httpx

    twice = httpx.Headers([("Authorization", f"Bearer {root}")] * 2)
    request = httpx.Request("GET", "http://127.0.0.1/auth/keys", headers=twice)

    async def send() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app.app)) as client:
            return (await client.send(request)).status_code

    assert app.run(send) == 401


def test_a_user_who_is_not_active_any_more(fixture_copy: Callable[[str], Path]) -> None:
    said = manifest("system")
    key, user = said["second_key"]["api_key"], said["users"][0]
    with aeordb.open(fixture_copy("system")) as db, App(db) as app:
        assert app("GET", "/versions/snapshots", key).status_code == 200
        record = json.dumps({"$v": 0, **user, "is_active": False}).encode()
        with db.transaction() as tx:
            put_system_file(
                tx.writer, f"/.aeordb-system/users/{user['user_id']}", record, "application/json"
            )
        db.api_keys.changed()
        assert app("GET", "/versions/snapshots", key).status_code == 401


def test_tokens(app: App, root: str, db: aeordb.Database, clock: Clock) -> None:
    from_body = app("POST", "/auth/token", json={"api_key": root})
    assert from_body.status_code == 200
    assert (from_body.json()["token_type"], from_body.json()["expires_in"]) == ("Bearer", 3600)
    token = from_body.json()["token"]
    assert app("GET", "/auth/keys", token).status_code == 200
    assert app("POST", "/auth/token", token).status_code == 401, "a token gives no other token"
    for body in ({}, {"api_key": None}, {"api_key": "x"}, {"api_key": root[:-1]}):
        assert app("POST", "/auth/token", json=body).status_code == 401
    assert app("POST", "/auth/token", json={"api_key": 7}).status_code == 400
    assert app("POST", "/auth/token", json={"password": root}).status_code == 400
    assert app("POST", "/auth/token").status_code == 401
    clock.now += HOUR - 1000
    assert app("GET", "/auth/keys", token).status_code == 200
    clock.now += 1000
    assert app("GET", "/auth/keys", token).status_code == 401
    assert app("GET", "/auth/keys", root).status_code == 200
    short = db.api_keys.create(expires_at=clock.now + 90_500)
    answer = app("POST", "/auth/token", short.api_key).json()
    assert answer["expires_in"] in (90, 91)
    clock.now += 91_000
    assert app("GET", "/versions/snapshots", answer["token"]).status_code == 401


def test_a_token_outlives_the_server_but_not_its_signing_key(
    db: aeordb.Database, root: str
) -> None:
    with App(db) as first:
        token = token_of(first, root)
    with App(db) as second:
        assert second("GET", "/auth/keys", token).status_code == 200
    with db.transaction() as tx:
        path = "/.aeordb-system/config/jwt_signing_key"
        put_system_file(tx.writer, path, b"x" * 32, "application/octet-stream")
    with App(db) as third:
        assert third("GET", "/auth/keys", token).status_code == 401


def test_what_key_requests_are_refused(app: App, root: str, clock: Clock) -> None:
    for body, status in (
        ({"label": "x" * 256}, 400),
        ({"label": "a\nb"}, 400),
        ({"label": 7}, 400),
        ({"root": "yes"}, 400),
        ({"expires_at": clock.now - 1}, 400),
        ({"expires_at": 2**63}, 400),
        ({"expires_at": "soon"}, 400),
        ({"user_id": "be9a405d-aaeb-44c6-8747-857745537794"}, 404),
        ({"user_id": "../users/x"}, 404),
        ({"other": 1}, 400),
    ):
        assert app("POST", "/auth/keys", root, json=body).status_code == status, body
    assert app("POST", "/auth/keys", root, content=b"{").status_code == 400
    assert app("POST", "/auth/keys", root, content=b'{"label": "\\ud800"}').status_code == 400
    missing = "be9a405d-aaeb-44c6-8747-857745537794"
    for name in (missing, "x", "%2e%2e", root):
        answer = app("DELETE", f"/auth/keys/{name}", root)
        assert answer.status_code == 404, name
        assert root[24:] not in answer.text
    assert len(app("GET", "/auth/keys", root).json()["items"]) == 1


def test_a_key_is_checked_once(app: App, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id takes 20 ms and 19 MiB: what is known, or known to be wrong, is not checked again,
    and many requests with one key wait for the same check."""
    checks: list[str] = []
    real = access.matches

    def matches(key_hash: str, text: str) -> bool:
        checks.append(text)
        return real(key_hash, text)

    monkeypatch.setattr(access, "matches", matches)
    answers = app.together([("GET", "/versions/snapshots", root, {})] * 40)
    assert {answer.status_code for answer in answers} == {200}
    assert checks == [root]
    wrong = root[:-1] + ("0" if root[-1] != "0" else "1")
    for _ in range(2):
        answers = app.together([("GET", "/versions/snapshots", wrong, {})] * 40)
        assert {answer.status_code for answer in answers} == {401}
    assert checks == [root, wrong]


def test_a_flood_of_keys_is_answered_with_503_and_those_known_go_on(app: App, root: str) -> None:
    assert app("GET", "/versions/snapshots", root).status_code == 200
    flood: list[tuple[str, str, str | None, dict[str, Any]]] = [
        ("GET", "/versions/snapshots", f"aeor_k_{number:016x}_{number:064x}", {})
        for number in range(200)
    ]
    answers = app.together([*flood, *[("GET", "/versions/snapshots", root, {})] * 20])
    assert {answer.status_code for answer in answers[200:]} == {200}
    busy = [answer for answer in answers[:200] if answer.status_code == 503]
    assert {answer.status_code for answer in answers[:200]} == {401, 503}
    assert all(answer.headers["retry-after"] for answer in busy)


def test_what_was_revoked_while_it_was_checked_is_refused(
    app: App, db: aeordb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = db.api_keys.create()
    real = access.matches

    def matches(key_hash: str, text: str) -> bool:
        db.api_keys.revoke(made.key_id)
        return real(key_hash, text)

    monkeypatch.setattr(access, "matches", matches)
    assert app("GET", "/versions/snapshots", made.api_key).status_code == 401


def test_only_health_is_open(app: App, root: str) -> None:
    for path in (
        "/",
        "/openapi.json",
        "/docs",
        "/nothing",
        "/system/stats",
        "/files/",
        "/auth/keys",
    ):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "TRACE"):
            assert app(method, path).status_code == 401, (method, path)
    assert app("GET", "/system/health").status_code == 200
    assert app("GET", "/system/health", "wrong").status_code == 200


def test_without_keys_a_foreign_page_is_refused(db: aeordb.Database) -> None:
    with App(db, auth="disabled") as app:
        assert app("GET", "/auth/keys").status_code == 200
        assert app("GET", "/auth/keys", "any text").status_code == 200
        assert app("POST", "/auth/token").status_code == 401, "no key, no token"
        for headers, status in (
            ({"Origin": "http://127.0.0.1:6830"}, 200),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "none"}, 200),
            ({"Host": "localhost:6830"}, 200),
            ({"Host": "[::1]:6830"}, 200),
            ({"Host": "evil.example:6830"}, 403),
            ({"Host": "127.0.0.1.evil.example"}, 403),
            ({"Host": "127.0.0.1@evil.example"}, 403),
            ({"Host": "[::1"}, 403),
        ):
            assert app("GET", "/auth/keys", headers=headers).status_code == status, headers
    with App(db, auth="disabled", host="0.0.0.0", insecure=True) as app:
        assert app("GET", "/auth/keys", headers={"Host": "box.lan"}).status_code == 200
        foreign = {"Host": "box.lan", "Origin": "http://evil.example"}
        assert app("GET", "/auth/keys", headers=foreign).status_code == 403


def test_without_keys_only_this_machine_may_come_in() -> None:
    for host in ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"):
        assert Settings("x", host=host, auth="disabled").check().host == host
    for host in ("0.0.0.0", "::", "", "0", "10.0.0.1", "127.0.0.1.evil.example", "example.org"):
        assert Settings("x", host=host).check().auth == "self"
        assert Settings("x", host=host, auth="disabled", insecure=True).check().insecure
        with pytest.raises(UsageError, match="without keys"):
            Settings("x", host=host, auth="disabled").check()
