"""Which of the server's threads go first: those that answer requests, before those that take long.

A thread that wakes up beside one that hashes or writes without a pause waits, on many kernels, for
the next tick of the clock (4 ms) although another processor is idle. One that asks for short turns
is let in at once; Linux 6.12 and later listen to that, others go by the niceness alone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from contextlib import suppress
from typing import Final

from aeordb.tree.ingest import default_jobs

NICE: Final = 10
TURN_NANOSECONDS: Final = 100_000
# The numbers of sched_setattr and sched_getattr, which the C library has no names for.
_CALLS: Final = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}


class _Attr(ctypes.Structure):
    """`struct sched_attr` of sched_setattr(2), as it first was; a normal thread's `runtime` is its
    turn."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def hurry() -> None:
    """Asks for short turns for this thread, and for those that it starts."""
    _set_turn(TURN_NANOSECONDS)


def give_way() -> None:
    """Lets requests go before this thread, and those that it starts."""
    _set_turn(0)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def turn() -> int | None:
    """This thread's turn in nanoseconds; None where the system does not say."""
    attr = _attr()
    return None if attr is None else int(attr.runtime)


def jobs() -> int:
    """Threads for what takes long: all processors but one, which is left to requests."""
    return max(1, default_jobs() - 1)


def _set_turn(nanoseconds: int) -> None:
    """Without effect where the system has no such thing, or forbids it."""
    attr = _attr()
    if attr is not None:
        attr.runtime = nanoseconds
        set_number, _ = _CALLS[platform.machine()]
        _libc().syscall(set_number, 0, ctypes.byref(attr), 0)


def _attr() -> _Attr | None:
    if platform.system() != "Linux" or platform.machine() not in _CALLS:
        return None
    attr = _Attr()
    _, get_number = _CALLS[platform.machine()]
    failed = _libc().syscall(get_number, 0, ctypes.byref(attr), ctypes.sizeof(attr), 0)
    return None if failed else attr


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
