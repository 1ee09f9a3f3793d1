"""The kit that this project tests itself with, for those who build on it (extra `aeordb[test]`).

What needs Hypothesis or pytest is imported when it is asked for: the crash driver needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "aeordb.testing.recording": (
        "Call",
        "QuickLayer",
        "ReadOnlyLayer",
        "Recorder",
    ),
    "aeordb.testing.replay": ("Disk", "Image", "Trace"),
    "aeordb.testing.scenario": (
        "CLOSE",
        "CREATE",
        "KILL",
        "REOPEN",
        "Recording",
        "State",
        "Step",
        "delete",
        "mkdir",
        "move",
        "prepare",
        "put",
        "record",
        "snapshot",
        "symlink",
    ),
    "aeordb.testing.judge": ("Judge", "model_of", "no_scan", "rows_of", "state_of"),
    "aeordb.testing.crash": ("CrashReport", "explore_crashes"),
    "aeordb.testing.faults": ("Fault", "FaultLayer", "use_layer"),
    "aeordb.testing.model": ("Model",),
    "aeordb.testing.machine": ("DatabaseMachine",),
    "aeordb.testing.differ": ("Difference", "compare", "find_difference", "shortest"),
    "aeordb.testing.clock": ("Clock", "use_clock"),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'aeordb.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return __all__
