"""The process that is killed: does a history on a database and acknowledges each step.

Its standard input says what to do (:class:`Orders`), as JSON. Each byte that it writes to its
standard output acknowledges one more step, the first one that the database is open.
"""

import json
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass

import aeordb
from aeordb.errors import LockedError
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import QuickLayer
from tests.kills.history import Operation, step_of
from tests.kit.killing import KillingLayer


@dataclass(frozen=True)
class Orders:
    """What a child does.

    Attributes:
        path: the database; made if it is not there.
        operations: in this order.
        last: it kills itself at this file call (0: not by itself), `torn` within it.
        synced: commits are durable, as always outside of tests.
    """

    path: str
    operations: list[Operation]
    last: int = 0
    torn: bool = False
    synced: bool = True

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def obey(orders: Orders) -> None:
    """Does the operations; one that a reader is in the way of, until it is not."""
    with aeordb.open(orders.path, "a", jobs=2) as database:
        acknowledge()
        for operation in orders.operations:
            step = step_of(operation)
            while True:
                try:
                    step.do(database)
                    break
                except LockedError:
                    continue
            acknowledge()


def acknowledge() -> None:
    os.write(1, b"+")


def main() -> None:
    orders = Orders(**json.load(sys.stdin))
    layer = None
    if orders.last:
        layer = KillingLayer(orders.last, torn=orders.torn)
    elif not orders.synced:
        layer = QuickLayer()
    with use_layer(layer) if layer is not None else nullcontext():
        obey(orders)


if __name__ == "__main__":
    main()
