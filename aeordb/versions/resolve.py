"""The one place that turns what a user calls a version into its root."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Protocol

from aeordb.errors import NotFoundError, UsageError, quote
from aeordb.format import constants as c
from aeordb.format.page import IndexRecord
from aeordb.versions.names import FORK, HEAD, SNAPSHOT, Names, find_name, list_names

PREFIX_MIN = 8
_HEX = frozenset(string.hexdigits)


class Keys(Names, Protocol):
    """A reader that finds keys by how they begin."""

    def keys_with_prefix(self, prefix: bytes) -> list[IndexRecord]:
        """The live records whose keys begin with these bytes (4 or more)."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version that was asked for: its root, and the name by which it was found.

    `kind` is `head`, `snapshot`, `fork` or `hash`; `created` in milliseconds where a name has it.
    """

    root: bytes
    kind: str
    name: str
    created: int | None = None


def resolve(reader: Keys, text: str) -> Version:
    """The version that `text` means: HEAD, a snapshot, a fork, a hash, or the beginning of one.

    A hash prefix has 8 hex digits or more and must mean one version only. Where a name looks like
    a hash, the name wins. Raises NotFoundError, UsageError (ambiguous).
    """
    if text == HEAD:
        return Version(reader.head, "head", HEAD)
    for kind in (SNAPSHOT, FORK):
        named = find_name(reader, kind, text)
        if named is not None:
            return Version(named.root, kind.noun, text, named.created)
    if len(text) < PREFIX_MIN or len(text) > 2 * c.HASH_LENGTH or not _HEX.issuperset(text):
        raise NotFoundError(what="version", name=text)
    digits = text.lower()
    if len(digits) == 2 * c.HASH_LENGTH:
        key = bytes.fromhex(digits)
        entry = reader.read(key)
        if key != reader.head and (entry is None or entry.type != c.ENTRY_DIRECTORY):
            raise NotFoundError(what="version", name=text)
        return Version(key, "hash", digits)
    return Version(_by_prefix(reader, digits), "hash", digits)


def _by_prefix(reader: Keys, digits: str) -> bytes:
    """The one root that begins so; roots that have a name come before mere directories."""
    roots = {reader.head}
    for kind in (SNAPSHOT, FORK):
        roots.update(named.root for named in list_names(reader, kind))
    found = {root for root in roots if root.hex().startswith(digits)}
    if not found:
        whole = bytes.fromhex(digits[: len(digits) // 2 * 2])
        found = {
            record.key
            for record in reader.keys_with_prefix(whole)
            if record.kv & c.KV_TYPE_MASK == c.KV_DIRECTORY and record.key.hex().startswith(digits)
        }
    if not found:
        raise NotFoundError(what="version", name=digits)
    if len(found) > 1:
        raise UsageError(
            f"{quote(digits)} is the beginning of {len(found)} hashes", hint="Give more digits."
        )
    return found.pop()
