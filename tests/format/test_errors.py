"""What the codecs raise."""

import pickle

import pytest

from aeordb.format import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.FormatError,
        errors.MagicError,
        errors.VersionError,
        errors.MarkerVersionError,
        errors.AlgorithmError,
        errors.ChecksumError,
    ],
)
def test_a_fault_survives_pickling(kind: type[errors.FormatError]) -> None:
    for fault in (kind("too long", 17), kind("too long")):
        again = pickle.loads(pickle.dumps(fault))
        assert type(again) is kind
        assert (again.reason, again.offset) == (fault.reason, fault.offset)
        assert str(again) == str(fault)
    assert str(kind("too long", 17)) == "too long (at byte 17)"
    assert issubclass(kind, ValueError)
