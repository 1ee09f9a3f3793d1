"""Every error keeps its code, its facts and its text when it crosses a process border."""

import json
import pickle
from pathlib import Path

import pytest

from aeordb import errors
from aeordb.errors import (
    AeorDBError,
    BaseMismatchError,
    DamagedError,
    ExistsError,
    IncompleteError,
    LockedError,
    NotADatabaseError,
    NotDurableError,
    NotFoundError,
    PathError,
    StaleError,
    UnauthorizedError,
    UsageError,
)

KEY = bytes(range(32))

SAMPLES = [
    (AeorDBError("it broke", hint="mend it"), "failed", 1),
    (UsageError("not so"), "usage", 2),
    (PathError(path="/a/../b", reason="'..' is not allowed"), "usage", 2),
    (IncompleteError("two folders were left out"), "incomplete", 3),
    (NotADatabaseError(path=Path("x.aeordb"), reason="the file is empty"), "not_a_database", 10),
    (LockedError(path="x.aeordb", pid=17), "locked", 11),
    (UnauthorizedError("wrong root key"), "unauthorized", 12),
    (BaseMismatchError(head=KEY, base=KEY[::-1]), "base_mismatch", 13),
    (DamagedError(key=KEY, entry_type=3, offset=512, reason="bad hash"), "damaged", 14),
    (ExistsError(path="out.aeordb"), "exists", 15),
    (NotDurableError("the disk is full"), "not_durable", 16),
    (StaleError("the last backup is two days old"), "stale", 17),
    (NotFoundError(what="snapshot", name="v1"), "not_found", 20),
]


def test_samples_cover_every_class() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, AeorDBError)
    }
    assert {type(error) for error, _, _ in SAMPLES} == classes


@pytest.mark.parametrize(("error", "code", "exit_code"), SAMPLES)
def test_code_exit_code_and_pickle(error: AeorDBError, code: str, exit_code: int) -> None:
    assert (error.code, error.exit_code) == (code, exit_code)
    error.add_note("seen on the way")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.facts == error.facts
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(("error", "code", "exit_code"), SAMPLES)
def test_json_has_code_message_and_facts(error: AeorDBError, code: str, exit_code: int) -> None:
    told = json.loads(json.dumps(error.to_json()))
    assert told["code"] == code
    assert told["message"] == error.message
    assert set(error.facts) <= set(told)


def test_message_then_hint() -> None:
    assert str(AeorDBError("it broke", hint="mend it")) == "it broke\nmend it"
    assert str(AeorDBError("it broke")) == "it broke"


def test_messages_are_made_of_the_facts() -> None:
    locked = LockedError(path="x.aeordb", pid=17)
    assert "'x.aeordb'" in str(locked)
    assert "process 17" in str(locked)
    assert locked.pid == 17
    assert str(NotFoundError(what="snapshot", name="v1")) == "no snapshot 'v1'"
    damaged = str(DamagedError(key=KEY, entry_type=3, offset=512, reason="bad hash"))
    assert damaged == f"damaged: bad hash (entry {KEY.hex()}, type 3, at offset 512)"


def test_facts_that_are_unknown_do_not_show() -> None:
    error = DamagedError(reason="cut short")
    assert error.offset is None
    assert error.to_json() == {
        "code": "damaged",
        "message": "damaged: cut short",
        "reason": "cut short",
    }


def test_base_mismatch_says_what_the_manual_says() -> None:
    error = BaseMismatchError(head=b"\xaa" * 32, base=b"\xbb" * 32)
    assert str(error) == (
        f"Target database HEAD ({'aa' * 32}) does not match patch base version ({'bb' * 32}).\n"
        "Use --force to apply anyway."
    )


def test_builtin_bases_let_mapping_and_value_errors_be_caught() -> None:
    with pytest.raises(KeyError):
        raise NotFoundError(name="/a")
    with pytest.raises(ValueError, match="is refused"):
        raise PathError(path="a\nb", reason="no control characters")


def test_quote_escapes_what_a_terminal_would_obey() -> None:
    assert errors.quote("a\x1b[31m\n\\é\udc80") == "'a\\x1b[31m\\n\\\\é\\udc80'"
