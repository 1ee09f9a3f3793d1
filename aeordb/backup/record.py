"""What a database knows of its backups: a system file in it, which no export carries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.system import decode_json, encode_json
from aeordb.storage.protocols import Reader, Writer
from aeordb.versions.system import put_system_file, system_files

FOLDER: Final = f"{c.SYSTEM_ROOT}/backups"
PATH: Final = f"{FOLDER}/last.json"
_FILES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class LastBackup:
    """The last run of a backup task: when (milliseconds), the file that holds its version, and
    the files that such runs made and that are still there: (path, version)."""

    time: int
    output: str
    version: bytes
    files: tuple[tuple[str, bytes], ...] = ()


def read_record(reader: Reader) -> LastBackup | None:
    """The last backup that was noted; None if there was none, or the note makes no sense."""
    for path, data in system_files(reader, FOLDER):
        if path == PATH:
            try:
                return _decode(decode_json(data))
            except (FormatError, KeyError, TypeError, ValueError):
                return None
    return None


def write_record(writer: Writer, last: LastBackup) -> None:
    """Notes a backup; of earlier ones what is no longer there is forgotten."""
    before = read_record(writer)
    files = {**dict(before.files if before else ()), **dict(last.files)}
    kept = [(path, version) for path, version in files.items() if os.path.lexists(path)]
    data = encode_json(
        {
            "time": last.time,
            "output": last.output,
            "version": last.version.hex(),
            "files": [[path, version.hex()] for path, version in kept[-_FILES_MAX:]],
        }
    )
    put_system_file(writer, PATH, data, "application/json")


def _decode(fields: dict[str, Any]) -> LastBackup:
    time, output = fields["time"], fields["output"]
    if type(time) is not int or not isinstance(output, str):
        raise TypeError("time or output")
    files = tuple((str(path), bytes.fromhex(version)) for path, version in fields["files"])
    return LastBackup(time, output, bytes.fromhex(fields["version"]), files)
