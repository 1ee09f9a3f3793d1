"""Fuzz targets for the codecs of aeordb.format: each takes any bytes.

A target passes if the bytes are refused with FormatError, or decode to values that encode to the
same bytes again (where the format leaves one way to write them). Anything else is a bug.

    python fuzz/python/format_targets.py [target ...] [--seconds N] [--seed N]

mutates the corpus in fuzz/corpus/format-TARGET/ and stops at the first failure, which it prints in
hex: put it into the corpus, where the tests replay it.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

from aeordb.format import constants as c
from aeordb.format import entry, header, hottail, nodes, page, records, system
from aeordb.format.errors import FormatError

CORPUS = Path(__file__).resolve().parents[1] / "corpus"


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
    return [path.read_bytes() for path in sorted((CORPUS / f"format-{name}").glob("*.bin"))]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or replaced by edge values."""
    raw = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(raw))
        match chance.randrange(6):
            case 0:
                raw[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                del raw[at : at + chance.randint(1, 40)]
            case 2:
                raw[at:at] = raw[at : at + chance.randint(1, 80)]
            case 3:
                raw[at : at + 4] = chance.choice(
                    (b"\xff" * 4, bytes(4), b"\1\0\0\0", b"\0\0\0\x80")
                )
            case 4:
                raw[at : at + 8] = chance.choice((b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(8)))
            case _:
                if at < len(raw):
                    raw[at] ^= 1 << chance.randrange(8)
    return bytes(raw)


def main() -> None:
    """Fuzz the named targets, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []])
    parser.add_argument("--seconds", type=float, default=10.0, help="per target")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in options.target or TARGETS:
        chance = random.Random(options.seed)
        seeds = corpus(name) or [b""]
        end = time.monotonic() + options.seconds
        tried = decoded = 0
        while time.monotonic() < end:
            data = mutate(chance.choice(seeds), chance)
            try:
                decoded += run(name, data)
            except Exception:
                print(f"{name}: {data.hex()}")
                raise
            tried += 1
        print(f"{name}: {tried} inputs, {decoded} decoded")


if __name__ == "__main__":
    main()
