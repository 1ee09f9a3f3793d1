"""Results as JSON has them: what `--json` prints and what the server answers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """A result as JSON has it: objects by their fields, hashes in hex, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
