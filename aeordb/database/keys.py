"""`db.api_keys`: API keys, for the server and whoever manages them."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

from aeordb.database import access
from aeordb.database.results import Key, NewKey
from aeordb.database.transaction import Transaction
from aeordb.errors import NotFoundError, UsageError
from aeordb.format.system import ROOT_USER, ApiKey

if TYPE_CHECKING:
    from aeordb.database.database import Database

LABEL_MAX = 255
_EXPIRES_MAX = 2**53 - 1  # JSON numbers are exact up to here
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ApiKeys:
    """API keys: whoever shows a key's text may do what the key may.

    `generation` grows with every change made through this handle: what others hold of the keys is
    right as long as it stays the same. Set after the commit, before the change is answered.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self.generation = 0

    def list(self) -> list[Key]:
        """All keys, the oldest first, revoked and expired ones too."""
        found = sorted(self.records(), key=lambda key: (key.created_at, key.key_id))
        return [_key(key) for key in found]

    def records(self) -> tuple[ApiKey, ...]:
        """All keys as they are stored, with their hashes (for the layers of aeordb)."""
        return tuple(access.api_keys(self._db.reader()))

    def active_users(self) -> dict[str, bool]:
        """AeorDB's users by id, and whether each is active."""
        return access.users(self._db.reader())

    def create(
        self,
        label: str | None = None,
        *,
        root: bool = False,
        user_id: str | None = None,
        expires_at: int | None = None,
    ) -> NewKey:
        """Makes a key; the answer is the only place where its text ever stands.

        Args:
            label: at most 255 bytes of printable text.
            root: whether it may do what needs a root key.
            user_id: the AeorDB user it is for; else a new id that no other key has.
            expires_at: milliseconds since 1970 UTC; else in two years.

        Raises UsageError, NotFoundError (no such active user).
        """
        _check_label(label)
        now = time.time_ns() // 1_000_000
        if expires_at is not None and not now < expires_at <= _EXPIRES_MAX:
            raise UsageError("expires_at is not in the future", hint="It is in milliseconds.")
        if root and user_id not in (None, ROOT_USER):
            raise UsageError("a root key is for no user", hint="Leave out user_id, or root.")

        if user_id not in (None, ROOT_USER) and _UUID.fullmatch(user_id) is None:
            raise NotFoundError("no active user of this id", what="active user")
        user = ROOT_USER if root else user_id or str(uuid.uuid4())
        # Hashing takes a while: no writer shall wait for it.
        key, text = access.make_key(user_id=user, label=label, expires_at=expires_at)

        def run(tx: Transaction) -> None:
            if user_id not in (None, ROOT_USER) and not access.users(tx.writer).get(user):
                raise NotFoundError(what="active user", name=user)
            access.put_key(tx.writer, key)

        self._db.run_alone(run)
        self.changed()
        return NewKey(
            api_key=text,
            key_id=key.key_id,
            user_id=key.user_id,
            label=key.label,
            created_at=key.created_at,
            expires_at=key.expires_at,
        )

    def revoke(self, key_id: str) -> Key:
        """Makes a key useless for ever, at once; a revoked one stays so.

        Raises NotFoundError, UsageError (the last root key that works).
        """
        wanted = key_id.lower()
        if _UUID.fullmatch(wanted) is None:
            # What was given may be a key's text: it must not come back in a message.
            raise NotFoundError("no API key of this id", what="API key", hint="An id is a UUID.")

        def run(tx: Transaction) -> ApiKey:
            keys = {key.key_id: key for key in access.api_keys(tx.writer)}
            key = keys.get(wanted)
            if key is None:
                raise NotFoundError(what="API key", name=wanted)
            if key.is_revoked:
                return key
            now = time.time_ns() // 1_000_000
            others = (other for other in keys.values() if other.is_root and other is not key)
            if key.is_root and not any(access.is_usable(other, now) for other in others):
                raise UsageError(
                    "this is the last root key that works",
                    hint="Make another one first, or replace it: aeordb emergency-reset",
                )
            return access.revoke_key(tx.writer, key)

        key = self._db.run_alone(run)
        self.changed()
        return _key(key)

    def signing_key(self) -> bytes | None:
        """The 32 bytes that sign tokens, or None where none were ever made."""
        return access.signing_key(self._db.reader())

    def make_signing_key(self) -> bytes:
        """The 32 bytes that sign tokens, made and committed if there are none."""
        known = self.signing_key()
        if known is not None:
            return known
        made = self._db.run_alone(lambda tx: access.create_signing_key(tx.writer))
        self.changed()
        return made

    def changed(self) -> None:
        """Says that something about keys was committed."""
        self.generation += 1


def _check_label(label: str | None) -> None:
    if label is None:
        return
    if not label.isprintable() or len(label.encode(errors="replace")) > LABEL_MAX:
        raise UsageError(
            f"a label is printable text of at most {LABEL_MAX} bytes", hint="Choose another one."
        )


def _key(key: ApiKey) -> Key:
    return Key(
        key_id=key.key_id,
        user_id=key.user_id,
        label=key.label,
        created_at=key.created_at,
        expires_at=key.expires_at,
        is_root=key.is_root,
        is_revoked=key.is_revoked,
    )
