"""Which form of the cuts runs: samples of each kind, or with `AEORDB_CRASH=full` all of them."""

import os
from typing import Any

from aeordb.testing.replay import Disk

FULL = os.environ.get("AEORDB_CRASH") == "full"

_SHORT: dict[str, Any] = {
    "torn": 2,
    "mixed": 1,
    "subsets": 2,
    "chosen": 1,
    "each": 40,
    "sectors": 1,
}
_LARGE: dict[str, Any] = {"torn": 12, "mixed": 2, "subsets": 6, "chosen": 20, "sectors": 4}
_ALL: dict[str, Any] = {"torn": None, "mixed": 8, "subsets": 10, "chosen": 200, "sectors": 64}


def new_disk(*, large: bool = False, **short: int) -> Disk:
    """A disk that leaves everything a cut can leave, or of a `large` file much of it; in the short
    form some of it: so many things as `short` says."""
    if FULL:
        return Disk(stale=True, **(_LARGE if large else _ALL))
    return Disk(stale=True, **{**_SHORT, **short})
