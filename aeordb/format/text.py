"""Bounded reading and writing of the pieces that values are made of (FORMAT.md 1)."""

from __future__ import annotations

import struct

from aeordb.format import constants as c
from aeordb.format.errors import FormatError

U16 = struct.Struct("<H")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
I64 = struct.Struct("<q")


def encode_text(what: str, text: str) -> bytes:
    """`u16 n, text[n]` in UTF-8; FormatError beyond 65,535 bytes or for a lone surrogate."""
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"{what} cannot be UTF-8: {error.reason}") from None
    if len(raw) > c.U16_MAX:
        raise FormatError(f"{what} of {len(raw)} bytes, at most {c.U16_MAX}")
    return U16.pack(len(raw)) + raw


class Cursor:
    """Reads a value from its start; no length is believed before that many bytes are there."""

    __slots__ = ("offset", "raw", "what")

    def __init__(self, raw: bytes, what: str) -> None:
        self.raw = raw
        self.what = what
        self.offset = 0

    def take(self, length: int, field: str) -> bytes:
        """The next `length` bytes."""
        end = self.offset + length
        if end > len(self.raw):
            raise FormatError(
                f"{self.what}: {field} needs {length} bytes, "
                f"{len(self.raw) - self.offset} are left",
                self.offset,
            )
        part = self.raw[self.offset : end]
        self.offset = end
        return part

    def u16(self, field: str) -> int:
        """The next little-endian u16."""
        return int.from_bytes(self.take(2, field), "little")

    def u32(self, field: str) -> int:
        """The next little-endian u32."""
        return int.from_bytes(self.take(4, field), "little")

    def u64(self, field: str) -> int:
        """The next little-endian u64."""
        return int.from_bytes(self.take(8, field), "little")

    def i64(self, field: str) -> int:
        """The next little-endian i64."""
        return int.from_bytes(self.take(8, field), "little", signed=True)

    def text(self, field: str) -> str:
        """The next `u16 n, text[n]`; FormatError if it is not UTF-8."""
        start = self.offset
        raw = self.take(self.u16(f"length of {field}"), field)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise FormatError(f"{self.what}: {field} is not UTF-8", start) from None

    def end(self) -> None:
        """FormatError if anything follows."""
        if self.offset != len(self.raw):
            raise FormatError(
                f"{self.what}: {len(self.raw) - self.offset} bytes follow its end", self.offset
            )
