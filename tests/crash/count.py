"""How many distinct states a cut left, over all tests of a run."""

from aeordb.testing.replay import Image

PROPERTY = "distinct crash states"
_seen: set[bytes] = set()


def note(image: Image) -> None:
    """Counts an image that no test of this process has looked at."""
    _seen.add(image.digest()[:8])


def total() -> int:
    """The number so far."""
    return len(_seen)
