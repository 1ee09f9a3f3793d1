"""A new database file: an empty root directory, and nothing under its name before it is whole."""

from __future__ import annotations

import os
import time

from aeordb.errors import ExistsError
from aeordb.format import constants as c
from aeordb.format.header import Header, Spare
from aeordb.format.hottail import encode_hot_tail, pack_tail_records, region_length
from aeordb.format.keys import directory_content_key, directory_path_key
from aeordb.format.page import block_length
from aeordb.native.framing import frame_entries
from aeordb.native.hashing import blake3
from aeordb.storage.datafile import DataFile, discard_own, rename_new
from aeordb.storage.working import open_working


def create_file(path: str, stage: int = 0) -> None:
    """Makes the file, its names and content durable. The caller holds the writer's lock.

    Raises ExistsError, LockedError, NotDurableError; leaves nothing behind then (but the `.part`
    file on a disk where nothing can be removed; the next try takes it away).
    """
    if os.path.lexists(path):
        raise ExistsError(path=path)
    part = path + ".part"
    file = open_working(part)
    try:
        _write(file, stage)
        rename_new(part, path)
    except BaseException:
        discard_own(file.fd, part, path)
        raise
    finally:
        file.close()


def _write(file: DataFile, stage: int) -> None:
    now = time.time_ns() // 1_000_000
    root = directory_content_key(b"")
    keys = [root, directory_path_key("/")]
    values = [b"", root]
    count = len(keys)
    start = c.HEADERS_LENGTH + block_length(stage)
    frames = frame_entries(
        bytes([c.ENTRY_DIRECTORY] * count),
        bytes([c.VALUE_VERSION] * count),
        bytes(count),
        bytes(count),
        b"".join(keys),
        values,
        now,
    )
    first = len(frames) - len(values[1]) - c.ENTRY_HEADER_LENGTH - c.HASH_LENGTH
    records = pack_tail_records(
        keys, [c.KV_DIRECTORY] * count, [start, start + first], [first, len(frames) - first]
    )
    end = start + len(frames)
    tail = encode_hot_tail(records, [], region_length(count, 0))
    header = Header(
        sequence=1,
        created_at=now - 1,
        updated_at=now + count - 1,
        kv_offset=c.HEADERS_LENGTH,
        kv_length=block_length(stage),
        hot_tail_offset=end,
        stage=stage,
        head=root,
        entry_count=count,
        spare=Spare(c.SPARE_CLEAN, len(tail), blake3(tail)),
    )
    file.truncate(end + len(tail))
    file.write(start, bytes(frames) + tail)
    file.sync()
    file.write(0, header.encode())
    file.sync()
