"""API keys: made, listed, revoked; AeorDB's work as ours do."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
from aeordb.database import access
from aeordb.errors import DamagedError, NotFoundError, UsageError
from aeordb.format.system import API_KEYS, ROOT_USER
from aeordb.versions.system import put_system_file, system_files
from tests.kit.fixtures import fixture_path, manifest
from tests.kit.rules import assert_file

DAY = 86_400_000


def now() -> int:
    return time.time_ns() // 1_000_000


def test_keys_that_aeordb_made_are_known() -> None:
    said = manifest("system")
    with aeordb.open(fixture_path("system"), "r") as db:
        root, second = db.api_keys.list()
        assert (root.is_root, root.user_id, root.label) == (True, ROOT_USER, "root-bootstrap")
        assert (second.is_root, second.key_id) == (False, said["second_key"]["key_id"])
        assert second.user_id == said["second_key"]["user_id"]
        by_id = {key.key_id: key for key in db.api_keys.records()}
        assert access.matches(by_id[root.key_id].key_hash, said["root_key"])
        assert access.matches(by_id[second.key_id].key_hash, said["second_key"]["api_key"])
        assert not access.matches(by_id[second.key_id].key_hash, said["root_key"])
        assert db.api_keys.active_users() == {user["user_id"]: True for user in said["users"]}


def test_our_records_look_like_aeordb_s(db: aeordb.Database) -> None:
    """So that a key made here works there: the same fields, of the same types, hashed alike."""
    db.create_root_key()
    made = db.api_keys.create()
    with aeordb.open(fixture_path("system"), "r") as other:
        theirs = dict(system_files(other.reader(), API_KEYS))
    ours = dict(system_files(db.reader(), API_KEYS))
    shapes = {
        frozenset((name, type(value)) for name, value in json.loads(data).items())
        for data in (*theirs.values(), ours[f"{API_KEYS}/{made.key_id}"])
        if json.loads(data)["label"] is None
    }
    assert len(shapes) == 1
    hashes = [json.loads(data)["key_hash"] for data in (*theirs.values(), *ours.values())]
    assert {text.rsplit("$", 2)[0] for text in hashes} == {"$argon2id$v=19$m=19456,t=2,p=1"}
    assert {len(text) for text in hashes} == {len(hashes[0])}
    times = [json.loads(data)["created_at"] for data in (*theirs.values(), *ours.values())]
    assert {len(text) for text in times} == {len("2026-11-23T14:21:54.822953463Z")}


def test_a_key_is_made_listed_and_revoked(db: aeordb.Database) -> None:
    db.create_root_key()
    head = db.head
    made = db.api_keys.create("backup job")
    assert made.api_key not in repr(made)
    assert made.user_id != ROOT_USER
    assert abs(made.expires_at - now() - 730 * DAY) < DAY
    listed = {key.key_id: key for key in db.api_keys.list()}
    assert listed[made.key_id].label == "backup job"
    assert not db.is_root_key(made.api_key)
    assert db.api_keys.revoke(made.key_id.upper()).is_revoked
    assert db.api_keys.revoke(made.key_id).is_revoked, "twice is no error"
    assert {key.key_id: key.is_revoked for key in db.api_keys.list()}[made.key_id]
    assert db.head == head
    assert made.api_key[24:].encode() not in Path(db.path).read_bytes()


def test_each_change_is_seen_in_the_generation(db: aeordb.Database) -> None:
    seen = [db.api_keys.generation]
    for change in (
        db.create_root_key,
        lambda: db.api_keys.create(root=True),
        lambda: db.api_keys.revoke(db.api_keys.list()[0].key_id),
        db.emergency_reset,
    ):
        change()
        seen.append(db.api_keys.generation)
    assert seen == sorted(set(seen))


def test_the_last_root_key_stays(db: aeordb.Database) -> None:
    db.create_root_key()
    [first] = db.api_keys.list()
    with pytest.raises(UsageError, match="last root key"):
        db.api_keys.revoke(first.key_id)
    second = db.api_keys.create(root=True)
    assert db.is_root_key(second.api_key)
    db.api_keys.revoke(first.key_id)
    with pytest.raises(UsageError, match="last root key"):
        db.api_keys.revoke(second.key_id)
    assert db.is_root_key(second.api_key)


def test_what_is_refused(db: aeordb.Database) -> None:
    for label in ("x" * 256, "a\nb", "\0", "\ud800", "a\u202eb"):
        with pytest.raises(UsageError, match="label"):
            db.api_keys.create(label)
    for expires_at in (0, -1, now() - 1, 2**53):
        with pytest.raises(UsageError, match="expires_at"):
            db.api_keys.create(expires_at=expires_at)
    with pytest.raises(UsageError, match="no user"):
        db.api_keys.create(root=True, user_id="be9a405d-aaeb-44c6-8747-857745537794")
    with pytest.raises(NotFoundError, match="active user"):
        db.api_keys.create(user_id="be9a405d-aaeb-44c6-8747-857745537794")
    with pytest.raises(NotFoundError):
        db.api_keys.revoke("be9a405d-aaeb-44c6-8747-857745537794")
    assert db.api_keys.list() == []


def test_a_key_given_as_an_id_does_not_come_back_in_the_error(db: aeordb.Database) -> None:
    text = db.create_root_key()
    with pytest.raises(NotFoundError) as caught:
        db.api_keys.revoke(text)
    assert text[24:] not in f"{caught.value} {caught.value.to_json()}"


def test_a_key_for_an_active_user_only(fixture_copy: Callable[[str], Path]) -> None:
    path = fixture_copy("system")
    alice, bob = manifest("system")["users"]
    with aeordb.open(path) as db:
        assert db.api_keys.create(user_id=alice["user_id"]).user_id == alice["user_id"]
        record = json.dumps({"$v": 0, **bob, "is_active": False}).encode()
        with db.transaction() as tx:
            put_system_file(
                tx.writer, f"/.aeordb-system/users/{bob['user_id']}", record, "application/json"
            )
        with pytest.raises(NotFoundError, match="active user"):
            db.api_keys.create(user_id=bob["user_id"])
    assert_file(path)


def test_the_signing_key_is_made_once_and_aeordb_s_is_kept(
    db: aeordb.Database, fixture_copy: Callable[[str], Path]
) -> None:
    assert db.api_keys.signing_key() is None
    made = db.api_keys.make_signing_key()
    assert len(made) == 32
    assert db.api_keys.make_signing_key() == db.api_keys.signing_key() == made
    with aeordb.open(fixture_copy("system")) as other:
        known = other.api_keys.signing_key()
        assert known is not None
        assert other.api_keys.make_signing_key() == known


def test_a_signing_key_of_another_length_is_damage(db: aeordb.Database) -> None:
    with db.transaction() as tx:
        path = "/.aeordb-system/config/jwt_signing_key"
        put_system_file(tx.writer, path, b"short", "application/octet-stream")
    with pytest.raises(DamagedError, match="5 bytes"):
        db.api_keys.make_signing_key()


def test_a_hash_that_asks_for_too_much_is_never_computed() -> None:
    salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
    for asked in ("m=4194304,t=2,p=1", "m=19456,t=1000000,p=1", "m=19456,t=2,p=200"):
        assert not access.matches(f"$argon2id$v=19${asked}${salt_and_hash}", "text")
    for broken in ("", "$argon2id$", "text", "$argon2id$v=19$m=19456,t=2,p=1$$"):
        assert not access.matches(broken, "text")
