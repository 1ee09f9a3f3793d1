"""Fuzz targets for the codecs of aeordb.format: each takes any bytes.

A target passes if the bytes are refused with FormatError, or decode to values that encode to the
same bytes again (where the format leaves one way to write them). Anything else is a bug.

    python fuzz/python/format_targets.py [target ...] [--seconds N] [--seed N]
                                         [--engine plain|atheris]

mutates the corpus in fuzz/corpus/format-TARGET/ and stops at the first failure, which it prints in
hex and keeps as fuzz-failure.bin: put it into the corpus, where the tests replay it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from aeordb.format import constants as c
from aeordb.format import entry, header, hottail, nodes, page, records, system
from aeordb.format.errors import FormatError
from fuzz.python.kit import driver
from fuzz.python.kit.driver import mutate

PREFIX = "format"


def fuzz_header(data: bytes) -> None:
    """Two slots: the live one, each checked slot, and the spare bytes."""
    for slot in header.split_slots(data):
        try:
            checked = slot.check()
        except FormatError:
            continue
        assert header.UncheckedSlot(slot.index, checked.encode()).check() == checked
        assert checked.spare is None or len(checked.spare.encode()) == c.SPARE_LENGTH
    live = header.live_slot(data)
    header.check_kv_block(live.header, 1 << 20)


def fuzz_entry(data: bytes) -> None:
    """One entry at the start."""
    found = entry.decode_entry(data)
    head = found.header
    again = entry.encode_entry(
        head.type,
        found.key,
        found.value,
        head.time,
        version=head.version,
        flags=head.flags,
        compression=head.compression,
    )
    assert again == data[: head.total_length]


def fuzz_file(data: bytes) -> None:
    """A file record of both versions; the first byte chooses."""
    version = data[0] % 3 if data else 0
    record = records.FileRecord.decode(data[1:], version)
    assert len(record.chunk_keys) == record.chunk_count * c.HASH_LENGTH
    if version == 1:
        assert record.encode() == data[1:]


def fuzz_symlink(data: bytes) -> None:
    """A symlink record."""
    assert records.SymlinkRecord.decode(data).encode() == data


def fuzz_deletion(data: bytes) -> None:
    """A deletion record."""
    assert records.DeletionRecord.decode(data).encode() == data


def fuzz_snapshot(data: bytes) -> None:
    """A snapshot record."""
    assert records.SnapshotRecord.decode(data).encode() == data


def fuzz_fork(data: bytes) -> None:
    """A fork record."""
    assert records.ForkRecord.decode(data).encode() == data


def fuzz_node(data: bytes) -> None:
    """A directory node, as found under a content key and under a path key."""
    assert nodes.decode_node(data, link=True).encode() == data
    assert nodes.decode_node(data).encode() == data


def fuzz_page(data: bytes) -> None:
    """An index page."""
    found = page.decode_page(data)
    assert len(found) <= c.PAGE_ENTRIES
    assert page.decode_page(page.encode_page(found)) == found
    for record in found:
        assert 0 <= page.page_of(record.key, 45) < 45


def fuzz_hottail(data: bytes) -> None:
    """A hot tail, perhaps with more behind it."""
    tail = hottail.decode_hot_tail(data)
    assert hottail.encode_hot_tail(tail.records, tail.voids) == data[: tail.length]
    assert len(list(tail.index_records())) == tail.record_count


def fuzz_system(data: bytes) -> None:
    """An API key's file, and a key text."""
    with contextlib.suppress(FormatError):
        system.parse_key_text(data.decode("latin-1"))
    key = system.ApiKey.decode(data)
    try:
        again = key.encode()
    except FormatError:  # no UUID, or a lone surrogate
        return
    assert system.ApiKey.decode(again) == key


TARGETS: dict[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): target
    for name, target in sorted(globals().items())
    if name.startswith("fuzz_")
}


def run(name: str, data: bytes) -> bool:
    """Whether `data` decoded; raises what a target must never raise."""
    try:
        TARGETS[name](data)
    except FormatError:
        return False
    return True


def corpus(name: str) -> list[bytes]:
    """The target's kept inputs, by file name."""
    return driver.corpus(PREFIX, name)


def ended(name: str, data: bytes) -> str:
    """How a run ended, in words."""
    return "decoded" if run(name, data) else "refused"


if __name__ == "__main__":
    driver.main(__doc__, PREFIX, TARGETS, ended, mutate)
