"""Parts of changes to a file: what of them can be on the disk when the power goes in between."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from aeordb.testing.recording import PUNCH, TRUNCATE, WRITE, Call

SECTOR = 512
# A byte mixture changes sides after runs of at most so many bytes.
_RUN = 700
# Odd places to tear at: inside a magic, a header, the last field.
_ODD = (1, 18, 63)


def apply(content: bytearray, call: Call) -> None:
    """Makes one change to a file's content; what it grows by without being written is zeros."""
    if call.kind == TRUNCATE:
        if call.length < len(content):
            del content[call.length :]
        else:
            content.extend(bytes(call.length - len(content)))
        return
    data = call.data if call.kind == WRITE else bytes(call.length)
    end = call.end
    if call.kind == PUNCH:
        end = min(end, len(content))
        data = data[: max(0, end - call.offset)]
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[call.offset : call.offset + len(data)] = data


def torn(call: Call, places: int | None) -> Iterator[tuple[Call, str]]:
    """A change of which only the front, or only the back, arrived."""
    if call.kind == TRUNCATE:
        return
    for cut in cuts(call, places):
        for start, end in ((0, cut), (cut, call.length)):
            yield part(call, start, end), f"of {call} only {start}..{end}"


def cuts(call: Call, places: int | None) -> list[int]:
    """Where a write is torn: at sector bounds of the file, and at odd bytes between.

    `places`: about so many at most, 1 is the middle; None: at every bound.
    """
    if places == 1:
        return [call.length // 2] if call.length > 1 else []
    bounds = _bounds(call)
    odd = [*_ODD, call.length // 3 | 1, call.length // 2, *(call.length - n for n in _ODD)]
    if places is not None:
        bounds = bounds[:: max(1, -(-len(bounds) // max(1, places - len(odd))))]
    return sorted({cut for cut in (*bounds, *odd) if 0 < cut < call.length})


def mixed(call: Call, rng: random.Random) -> Iterator[Call]:
    """Runs of a change's bytes, some there, some not; a truncation all or not at all."""
    if call.kind == TRUNCATE:
        if rng.random() < 0.5:
            yield call
        return
    start = 0
    while start < call.length:
        end = min(call.length, start + rng.randint(1, _RUN if call.length < 1 << 16 else 1 << 16))
        if rng.random() < 0.5:
            yield part(call, start, end)
        start = end


def by_sector(call: Call, count: int, seed: int) -> Iterator[list[Call]]:
    """Mixtures of a change's sectors, old or new: `count` of them, all if there are no more."""
    if call.kind == TRUNCATE or count == 0:
        return
    edges = [0, *_bounds(call), call.length]
    pieces = len(edges) - 1
    if pieces < 2:
        return
    rng = random.Random(seed)
    if pieces < 20 and 1 << pieces <= count:
        which = list(subsets(pieces))[1:-1]
    else:
        which = [tuple(i for i in range(pieces) if rng.random() < 0.5) for _ in range(count)]
    for kept in which:
        yield [part(call, edges[i], edges[i + 1]) for i in kept]


def subsets(count: int) -> Iterator[Sequence[int]]:
    """All subsets of so many things, as their numbers; the empty one first, the whole one last."""
    for bits in range(1 << count):
        yield tuple(i for i in range(count) if bits >> i & 1)


def part(call: Call, start: int, end: int) -> Call:
    """The same write or punch of only some of its bytes."""
    data = call.data[start:end] if call.kind == WRITE else b""
    return Call(call.kind, call.file, call.offset + start, end - start, data)


def largest(calls: Sequence[Call]) -> int:
    """The size, in bytes, that these changes give a file at some moment, or less than it has."""
    return max((call.end for call in calls if call.kind != PUNCH), default=0)


def growth(old: int, size: int, past: bytes, content: bytes) -> Iterator[tuple[Call, str]]:
    """A file of `old` bytes gets larger, but what was written did not arrive.

    There are zeros; or what stood there before it was cut off, and behind that the bytes of its
    present end.
    """
    yield Call(TRUNCATE, length=size), "only zeros"
    length = size - old
    stale = past[old:size]
    end = content[-min(length, len(content)) :] if content else b""
    while end and len(stale) < length:
        stale += end[: length - len(stale)]
    if stale.strip(b"\0"):
        yield Call(WRITE, offset=old, length=len(stale), data=stale), "only stale bytes"


def _bounds(call: Call) -> list[int]:
    """The bounds of the file's sectors inside a change, counted from its start."""
    first = call.offset // SECTOR + 1
    return [n * SECTOR - call.offset for n in range(first, (call.end - 1) // SECTOR + 1)]
