"""API keys: kept as an argon2id hash, their text shown once, to the owner only (FORMAT.md 7)."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from aeordb.errors import DamagedError
from aeordb.format.errors import FormatError
from aeordb.format.system import (
    API_KEYS,
    KEY_SECRET_LENGTH,
    ROOT_USER,
    SIGNING_KEY,
    USERS,
    ApiKey,
    decode_json,
    key_prefix,
    make_key_text,
    parse_key_text,
)
from aeordb.storage.protocols import Reader, Writer
from aeordb.versions.system import put_system_file, read_system_file, system_files

ROOT_LABEL = "root-bootstrap"
SIGNING_KEY_LENGTH = 32
_LIFETIME_MS = 2 * 365 * 86_400_000
_JSON = "application/json"
# AeorDB's parameters: 19 MiB, two passes, one lane.
_MEMORY_KIB, _PASSES, _LANES = 19_456, 2, 1
# What a record may ask for at most: checking a key must not take the machine down.
_MEMORY_KIB_MAX, _PASSES_MAX, _LANES_MAX = 262_144, 16, 16


def create_root_key(writer: Writer) -> str:
    """Adds a new root key; its text, which is kept nowhere."""
    key, text = make_key(user_id=ROOT_USER, label=ROOT_LABEL)
    put_key(writer, key)
    return text


def make_key(
    *, user_id: str, label: str | None, expires_at: int | None = None
) -> tuple[ApiKey, str]:
    """A new key's record, and its text, which is kept nowhere.

    `expires_at` in milliseconds since 1970 UTC; None: in two years, as AeorDB has it.
    """
    from argon2 import PasswordHasher

    now = time.time_ns()
    key_id = str(uuid.uuid4())
    text = make_key_text(key_id, secrets.token_bytes(KEY_SECRET_LENGTH))
    hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
    created = datetime.fromtimestamp(now // 1_000_000_000, UTC)
    key = ApiKey(
        key_id=key_id,
        key_hash=hasher.hash(text),
        user_id=user_id,
        created_at=f"{created:%Y-%m-%dT%H:%M:%S}.{now % 1_000_000_000:09}Z",
        expires_at=now // 1_000_000 + _LIFETIME_MS if expires_at is None else expires_at,
        label=label,
    )
    return key, text


def put_key(writer: Writer, key: ApiKey) -> None:
    """Writes a key's record, in place of an older one if there is one."""
    put_system_file(writer, key.path, key.encode(), _JSON)


def revoke_key(writer: Writer, key: ApiKey) -> ApiKey:
    """Marks a key's record as revoked; the record stays."""
    revoked = replace(key, is_revoked=True)
    put_key(writer, revoked)
    return revoked


def revoke_root_keys(writer: Writer) -> int:
    """Revokes every root key there is; how many."""
    keys = [key for key in api_keys(writer) if key.is_root and not key.is_revoked]
    for key in keys:
        revoke_key(writer, key)
    return len(keys)


def has_root_key(reader: Reader) -> bool:
    """Whether the database has a root key that is not revoked."""
    return any(key.is_root and not key.is_revoked for key in api_keys(reader))


def is_root_key(reader: Reader, text: str) -> bool:
    """Whether the text is a valid root key of this database: not revoked, not expired."""
    try:
        prefix = parse_key_text(text)
    except FormatError:
        return False
    now = time.time_ns() // 1_000_000
    return any(
        key.is_root
        and key_prefix(key.key_id) == prefix
        and is_usable(key, now)
        and matches(key.key_hash, text)
        for key in api_keys(reader)
    )


def is_usable(key: ApiKey, now: int) -> bool:
    """Whether a key is neither revoked nor expired (`now` in milliseconds), and has no rules:
    AeorDB's rules narrow a key down, ours knows none of them and must not widen it."""
    return not key.is_revoked and now < key.expires_at and not key.rules


def matches(key_hash: str, text: str) -> bool:
    """Whether an argon2id hash (PHC string) is this text's. Takes time and memory as it says."""
    from argon2 import PasswordHasher, extract_parameters
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        asked = extract_parameters(key_hash)
        if (
            asked.memory_cost > _MEMORY_KIB_MAX
            or asked.time_cost > _PASSES_MAX
            or asked.parallelism > _LANES_MAX
        ):
            return False
        return PasswordHasher().verify(key_hash, text)
    except (Argon2Error, InvalidHashError):
        return False


@cache
def decoy_hash() -> str:
    """A hash that no key text has: checking against it takes as long as against a real one."""
    from argon2 import PasswordHasher

    hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
    return hasher.hash(secrets.token_bytes(KEY_SECRET_LENGTH))


def api_keys(reader: Reader) -> Iterator[ApiKey]:
    """The database's API keys; files in their folder that are none are passed over."""
    for _, data in system_files(reader, API_KEYS):
        try:
            yield ApiKey.decode(data)
        except FormatError:
            continue


def users(reader: Reader) -> dict[str, bool]:
    """AeorDB's users by id, and whether each is active; what cannot be read is not active."""
    found = {}
    for path, data in system_files(reader, USERS):
        try:
            active = decode_json(data).get("is_active") is True
        except FormatError:
            active = False
        found[path.rpartition("/")[2]] = active
    return found


def signing_key(reader: Reader) -> bytes | None:
    """The key that signs tokens, or None where there is none yet. Raises DamagedError."""
    data = read_system_file(reader, SIGNING_KEY)
    if data is not None and len(data) != SIGNING_KEY_LENGTH:
        raise DamagedError(
            path=SIGNING_KEY, reason=f"the signing key has {len(data)} bytes, not 32"
        )
    return data


def create_signing_key(writer: Writer) -> bytes:
    """The key that signs tokens, made if there is none."""
    known = signing_key(writer)
    if known is not None:
        return known
    made = secrets.token_bytes(SIGNING_KEY_LENGTH)
    put_system_file(writer, SIGNING_KEY, made, "application/octet-stream")
    return made
