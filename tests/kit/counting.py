"""Counts over all tests of a run: each notes what it did, the end of pytest's report adds it up."""

from collections import Counter
from collections.abc import Iterable

import pytest

_PREFIX = "count: "


def note(node: pytest.Item, name: str, number: int = 1) -> None:
    """Adds a number to what the test has done of this."""
    node.user_properties.append((_PREFIX + name, number))


def totals(kinds: Iterable[Iterable[object]]) -> list[tuple[str, int]]:
    """What the reports say together, by name; the last one of a test has all that it noted."""
    sums: Counter[str] = Counter()
    for reports in kinds:
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                for name, number in getattr(report, "user_properties", ()):
                    if name.startswith(_PREFIX):
                        sums[name.removeprefix(_PREFIX)] += number
    return sorted((name, number) for name, number in sums.items() if number)
