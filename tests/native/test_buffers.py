"""What the helper borrows it gives back: nothing of it stays in the frames of an error."""

import subprocess
import sys

from tests.kit.child import ENVIRONMENT

CRASH = """
import gc
from aeordb.native.carry import Block
from aeordb.native.faults import WalkFault

records = memoryview(bytearray(b"\\1" + b"k" * 32 + bytes(13)))
gc.disable()

def insert():
    given = records[:]
    kept = []
    try:
        block.insert(given)
    except WalkFault as fault:
        kept.append(fault)  # its traceback has this frame, and so this list
    return None

for _ in range(100):
    block = Block(bytearray(1 << 16), 1)
    block.insert(records)
    insert()
    block.close()
gc.collect()
print("collected")
"""


def test_an_error_in_a_cycle() -> None:
    """An export met one key twice; its error was kept in a frame of its own traceback, with the
    records, a memoryview that the helper's wrapper had not let go of. Python 3.11 ends with a
    segmentation fault when its collector finds such a view in a cycle."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "collected\n"
