"""The root key: made once, kept as an argon2id hash, shown to its owner only (FORMAT.md 7)."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from aeordb.format.errors import FormatError
from aeordb.format.system import (
    API_KEYS,
    KEY_SECRET_LENGTH,
    ROOT_USER,
    ApiKey,
    key_prefix,
    make_key_text,
    parse_key_text,
)
from aeordb.storage.protocols import Reader, Writer
from aeordb.versions.system import put_system_file, system_files

ROOT_LABEL = "root-bootstrap"
_LIFETIME_MS = 2 * 365 * 86_400_000
_JSON = "application/json"
# AeorDB's parameters: 19 MiB, two passes, one lane.
_MEMORY_KIB, _PASSES, _LANES = 19_456, 2, 1


def create_root_key(writer: Writer) -> str:
    """Adds a new root key; its text, which is kept nowhere."""
    from argon2 import PasswordHasher

    now = time.time_ns()
    key_id = str(uuid.uuid4())
    text = make_key_text(key_id, secrets.token_bytes(KEY_SECRET_LENGTH))
    hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
    created = datetime.fromtimestamp(now // 1_000_000_000, UTC)
    key = ApiKey(
        key_id=key_id,
        key_hash=hasher.hash(text),
        user_id=ROOT_USER,
        created_at=f"{created:%Y-%m-%dT%H:%M:%S}.{now % 1_000_000_000:09}Z",
        expires_at=now // 1_000_000 + _LIFETIME_MS,
        label=ROOT_LABEL,
    )
    put_system_file(writer, key.path, key.encode(), _JSON)
    return text


def revoke_root_keys(writer: Writer) -> int:
    """Revokes every root key there is; how many."""
    keys = [key for key in api_keys(writer) if key.is_root and not key.is_revoked]
    for key in keys:
        put_system_file(writer, key.path, replace(key, is_revoked=True).encode(), _JSON)
    return len(keys)


def has_root_key(reader: Reader) -> bool:
    """Whether the database has a root key that is not revoked."""
    return any(key.is_root and not key.is_revoked for key in api_keys(reader))


def is_root_key(reader: Reader, text: str) -> bool:
    """Whether the text is a valid root key of this database: not revoked, not expired."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        prefix = parse_key_text(text)
    except FormatError:
        return False
    now = time.time_ns() // 1_000_000
    for key in api_keys(reader):
        if not key.is_root or key.is_revoked or key.expires_at <= now:
            continue
        if key_prefix(key.key_id) != prefix:
            continue
        try:
            return PasswordHasher().verify(key.key_hash, text)
        except (Argon2Error, InvalidHashError):
            return False
    return False


def api_keys(reader: Reader) -> Iterator[ApiKey]:
    """The database's API keys; files in their folder that are none are passed over."""
    for _, data in system_files(reader, API_KEYS):
        try:
            yield ApiKey.decode(data)
        except FormatError:
            continue
