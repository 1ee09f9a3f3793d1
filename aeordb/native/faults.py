"""What the helper finds wrong, as plain exceptions; `storage` turns them into AeorDB's errors."""

from typing import ClassVar


class NativeFault(Exception):  # noqa: N818 - faults of bytes, errors only once storage names them
    """Any fault that the helper reports about the bytes of a file."""


class MapFault(NativeFault):
    """Bytes that should be in the map are not: the file was cut, or its disk failed."""

    def __init__(self, offset: int = 0, length: int = 0) -> None:
        super().__init__(offset, length)
        self.offset, self.length = offset, length

    def __str__(self) -> str:
        return f"the mapped file could not be read at offset {self.offset}, length {self.length}"


class PageFault(NativeFault):
    """An index page that lies outside the map, or whose magic, checksum, count or entry is bad."""

    def __init__(self, page: int) -> None:
        super().__init__(page)
        self.page = page

    def __str__(self) -> str:
        return f"index page {self.page} is damaged"


class CountFault(NativeFault):
    """An index that has other entries than were counted in it: a write of a page was lost."""

    def __str__(self) -> str:
        return "the index is not what was written to it"


class EntryFault(NativeFault):
    """A log entry that is not what the index says, or whose bytes fail their integrity hash."""

    REASONS: ClassVar[dict[int, str]] = {
        -20: "it leaves the file",
        -21: "no entry begins there",
        -22: "its hash algorithm is not BLAKE3-256",
        -23: "it is encrypted",
        -24: "its lengths contradict each other or the index",
        -25: "another key stands there",
        -26: "its bytes do not match its integrity hash",
    }

    def __init__(self, offset: int, code: int, key: bytes | None = None) -> None:
        super().__init__(offset, code, key)
        self.offset, self.code, self.key = offset, code, key

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.REASONS.get(self.code, f"code {self.code}")

    def __str__(self) -> str:
        return f"the entry at offset {self.offset} is damaged: {self.reason}"


class NodeFault(NativeFault):
    """A directory node or record whose bytes are no such thing; offset within the value."""

    REASONS: ClassVar[dict[int, str]] = {
        -40: "it ends in the middle of a field",
        -41: "unknown kind or version",
        -42: "its names do not rise",
        -43: "bytes behind its end",
    }

    def __init__(self, offset: int, code: int) -> None:
        super().__init__(offset, code)
        self.offset, self.code = offset, code

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.REASONS.get(self.code, f"code {self.code}")

    def __str__(self) -> str:
        return f"malformed at byte {self.offset}: {self.reason}"


class WalkFault(NativeFault):
    """An entry that a version needs is missing, damaged, or not what it should be.

    `entry_type` is what was expected there (0: not known), `offset` where the entry begins (0:
    nowhere).
    """

    REASONS: ClassVar[dict[int, str]] = {
        -3: "it leaves the file",
        -50: "it is missing",
        -51: "an entry of another type stands there",
        -52: "folders nest more than 1,000 levels deep, or loop",
        -53: "a B-tree of more than 32 levels, or a listing inside one",
        -54: "it lists a name that no path may hold",
        -55: "its folders stand in too many places",
        -56: "two entries have this key",
        -57: "a name, path or content type in it is not UTF-8",
        -58: "one name stands in it twice",
        **EntryFault.REASONS,
        **NodeFault.REASONS,
    }

    def __init__(self, code: int, entry_type: int, key: bytes, offset: int) -> None:
        super().__init__(code, entry_type, key, offset)
        self.code, self.entry_type, self.key, self.offset = code, entry_type, key, offset

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.REASONS.get(self.code, f"code {self.code}")

    def __str__(self) -> str:
        return f"the entry {self.key.hex()} is damaged: {self.reason}"
