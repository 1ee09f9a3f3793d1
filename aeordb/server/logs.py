"""What the server logs: a line for each request, and its own faults. Never a body or a header."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from starlette.types import Scope

    from aeordb.server.settings import LogFormat

_requests: Final = logging.getLogger("aeordb.server.requests")
_PATH_MAX: Final = 500
_HELD_MAX: Final = 500
_HELD_SECONDS: Final = 0.2
# A key or token that somebody put into a URL; its first digits name it well enough.
_SECRET: Final = re.compile(rb"(aeor_k_[0-9a-fA-F]{0,16}|eyJ)[\w.%-]+")
_FIELDS: Final = ("id", "client", "method", "path", "status", "ms")


def log_request(scope: Scope, status: int, seconds: float, request_id: str) -> None:
    """One line for a request: its path without the query, as it was sent."""
    if not _requests.isEnabledFor(logging.INFO):
        return
    raw = scope.get("raw_path") or scope["path"].encode()
    client = scope.get("client")
    _requests.info(
        "request",
        extra={
            "id": request_id,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": _SECRET.sub(rb"\1...", raw)[:_PATH_MAX].decode("latin-1"),
            "status": status,
            "ms": round(seconds * 1000, 1),
        },
    )


def set_up(form: LogFormat, stream: TextIO | None = None) -> None:
    """Sends all logs of this process to standard error, in text or as JSON, a line each."""
    handler = Lines(stream or sys.stderr)
    handler.setFormatter(JSONLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("aeordb").setLevel(logging.INFO)


class Lines(logging.Handler):
    """Writes lines in groups: for each request alone, that would be a system call.

    What is more than information, and what another thread says, is written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._held: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a line."""
        try:
            self._held.append(self.format(record))
            if record.levelno > logging.INFO or len(self._held) >= _HELD_MAX:
                self.flush()
            elif self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(_HELD_SECONDS, self.flush)
        except RuntimeError:
            self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Writes what is held."""
        with self.lock or nullcontext():
            self._timer = None
            held, self._held = self._held, []
            if held:
                self._stream.write("\n".join(held) + "\n")
                self._stream.flush()


class TextLines(logging.Formatter):
    """Lines for people: control characters as escapes, so that no line can pass for two."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = [str(getattr(record, name)) for name in _FIELDS if hasattr(record, name)]
        text = f"{' '.join(facts)} ms" if facts else record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n    ")
        return f"{_when(record)} {record.levelname.lower()} {text}"


class JSONLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _when(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03}Z"
