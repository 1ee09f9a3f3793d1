"""Files damaged on purpose: header slots, pages, hot tail, single entries."""

from collections.abc import Callable
from pathlib import Path

from tests.kit.layout import LOG_START, SLOT_LENGTH, Entry
from tests.kit.oracle import Oracle


def _zero(start: int, end: int) -> Callable[[bytearray, Oracle], None]:
    def do(content: bytearray, oracle: Oracle) -> None:
        content[start:end] = bytes(end - start)

    return do


def _pages(content: bytearray, oracle: Oracle) -> None:
    end = LOG_START + oracle.slot.kv_length
    content[LOG_START:end] = bytes(end - LOG_START)


def _tail(content: bytearray, oracle: Oracle) -> None:
    start = oracle.slot.hot_tail
    content[start:] = bytes(len(content) - start)


def _both(content: bytearray, oracle: Oracle) -> None:
    content[:LOG_START] = bytes(LOG_START)


def _all(content: bytearray, oracle: Oracle) -> None:
    _pages(content, oracle)
    _tail(content, oracle)
    _both(content, oracle)


DAMAGES: dict[str, Callable[[bytearray, Oracle], None]] = {
    "slot-a": _zero(0, SLOT_LENGTH),
    "slot-b": _zero(SLOT_LENGTH, LOG_START),
    "both-slots": _both,
    "pages": _pages,
    "hot-tail": _tail,
    "all": _all,
}


def damage(path: Path, name: str) -> None:
    """Does one of DAMAGES to a file."""
    content = bytearray(path.read_bytes())
    DAMAGES[name](content, Oracle(bytes(content)))
    path.write_bytes(content)


def flip(path: Path, offset: int, mask: int = 0x40) -> None:
    """Flips bits of one byte."""
    content = bytearray(path.read_bytes())
    content[offset] ^= mask
    path.write_bytes(content)


def wipe(path: Path, entry: Entry, *, start: int = 0, end: int | None = None) -> None:
    """Random bytes over an entry, or over the part of it from `start` to `end`."""
    content = bytearray(path.read_bytes())
    first, last = entry.offset + start, entry.offset + (entry.total if end is None else end)
    content[first:last] = bytes((i * 7 + 13) % 251 for i in range(last - first))
    path.write_bytes(content)
