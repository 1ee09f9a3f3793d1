"""From marks to a file: threads verify the next windows while one writer writes (engine.md 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import zstandard

from aeordb.backup.sink import Sink
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.entry import decode_entry_header
from aeordb.format.errors import FormatError
from aeordb.format.hottail import decode_tail_records, pack_tail_records
from aeordb.native.carry import Image, Plan, Window
from aeordb.native.framing import frame_entries
from aeordb.parallel.threads import in_order
from aeordb.progress import Progress
from aeordb.tree.reading import decompress

_WINDOW_MAX = 4 << 20
# All windows together: what an export needs of memory beside its plan.
_WINDOWS = 48 << 20

_FRAME = c.ENTRY_HEADER_LENGTH + c.HASH_LENGTH
# Where an entry's header has these.
_COMPRESSION = 9
_TIME = 19

Row = tuple[int, int, int, bytes, bytes, int]
"""(entry type, entry version, flags, key, value, time in ms) of an entry that is made anew."""


def carry(plan: Plan, sink: Sink, *, jobs: int, uncompressed: bool, progress: Progress) -> None:
    """Copies all entries of the plan, in the order of their offsets; each is verified before.

    Raises WalkFault (with the key), PageFault, MapFault, DamagedError, NotDurableError.
    """
    spare: SimpleQueue[Image] = SimpleQueue()

    def make(window: Window) -> Image:
        image = Image() if spare.empty() else spare.get()
        plan.carry(window, image)
        return image

    def make_raw(window: Window) -> Image | tuple[bytes, bytes, int]:
        image = make(window)
        return _decompressed(image) or image

    progress.start(plan.bytes, "Copying")
    windows = _windows(plan, max(1 << 20, min(_WINDOW_MAX, _WINDOWS // (jobs + 2))))
    results = in_order(jobs, windows, make_raw if uncompressed else make)
    pool = ThreadPoolExecutor(1, "aeordb-index") if jobs > 1 else None
    try:
        for done in results:
            if isinstance(done, Image):
                sink.write(done.data(), done.index_records(), done.latest, pool=pool)
                progress.advance(done.length, done.entries)
                spare.put(done)
            else:
                sink.write(*done, pool=pool)
                progress.advance(len(done[0]), len(done[1]) // c.HOT_TAIL_RECORD_LENGTH)
    finally:
        results.close()
        if pool is not None:
            pool.shutdown()


def append(sink: Sink, rows: Iterable[Row]) -> None:
    """Writes entries that the source does not hold as they are to be: some thousand at a time."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == 4096:
            _append(sink, batch)
            batch.clear()
    if batch:
        _append(sink, batch)


def _append(sink: Sink, rows: list[Row]) -> None:
    types, versions, flags, keys, values, times = zip(*rows, strict=True)
    frames = frame_entries(
        bytes(types), bytes(versions), bytes(flags), bytes(len(rows)), b"".join(keys), values, 0
    )
    offsets, lengths = [], []
    at = 0
    for value, time in zip(values, times, strict=True):
        # The integrity hash does not cover the time.
        frames[at + _TIME : at + _TIME + 8] = time.to_bytes(8, "little", signed=True)
        offsets.append(at)
        lengths.append(_FRAME + len(value))
        at += lengths[-1]
    records = pack_tail_records(keys, [c.KV_TYPE[kind] for kind in types], offsets, lengths)
    sink.write(bytes(frames), records, max(times))


def _windows(plan: Plan, most: int) -> Iterator[Window]:
    at = 0
    while at < plan.count:
        window = plan.window(at, most)
        yield window
        at = window.end


def _decompressed(image: Image) -> tuple[bytes, bytes, int] | None:
    """The image with raw chunks and its records; None if no chunk in it is compressed."""
    data = image.data()
    records = list(decode_tail_records(image.index_records()))
    parts: list[bytes | bytearray | memoryview] = []
    changed = False
    for key, kv, offset, length in records:
        entry = data[offset : offset + length]
        if kv == c.KV_CHUNK and entry[_COMPRESSION] != c.COMPRESSION_NONE:
            parts.append(_raw_chunk(key, entry))
            changed = True
        else:
            parts.append(entry)
    if not changed:
        return None
    offsets, at = [], 0
    for made in parts:
        offsets.append(at)
        at += len(made)
    rows = pack_tail_records(
        [record.key for record in records],
        [record.kv for record in records],
        offsets,
        [len(made) for made in parts],
    )
    return b"".join(parts), rows, image.latest


def _raw_chunk(key: bytes, entry: memoryview) -> bytearray:
    header = decode_entry_header(entry)
    try:
        raw = decompress(bytes(entry[_FRAME:]), c.ENTRY_VALUE_MAX)
    except (zstandard.ZstdError, FormatError) as error:
        raise DamagedError(
            key=key, entry_type=c.ENTRY_CHUNK, reason=f"a chunk cannot be decompressed: {error}"
        ) from None
    return frame_entries(
        bytes((c.ENTRY_CHUNK,)),
        bytes((header.version,)),
        bytes((header.flags,)),
        bytes((c.COMPRESSION_NONE,)),
        key,
        [raw],
        header.time,
    )
