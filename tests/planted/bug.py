"""What a planted bug is.

`old` occurs exactly once in its file, and `new` stands in its place in the planted code. The
checks are arguments for pytest: files, or single tests; the first that fails has caught it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One planted mistake."""

    name: str
    file: str
    old: str
    new: str
    checks: tuple[str, ...]


def bug(name: str, file: str, old: str, new: str, *checks: str) -> Bug:
    return Bug(name, file, old, new, tuple(f"tests/{check}" for check in checks))
