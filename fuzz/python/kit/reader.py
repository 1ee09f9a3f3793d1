"""Choices, numbers and names, out of the bytes of a recipe."""

from __future__ import annotations

from typing import Any

NUMBERS = (0, 1, 2, 31, 32, 33, 255, 256, 65535, 65536, 1 << 20, (1 << 30) - 1, 1 << 30, 1 << 31)
EDGES = (*NUMBERS, (1 << 32) - 1, 1 << 40, (1 << 55) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NAMES = (
    *("", ".", "..", "a/b", "a\0b", "/", "a", "b", "\x01", "\n", "é", "e\u0301", "\u202e"),
    *(".aeordb-system", ".aeordb-config", "api-keys", "x" * 255, "x" * 256, "y" * 5000, "~"),
)


COUNTERS = (
    *("sequence", "created", "updated", "kv_offset", "kv_length", "kv_version", "entry_count"),
    *("resizing", "hot_tail", "stage", "target_stage", "backup_type", "algorithm", "version"),
)


class Reader:
    """Takes choices off the front of a recipe; behind its end all are zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def word(self) -> int:
        return self.byte() | self.byte() << 8

    def below(self, count: int) -> int:
        return (self.byte() if count <= 256 else self.word()) % max(count, 1)

    def pick(self, among: Any) -> Any:
        return among[self.below(len(among))]

    def number(self, width: int = 8) -> int:
        """A number at an edge, perhaps a few off."""
        off = self.byte() % 5 - 2
        return (self.pick(EDGES) + off) % (1 << 8 * width)
