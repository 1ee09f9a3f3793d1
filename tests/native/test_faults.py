"""The helper's faults as exceptions: codes as in the C headers, and fit for another process."""

import pickle

import pytest

from aeordb.native import faults
from aeordb.native._native import lib


@pytest.mark.parametrize(
    "fault",
    [
        faults.MapFault(3, 4),
        faults.PageFault(7),
        faults.EntryFault(512, -26, bytes(32)),
        faults.EntryFault(512, -99),
        faults.NodeFault(5, -40),
    ],
)
def test_pickled(fault: faults.NativeFault) -> None:
    again = pickle.loads(pickle.dumps(fault))
    assert type(again) is type(fault)
    assert vars(again) == vars(fault)
    assert str(again) == str(fault)


def test_codes_are_the_headers() -> None:
    names = [name for name in dir(lib) if name.startswith(("AEOR_ERR_ENTRY_", "AEOR_ERR_NODE_"))]
    codes = {getattr(lib, name) for name in names}
    assert codes == {*faults.EntryFault.REASONS, *faults.NodeFault.REASONS}
