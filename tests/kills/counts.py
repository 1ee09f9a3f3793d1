"""How many cycles are run: a few each time, `AEORDB_KILLS` of them in the long form.

`AEORDB_SEED` makes other histories of the same length.
"""

import os

CYCLES = int(os.environ.get("AEORDB_KILLS", "0"))
SEED = int(os.environ.get("AEORDB_SEED", "0"))
_TEN = 10


def cycles(long: int, *, short: int) -> int:
    """How many cycles a life of a database has: each is a test."""
    return long if CYCLES else short


def lives(share: int, each: int) -> range:
    """The numbers of the lives that a face gets; one where nothing else is asked for.

    `share`: how many tenths of all cycles; `each`: how many cycles a life has.
    """
    count = -(-CYCLES * share // (_TEN * each)) if CYCLES else 1
    return range(SEED, SEED + count)
