"""The root key: shown once, verified by its hash, replaced by a reset."""

from pathlib import Path

import pytest

import aeordb
from aeordb.errors import UsageError
from tests.kit.fixtures import fixture_path, manifest
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


def test_the_key_that_aeordb_made_is_known() -> None:
    key = manifest("system")["root_key"]
    with aeordb.open(fixture_path("system"), "r") as db:
        assert db.is_root_key(key)
        for wrong in (
            key[:-1] + ("0" if key[-1] != "0" else "1"),
            key.upper(),
            "",
            "aeor_k_",
            "x" * 89,
        ):
            assert not db.is_root_key(wrong)
        middle = "aeor_k_" + "0" * 16 + key[23:]
        assert not db.is_root_key(middle)


def test_a_key_is_made_once_and_reset(db: aeordb.Database) -> None:
    assert not db.is_root_key("aeor_k_0000000000000000_" + "0" * 64)
    first = db.create_root_key()
    assert first.startswith("aeor_k_")
    assert db.is_root_key(first)
    with pytest.raises(UsageError, match="has a root key"):
        db.create_root_key()
    second = db.emergency_reset()
    assert second != first
    assert db.is_root_key(second)
    assert not db.is_root_key(first)
    head = db.head
    third = db.emergency_reset()
    assert db.head == head
    assert [db.is_root_key(key) for key in (first, second, third)] == [False, False, True]
    assert list(db) == [], "system files are no part of HEAD"
    assert_file(db.path, closed=False)
    assert len(Oracle(db.path).system_tree()) == 3
    raw = Path(db.path).read_bytes()
    for key in (first, second, third):
        assert key[24:].encode() not in raw
