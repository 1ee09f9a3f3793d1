"""The root key, as methods of :class:`Database`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from aeordb.database import access
from aeordb.errors import UsageError

if TYPE_CHECKING:
    from aeordb.database.keys import ApiKeys
    from aeordb.database.transaction import Transaction
    from aeordb.storage.view import View

T = TypeVar("T")


class RootKeys:
    """The part of :class:`Database` that makes root keys and knows them again."""

    api_keys: ApiKeys

    def reader(self) -> View:
        """The view that is read (of the class that this is mixed into)."""
        raise NotImplementedError

    def run_alone(self, operation: Callable[[Transaction], T]) -> T:
        """Runs one operation and commits it (of that class too)."""
        raise NotImplementedError

    def create_root_key(self) -> str:
        """Makes a root key; its text, which is shown this once. UsageError if there is one."""

        def create(tx: Transaction) -> str:
            if access.has_root_key(tx.writer):
                raise UsageError(
                    "the database has a root key", hint="`aeordb emergency-reset` makes a new one."
                )
            return access.create_root_key(tx.writer)

        text = self.run_alone(create)
        self.api_keys.changed()
        return text

    def emergency_reset(self) -> str:
        """Revokes all root keys and makes a new one; its text, which is shown this once."""

        def reset(tx: Transaction) -> str:
            access.revoke_root_keys(tx.writer)
            return access.create_root_key(tx.writer)

        text = self.run_alone(reset)
        self.api_keys.changed()
        return text

    def is_root_key(self, text: str) -> bool:
        """Whether the text is this database's root key."""
        return access.is_root_key(self.reader(), text)
