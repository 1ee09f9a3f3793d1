"""What a codec says of bytes it refuses. Storage maps these to the errors that users see."""

from __future__ import annotations


class FormatError(ValueError):
    """Bytes, or values to be encoded, that FORMAT.md does not allow.

    `reason` says what was expected and found; `offset` is where, in bytes from the start of the
    decoded buffer (None: not at one place).
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return self.reason if self.offset is None else f"{self.reason} (at byte {self.offset})"


class MagicError(FormatError):
    """The magic bytes are missing: this is something else."""


class VersionError(FormatError):
    """A layout version that this code does not know."""


class MarkerVersionError(VersionError):
    """A newer aeordb wrote the spare header bytes: nothing here may guess what they promise."""


class AlgorithmError(FormatError):
    """A hash algorithm, compression or encryption that this code does not know."""


class ChecksumError(FormatError):
    """A CRC-32 or an integrity hash does not match its bytes."""
