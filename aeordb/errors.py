"""The errors of aeordb: one small tree, each class with a stable code and an exit code.

An error carries its facts as fields, so that the command line, the server and callers need not
read its text. Every fact is a keyword argument; left out, it is None and does not show. Where no
message is given, the class makes one of its facts. `str(error)` is the message and, on a second
line, the hint: what to do next. Errors survive pickling: worker processes raise them.
"""

import os
from typing import Any, ClassVar

StrPath = str | os.PathLike[str]


def quote(name: str) -> str:
    """Puts a path or name in quotes, its control and unprintable characters as escapes."""
    text = "".join(ch if ch.isprintable() and ch != "\\" else _escape(ch) for ch in name)
    return f"'{text}'"


def _escape(ch: str) -> str:
    return ch.encode("unicode_escape").decode("ascii")


def _text(path: StrPath | None) -> str | None:
    return None if path is None else os.fspath(path)


class AeorDBError(Exception):
    """The base of all: anything without a code of its own.

    `message` says what happened, `hint` what to do next (perhaps empty), `facts` holds the fields
    that are known, by name.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    message: str
    hint: str
    facts: dict[str, Any]

    def __init__(self, message: str = "", *, hint: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message or self.code.replace("_", " ")
        self.hint = hint
        self.facts = {name: value for name, value in facts.items() if value is not None}
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args), self.__dict__

    def to_json(self) -> dict[str, Any]:
        """The error as the command line and the server print it: hashes and keys in hex."""
        facts = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in self.facts.items()
        }
        hint = {"hint": self.hint} if self.hint else {}
        return {"code": self.code, "message": self.message, **hint, **facts}


def _restore(cls: type[AeorDBError], args: tuple[Any, ...]) -> AeorDBError:
    return cls.__new__(cls, *args)


class UsageError(AeorDBError):
    """Wrong flags or arguments, or a call that makes no sense."""

    code = "usage"
    exit_code = 2


class PathError(UsageError, ValueError):
    """A path or a name that is refused; `reason` says which rule it breaks."""

    path: str
    reason: str

    def __init__(self, message: str = "", *, path: str, reason: str, hint: str = "") -> None:
        message = message or f"{quote(path)} is refused: {reason}"
        super().__init__(message, hint=hint, path=path, reason=reason)


class IncompleteError(AeorDBError):
    """Done, but with losses or skipped parts."""

    code = "incomplete"
    exit_code = 3


class NotADatabaseError(AeorDBError):
    """The file is missing, is no AeorDB file, or is of a kind or version that cannot be opened."""

    code = "not_a_database"
    exit_code = 10

    path: str | None
    reason: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: StrPath | None = None,
        reason: str | None = None,
        hint: str = "",
    ) -> None:
        name = quote(os.fspath(path)) if path is not None else "the file"
        message = message or f"{name} is not an AeorDB database" + (f": {reason}" if reason else "")
        super().__init__(message, hint=hint, path=_text(path), reason=reason)


class LockedError(AeorDBError):
    """Another process has the lock; `pid` is its process id, where the system tells.

    `readers`: it is not a writer, but so many views that stand in the way of the writer.
    """

    code = "locked"
    exit_code = 11

    path: str | None
    pid: int | None
    readers: int | None

    def __init__(
        self,
        message: str = "",
        *,
        path: StrPath | None = None,
        pid: int | None = None,
        readers: int | None = None,
        hint: str = "",
    ) -> None:
        name = quote(os.fspath(path)) if path is not None else "the database"
        holder = f"process {pid}" if pid is not None else "another process"
        why = f"{holder} is writing to it" if readers is None else f"{readers} readers have it open"
        super().__init__(
            message or f"{name} is locked: {why}",
            hint=hint or "Wait until it is done, or stop it, then try again.",
            path=_text(path),
            pid=pid,
            readers=readers,
        )


class UnauthorizedError(AeorDBError):
    """The root key is missing or wrong."""

    code = "unauthorized"
    exit_code = 12


class BaseMismatchError(AeorDBError):
    """A patch for another base than HEAD; both hashes are fields."""

    code = "base_mismatch"
    exit_code = 13

    head: bytes
    base: bytes

    def __init__(self, message: str = "", *, head: bytes, base: bytes, hint: str = "") -> None:
        super().__init__(
            message
            or f"Target database HEAD ({head.hex()}) does not match "
            f"patch base version ({base.hex()}).",
            hint=hint or "Use --force to apply anyway.",
            head=head,
            base=base,
        )


class DamagedError(AeorDBError):
    """A hash, an address or a structure in the file does not hold.

    `key` is the entry's index key, `entry_type` its type (FORMAT.md, entries), `offset` the byte
    in the file, `path` the file or folder that it was read for, `missing` how many entries are not
    there, where that was counted.
    """

    code = "damaged"
    exit_code = 14

    key: bytes | None
    entry_type: int | None
    offset: int | None
    reason: str | None
    path: str | None
    missing: int | None

    def __init__(
        self,
        message: str = "",
        *,
        key: bytes | None = None,
        entry_type: int | None = None,
        offset: int | None = None,
        reason: str | None = None,
        path: str | None = None,
        missing: int | None = None,
        hint: str = "",
    ) -> None:
        if not message:
            where = [
                f"entry {key.hex()}" if key is not None else "",
                f"type {entry_type}" if entry_type is not None else "",
                f"at offset {offset}" if offset is not None else "",
                f"of {quote(path)}" if path is not None else "",
            ]
            place = ", ".join(part for part in where if part)
            message = f"damaged: {reason or 'a checksum or structure does not hold'}"
            message += f" ({place})" if place else ""
        facts = {"key": key, "entry_type": entry_type, "offset": offset}
        super().__init__(message, hint=hint, **facts, reason=reason, path=path, missing=missing)


class ExistsError(AeorDBError):
    """The output is there already and is not overwritten."""

    code = "exists"
    exit_code = 15

    path: str | None

    def __init__(self, message: str = "", *, path: StrPath | None = None, hint: str = "") -> None:
        name = quote(os.fspath(path)) if path is not None else "the output"
        super().__init__(message or f"{name} already exists", hint=hint, path=_text(path))


class NotDurableError(AeorDBError):
    """The disk is full or a sync failed: what was asked for is not safely on disk."""

    code = "not_durable"
    exit_code = 16

    path: str | None
    reason: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: StrPath | None = None,
        reason: str | None = None,
        hint: str = "",
    ) -> None:
        if not message and reason is not None:
            message = f"{quote(os.fspath(path))}: {reason}" if path is not None else reason
            hint = hint or "Free some space, or check the disk; then open the database again."
        super().__init__(message, hint=hint, path=_text(path), reason=reason)


class StaleError(AeorDBError):
    """The last backup is older than was asked for."""

    code = "stale"
    exit_code = 17


class NotFoundError(AeorDBError, KeyError):
    """No such path, snapshot, fork or version: `what` says which of these, `name` which one."""

    code = "not_found"
    exit_code = 20

    what: str
    name: str

    def __init__(
        self, message: str = "", *, what: str = "path", name: str = "", hint: str = ""
    ) -> None:
        super().__init__(message or f"no {what} {quote(name)}", hint=hint, what=what, name=name)
