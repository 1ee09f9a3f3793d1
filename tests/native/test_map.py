"""Guarded reads of a map whose file is cut under it, and whom else's SIGBUS is left to."""

import mmap
import signal
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aeordb.native.entries import Entry, verify_entries
from aeordb.native.faults import EntryFault, MapFault
from aeordb.native.index import ALL, Index
from aeordb.native.log import rebuild_index, scan_log
from aeordb.native.map import Map
from aeordb.native.table import Table

from . import bits

KEY = bits.key_of("k")
NOISE = bytes(range(256)) * 300


def test_copy() -> None:
    data = Map(NOISE)
    assert len(data) == len(NOISE)
    assert data.copy(0, len(NOISE)) == NOISE
    assert data.copy(100, 7) == NOISE[100:107]
    assert data.copy(len(NOISE), 0) == b""


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, len(NOISE) + 1), (len(NOISE), 1), (len(NOISE) + 1, 0), (2**64 - 1, 2), (-1, 1), (0, -1)],
)
def test_copy_outside(offset: int, length: int) -> None:
    with pytest.raises(MapFault):
        Map(NOISE).copy(offset, length)


def test_nothing_to_map() -> None:
    assert Map(b"").copy(0, 0) == b""
    with pytest.raises(EntryFault):
        Map(b"").fetch(0)


def test_closed() -> None:
    data = Map(NOISE)
    data.close()
    with pytest.raises(ValueError, match="closed"):
        data.copy(0, 1)


def test_a_closed_map_lets_go_of_its_buffer() -> None:
    buffer = bytearray(10)
    data = Map(buffer)
    with pytest.raises(BufferError):
        buffer.append(1)
    data.close()
    buffer.append(1)


@pytest.mark.parametrize("size", [0, 1, 5, 70_000])
def test_fetch(size: int) -> None:
    value = NOISE[:size]
    image = bits.entry(2, KEY, value, 99, version=1)
    data = Map(b"x" * 10 + image + b"y")
    expected = Entry(2, 1, 0, 0, 99, 10, value)
    assert data.fetch(10) == expected
    assert data.fetch(10, len(image)) == expected
    assert data.fetch(10, len(image), KEY) == expected
    with pytest.raises(EntryFault, match="another key"):
        data.fetch(10, len(image), bytes(32))
    with pytest.raises(EntryFault, match="lengths"):
        data.fetch(10, len(image) + 1)
    with pytest.raises(EntryFault, match="no entry"):
        data.fetch(9)


def test_fetch_of_an_entry_without_key() -> None:
    assert Map(bits.entry(6, b"", bytes(70))).fetch(0).value == bytes(70)


def test_every_flipped_bit_of_an_entry_is_seen() -> None:
    """Of the header only the times and the unhashed small fields may change unseen."""
    image = bits.entry(1, KEY, b"some value")
    unseen = {4, 6, 9, *range(19, 27)}
    for at in range(len(image)):
        for bit in range(8):
            bad = bytearray(image)
            bad[at] ^= 1 << bit
            if at in unseen:
                assert Map(bad).fetch(0, len(image), KEY).value == b"some value"
                continue
            with pytest.raises(EntryFault):
                Map(bad).fetch(0, len(image), KEY)
            assert verify_entries(bad, array("Q", [0]), array("Q", [len(image)]))


def test_verify_entries() -> None:
    images = [bits.entry(1, bits.key_of(str(i)), NOISE[: i * 37]) for i in range(300)]
    images[0] = bits.entry(6, b"", bytes(1000))
    offsets, lengths = array("Q"), array("Q")
    whole = bytearray()
    for image in images:
        offsets.append(len(whole))
        lengths.append(len(image))
        whole += image
    assert verify_entries(whole, offsets, lengths) == []
    for i in (3, 200):
        whole[offsets[i] + 63] ^= 1
    lengths[5] += 1
    offsets[7] = 2**64 - 1
    lengths[9] = 62
    assert verify_entries(whole, offsets, lengths) == [
        (3, -26),
        (5, -24),
        (7, -20),
        (9, -20),
        (200, -26),
    ]


class Cut:
    """A mapped file of entries and index pages that has been cut behind its first 4,096 bytes."""

    def __init__(self, path: Path) -> None:
        image = bits.entry(1, KEY, NOISE[:5000])
        self.length = len(image)
        path.write_bytes(image * 40)
        self.file = path.open("r+b")
        self.mapped = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        self.data = Map(self.mapped)
        self.table = Table.from_records(bits.record(KEY, 0, 20 * self.length, self.length))
        assert self.data.fetch(20 * self.length).value == NOISE[:5000]
        self.file.truncate(4096)


@pytest.fixture
def cut(tmp_path: Path) -> Iterator[Cut]:
    made = Cut(tmp_path / "cut")
    yield made
    made.file.close()


READS: dict[str, Callable[[Cut], object]] = {
    "copy": lambda cut: cut.data.copy(0, 10_000),
    "fetch": lambda cut: cut.data.fetch(20 * cut.length),
    "fetch begun": lambda cut: cut.data.fetch(0),
    "read": lambda cut: Index(cut.data, 0, 1, cut.table, covered=ALL).read(KEY),
    "find": lambda cut: Index(cut.data, 8192, 40).find(b"\x70" * 32),
    "find_many": lambda cut: Index(cut.data, 8192, 40).find_many(bytes(320)),
    "has_many": lambda cut: Index(cut.data, 8192, 40).has_many(bytes(320)),
    "scan": lambda cut: list(Index(cut.data, 8192, 40).scan()),
    "scan_log": lambda cut: list(scan_log(cut.data, 0, len(cut.data))),
    "rebuild": lambda cut: rebuild_index(cut.data, 0, len(cut.data)),
    "verify": lambda cut: verify_entries(
        cut.mapped, array("Q", [0, cut.length]), array("Q", [cut.length] * 2)
    ),
}


@pytest.mark.parametrize("name", READS)
def test_a_cut_file_is_a_fault_and_no_crash(cut: Cut, name: str) -> None:
    for _ in range(3):
        with pytest.raises(MapFault):
            READS[name](cut)
        assert cut.data.copy(0, 100) == NOISE[:0] + bits.entry(1, KEY, NOISE[:5000])[:100]


def test_faults_in_many_threads(cut: Cut) -> None:
    faults = []

    def read() -> None:
        for _ in range(200):
            try:
                cut.data.copy(20_000, 10)
            except MapFault as fault:
                faults.append(fault)
            cut.data.copy(0, 10)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults) == 1600


PRELUDE = """
import faulthandler, mmap, os, resource, signal, sys, tempfile
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from aeordb.native.map import Map
from aeordb.native.faults import MapFault
file = tempfile.TemporaryFile()
file.write(bytes(20000))
file.flush()
mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
"""
FAULT = """
file.truncate(0)
try:
    data.copy(10000, 10)
except MapFault:
    print("guarded", flush=True)
mapped[10000]
"""


@pytest.mark.parametrize(
    "setup",
    [
        "data = Map(mapped)",
        "faulthandler.enable(); data = Map(mapped)",
        "data = Map(mapped); faulthandler.enable(); data = Map(mapped)",
    ],
)
def test_a_fault_elsewhere_ends_the_process_as_it_would(setup: str) -> None:
    """Whoever's handler came first: a fault outside the guard is no endless loop."""
    code = PRELUDE + setup + FAULT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGBUS, done.stderr.decode()
    assert done.stdout == b"guarded\n"
    assert (b"Bus error" in done.stderr) == ("faulthandler" in setup)


def test_a_signal_that_was_sent_goes_to_the_handler_before_ours() -> None:
    code = PRELUDE + (
        "signal.signal(signal.SIGBUS, lambda *_: print('theirs', flush=True))\n"
        "data = Map(mapped)\n"
        "os.kill(os.getpid(), signal.SIGBUS)\n"
        "print(data.copy(0, 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.stdout == b"theirs\nb'\\x00\\x00'\n", done.stderr.decode()
    assert done.returncode == 0
