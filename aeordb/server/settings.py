"""What a server is told when it starts; nothing of it changes while it runs."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import Literal

from aeordb.errors import UsageError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 6830
DEFAULT_BACKUP_DIR = "./backups"

AuthMode = Literal["self", "disabled"]
LogFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the server waits, and how much it takes at once. Seconds and bytes.

    header_seconds: from a connection's start, or the first byte of a further request, to the end
        of the headers.
    idle_seconds: how long a kept connection may say nothing.
    body_seconds: how long no byte of a body may come, or of an answer be taken.
    body_rate: bytes per second that a body must come at, on the whole, after `body_seconds`.
    header_bytes, json_bytes: the largest headers, and JSON body.
    upload_bytes: the largest file or backup that is taken; None: any.
    memory_bytes: what all bodies together may take of memory; what is over waits on disk.
    connections: open at once; above these, one is answered with 503 and closed.
    requests: worked on at once; the same.
    long_jobs: exports, patches and imports at once; the same.
    stop_seconds: how long requests that run may take to end when the server stops.
    """

    header_seconds: float = 15.0
    idle_seconds: float = 75.0
    body_seconds: float = 30.0
    body_rate: int = 256
    header_bytes: int = 32 << 10
    json_bytes: int = 1 << 20
    upload_bytes: int | None = None
    memory_bytes: int = 64 << 20
    connections: int = 4_096
    requests: int = 512
    long_jobs: int = 2
    stop_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's settings.

    `backup_dir` holds what `output` and `file` of requests name; `confine_backups` keeps scheduled
    backups in there too. `auth`: "self" wants keys of this database, "disabled" none.
    """

    database: str
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    backup_dir: str = DEFAULT_BACKUP_DIR
    confine_backups: bool = False
    auth: AuthMode = "self"
    insecure: bool = False
    log_format: LogFormat = "text"
    limits: Limits = field(default_factory=Limits)

    def check(self) -> Settings:
        """The settings themselves, or UsageError: without keys only this machine may come in."""
        if self.auth == "disabled" and not self.insecure and not is_loopback(self.host):
            raise UsageError(
                f"without keys the server may not listen on {self.host}",
                hint="Use --host 127.0.0.1, or --auth self, or say --insecure.",
            )
        return self

    @property
    def backup_path(self) -> str:
        """The backup folder, absolute."""
        return os.path.abspath(self.backup_dir)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
