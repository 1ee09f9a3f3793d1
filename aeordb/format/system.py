"""System files as JSON: API key records, and the text of an API key (FORMAT.md 7)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from aeordb.format import constants as c
from aeordb.format.errors import FormatError, VersionError

JSON_VERSION = 0
ROOT_USER = "00000000-0000-0000-0000-000000000000"
API_KEYS = f"{c.SYSTEM_ROOT}/api-keys"
USERS = f"{c.SYSTEM_ROOT}/users"
SIGNING_KEY = f"{c.SYSTEM_ROOT}/config/jwt_signing_key"
CRON = f"{c.CONFIG_ROOT}/cron.json"
KEY_SECRET_LENGTH = 32
T = TypeVar("T")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY_TEXT = re.compile(r"aeor_k_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key's record; the key text itself is only known as its argon2id hash.

    `created_at` is RFC 3339 text, `expires_at` milliseconds since 1970 UTC, `key_hash` a PHC string
    over the whole key text, `rules` JSON values as they were found.
    """

    key_id: str
    key_hash: str
    user_id: str
    created_at: str
    expires_at: int
    is_revoked: bool = False
    label: str | None = None
    rules: tuple[Any, ...] = ()

    @property
    def path(self) -> str:
        """Where the record's file lies."""
        return f"{API_KEYS}/{self.key_id}"

    @property
    def is_root(self) -> bool:
        """True for a root key."""
        return self.user_id == ROOT_USER

    def encode(self) -> bytes:
        """The file's bytes: compact JSON, names sorted."""
        if _UUID.fullmatch(self.key_id) is None or _UUID.fullmatch(self.user_id) is None:
            raise FormatError("API key: key_id and user_id must be lower case UUIDs")
        return encode_json(
            {
                "key_id": self.key_id,
                "key_hash": self.key_hash,
                "user_id": self.user_id,
                "created_at": self.created_at,
                "expires_at": self.expires_at,
                "is_revoked": self.is_revoked,
                "label": self.label,
                "rules": list(self.rules),
            }
        )

    @staticmethod
    def decode(data: bytes) -> ApiKey:
        """The record in a file's bytes; names that we do not know are passed over."""
        fields = decode_json(data)
        label = fields.get("label")
        rules = fields.get("rules") or []
        if not (label is None or isinstance(label, str)) or not isinstance(rules, list):
            raise FormatError("API key: label or rules have the wrong type")
        return ApiKey(
            key_id=_field(fields, "key_id", str),
            key_hash=_field(fields, "key_hash", str),
            user_id=_field(fields, "user_id", str),
            created_at=_field(fields, "created_at", str),
            expires_at=_field(fields, "expires_at", int),
            is_revoked=_field(fields, "is_revoked", bool),
            label=label,
            rules=tuple(rules),
        )


def _field(fields: dict[str, Any], name: str, kind: type[T]) -> T:
    value = fields.get(name)
    if type(value) is not kind:  # bool is an int, but not here
        raise FormatError(f"system file: {name} is missing or not of type {kind.__name__}")
    return value


def encode_json(fields: dict[str, Any]) -> bytes:
    """A system file's bytes: `fields` and `"$v": 0`, compact, names sorted as AeorDB does."""
    try:
        whole = {"$v": JSON_VERSION, **fields}
        text = json.dumps(
            whole, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        return text.encode()
    except (TypeError, ValueError) as error:
        raise FormatError(f"system file: {error}") from None


def decode_json(data: bytes) -> dict[str, Any]:
    """A system file's fields without `$v`; VersionError for another `$v` than 0."""
    try:
        fields = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"system file is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise FormatError("system file is not a JSON object")
    version = fields.pop("$v", JSON_VERSION)
    if type(version) is not int or version != JSON_VERSION:
        raise VersionError(f"system file of version {version!r}, only {JSON_VERSION} is supported")
    return fields


def make_key_text(key_id: str, secret: bytes) -> str:
    """The text of an API key: `aeor_k_`, 16 hex digits of the key id, `_`, the secret in hex."""
    if _UUID.fullmatch(key_id) is None:
        raise FormatError("key id is not a lower case UUID")
    if len(secret) != KEY_SECRET_LENGTH:
        raise FormatError(f"key secret of {len(secret)} bytes, expected {KEY_SECRET_LENGTH}")
    return f"aeor_k_{key_prefix(key_id)}_{secret.hex()}"


def key_prefix(key_id: str) -> str:
    """The first 16 hex digits of a key id, as they stand in the key's text."""
    return key_id.replace("-", "")[:16]


def parse_key_text(text: str) -> str:
    """The key id's first 16 hex digits in a key text; the FormatError never holds the text."""
    match = _KEY_TEXT.fullmatch(text)
    if match is None:
        raise FormatError("not an API key: expected aeor_k_<16 hex digits>_<64 hex digits>")
    return match[1]
