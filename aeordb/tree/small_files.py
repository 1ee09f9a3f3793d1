"""Small files into the store, hundreds at a time, so that Python's cost is shared.

`prepare` hashes, compresses and encodes them on any thread; `append_prepared` appends what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aeordb.format import constants as c
from aeordb.format.keys import file_identity_text, file_path_keys
from aeordb.format.nodes import Child
from aeordb.format.records import encode_file_record
from aeordb.native.hashing import blake3_many
from aeordb.storage.protocols import NewEntry, Writer
from aeordb.tree.chunking import chunk_keys, compress_many, content_hashes, cut
from aeordb.tree.content_types import is_compressed


class NewFile(NamedTuple):
    """A small file, read whole. `path` is that in the database; times in milliseconds."""

    path: str
    content_type: str
    created: int
    updated: int
    data: bytes


class Prepared(NamedTuple):
    """Files ready to be appended: for each its child entry, record and path key.

    `chunks` are those of all files, as entries; `size` is the sum of the files' bytes.
    """

    children: list[Child]
    records: list[bytes]
    path_keys: list[bytes]
    chunks: list[NewEntry]
    size: int


def prepare(files: Sequence[NewFile], now: int) -> Prepared:
    """Hashes, compresses and encodes files; `now` becomes the virtual time of their listing."""
    chunks, owners = _prepare_chunks(files)
    datas = [data for _, _, _, _, data in files]
    hashes = content_hashes(datas)
    identities = blake3_many(
        [
            file_identity_text(path, content_type, keys)
            for (path, content_type, _, _, _), keys in zip(files, owners, strict=True)
        ]
    )
    children: list[Child] = []
    records: list[bytes] = []
    for (path, content_type, created, updated, data), keys, content_hash, identity in zip(
        files, owners, hashes, identities, strict=True
    ):
        size = len(data)
        records.append(
            encode_file_record(path, content_type, size, created, updated, content_hash, b"", keys)
        )
        name = path[path.rfind("/") + 1 :]
        children.append(
            Child(c.KIND_FILE, identity, size, created, updated, name, content_type, now, 0)
        )
    path_keys = file_path_keys([path for path, _, _, _, _ in files])
    return Prepared(children, records, path_keys, chunks, sum(map(len, datas)))


def _prepare_chunks(files: Sequence[NewFile]) -> tuple[list[NewEntry], list[bytes]]:
    """All chunks of the files, and for each file its chunks' keys, joined."""
    pieces: list[bytes] = []
    counts: list[int] = []
    loose: list[bytes] = []  # the pieces, or nothing in place of those not worth compressing
    as_it_is: dict[str, bool] = {}
    for _, content_type, _, _, data in files:
        skip = as_it_is.get(content_type)
        if skip is None:
            skip = as_it_is[content_type] = is_compressed(content_type)
        own = cut(data)
        pieces += own
        loose += [b""] * len(own) if skip else own
        counts.append(len(own))
    keys = chunk_keys(pieces)
    chunks: list[NewEntry] = [
        (c.ENTRY_CHUNK, c.VALUE_VERSION, 0, c.COMPRESSION_NONE, key, piece)
        if frame is None
        else (c.ENTRY_CHUNK, c.VALUE_VERSION, 0, c.COMPRESSION_ZSTD, key, frame)
        for key, piece, frame in zip(keys, pieces, compress_many(loose), strict=True)
    ]
    owners: list[bytes] = []
    start = 0
    for count in counts:
        owners.append(keys[start] if count == 1 else b"".join(keys[start : start + count]))
        start += count
    return chunks, owners


def append_prepared(writer: Writer, prepared: Prepared) -> None:
    """Appends prepared files: new chunks, then each record under its identity and its path key."""
    writer.append_new(prepared.chunks)
    entries: list[NewEntry] = []
    for child, record, path_key in zip(
        prepared.children, prepared.records, prepared.path_keys, strict=True
    ):
        entries.append((c.ENTRY_FILE, c.FILE_RECORD_VERSION, 0, 0, child.hash, record))
        entries.append((c.ENTRY_FILE, c.FILE_RECORD_VERSION, 0, 0, path_key, record))
    writer.append_many(entries)
