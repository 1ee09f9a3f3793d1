"""Files of AeorDB's are taken over by the first commit; a cut in it leaves the old state, for the
readers of such files, or the new one."""

import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import aeordb
import aeordb.storage.store as store
from aeordb.errors import NotDurableError
from aeordb.format.constants import SPARE_DEAD_PAGES, SPARE_DROPS, SPARE_MAGIC
from aeordb.testing import scenario as s
from aeordb.testing.recording import Recorder
from aeordb.testing.replay import Disk, Image
from aeordb.testing.scenario import CLOSE, kill, prepare, record
from aeordb.testing.tearing import apply, part
from tests.crash.form import FULL, new_disk
from tests.crash.judge import Judge, model_of, state_of
from tests.kit.fixtures import COMPLETE
from tests.kit.folders import noise
from tests.kit.layout import FILE, LOG_START, PAGE_LENGTH, SLOT_LENGTH, TAIL_MAGIC
from tests.kit.oracle import Oracle
from tests.kit.rules import check_file
from tests.kit.values import path_key

Copy = Callable[[str], Path]
FIRST = [s.put("/ours/first.txt", noise("first", 1500))]
# What AeorDB left in a file, which ours does not mend.
KNOWN = {
    "system.export-root": frozenset({"live path key without a path at HEAD: file /docs/a.txt"})
}
LARGE = 4 << 20


@pytest.mark.parametrize("name", COMPLETE)
def test_cut_in_the_first_commit_on_a_file_of_aeordbs(
    name: str, fixture_copy: Copy, tmp_path: Path
) -> None:
    path = fixture_copy(name)
    large = path.stat().st_size > LARGE and not FULL
    with aeordb.open(path, "r", jobs=1) as database:
        model = model_of(state_of(database))
    recording = record(path, FIRST if large else [*FIRST, s.put("/zz", b"b"), CLOSE], model=model)
    assert recording.error is None
    judge = Judge(
        tmp_path / "images",
        recording,
        theirs=True,
        known=KNOWN.get(name, frozenset()),
        oracle_every=15 if large else 3,
    )
    disk = new_disk(large=True, torn=1, mixed=1)
    every = 1 + (path.stat().st_size >> 21)
    judge.check_all(disk, every=every, write_every=30 if large else 8)
    assert set(judge.seen.values()) == set(recording.states)


def live_page(content: bytes) -> int:
    """Where the first page begins that holds an entry."""
    oracle = Oracle(content)
    number = next(n for n in range(oracle.slot.pages) if oracle.page(n))
    return LOG_START + number * PAGE_LENGTH


@pytest.mark.parametrize("name", ["system", "files", "killed"])
def test_a_torn_page_behind_a_good_hot_tail_is_mended_by_the_first_commit(
    name: str, fixture_copy: Copy, tmp_path: Path
) -> None:
    """Readers of AeorDB's files make up for a torn page by a scan. The first commit of ours took
    such a file over with its pages as they were, and under our marker a bad page is damage: what
    could be read before was lost to every reader. Nor may the pages be written anew while the
    old hot tail still stands: with empty pages it would read as a database that lost its files.
    """
    path = fixture_copy(name)
    content = bytearray(path.read_bytes())
    page = live_page(bytes(content))
    content[page + 40 : page + PAGE_LENGTH] = bytes(PAGE_LENGTH - 40)
    path.write_bytes(content)
    with aeordb.open(path, "r", jobs=1) as database:
        model = model_of(state_of(database))
    recording = record(path, FIRST, model=model)
    assert recording.error is None
    judge = Judge(tmp_path / "images", recording, theirs=True, oracle_every=40)
    judge.check_all(new_disk(large=True, torn=1, mixed=1), write_every=60)


def as_aeordbs(content: bytes) -> bytes:
    """The same file without our marker in its header slots."""
    raw = bytearray(content)
    for start in (0, SLOT_LENGTH):
        slot = raw[start : start + SLOT_LENGTH]
        if any(slot):
            slot[197:252] = bytes(55)
            slot[252:] = zlib.crc32(slot[:252]).to_bytes(4, "little")
            raw[start : start + SLOT_LENGTH] = slot
    return bytes(raw)


def test_a_torn_hot_tail_of_ours_is_not_taken_for_aeordbs(tmp_path: Path) -> None:
    """After a rebuild our first hot tail came to stand where AeorDB's header, still in force, looks
    for its own. Records have no checksum: a torn one of ours, with a whole head, was believed, and
    files whose index entries ride in the hot tail were gone or damaged.
    """
    path = tmp_path / "data.aeordb"
    model = prepare(path, [s.put("/a.txt", noise(i, 40)) for i in range(400)])
    content = path.read_bytes()
    header = Oracle(content).slot
    path.write_bytes(as_aeordbs(content)[: header.hot_tail])
    recording = record(path, FIRST, model=model)
    calls = recording.trace.calls
    number = next(i for i, call in enumerate(calls) if call.data.startswith(TAIL_MAGIC))
    count = int.from_bytes(calls[number].data[6:10], "little")
    assert count > 10
    judge = Judge(tmp_path / "images", recording, theirs=True, oracle_every=40)
    judge.check_all(new_disk(large=True, torn=6), write_every=60)
    disk = Disk(recording.trace.before)
    for call in calls[:number]:
        disk.follow(call)
    content = bytearray(disk.visible()[str(path)])
    # Only a stretch of its last record is missing.
    end = 18 + 46 * count - 20
    apply(content, part(calls[number], 0, end - 20))
    apply(content, part(calls[number], end, calls[number].length))
    judge.check(Image({str(path): bytes(content)}, number + 1, "torn in the last record"))


@pytest.mark.parametrize("name", ["voids", "voids-reused"] if FULL else ["voids"])
def test_a_cut_off_commit_in_a_collected_file_leaves_nothing_for_a_scan(
    name: str, fixture_copy: Copy
) -> None:
    """Until AeorDB's dead index entries are gone, its free space is left alone. The next writer
    took all free space for AeorDB's, that of ours too, which the cut commit had begun to fill:
    its entries stayed behind, intact and newest, and AeorDB's next scan would have made the files
    that were never committed live ones.
    """
    path = fixture_copy(name)
    with aeordb.open(path, "r", jobs=1) as database:
        model = model_of(state_of(database))
    steps = [s.put("/one", b"1"), s.put("/lost.txt", b"never committed")]
    recording = record(path, steps, model=model, recorder=Recorder(fail_sync=4))
    assert isinstance(recording.error, NotDurableError)
    assert recording.database is not None
    kill(recording.database)
    again = record(path, [s.put("/two", b"2"), CLOSE], model=model)
    assert again.error is None
    oracle = Oracle(path, rebuild=True)
    assert oracle.entry(path_key(FILE, "/lost.txt")) is None
    assert oracle.entry(path_key(FILE, "/two")) is not None
    assert check_file(path, taken_over=True) == []


def test_times_go_on_rising_where_the_clock_is_far_behind(fixture_copy: Copy) -> None:
    """A scan's highest time is not believed if no writer can have given it yet. Measured by this
    machine's clock alone, on one that is days behind the times of the file's last entries were
    given out again.
    """
    path = fixture_copy("dirty")
    latest = max(entry.time for entry in Oracle(path).scan())
    assert time.time_ns() < latest * 1_000_000
    assert record(path, FIRST).error is None
    entry = Oracle(path).entry(path_key(FILE, "/ours/first.txt"))
    assert entry is not None
    assert entry.time > latest


@pytest.mark.parametrize("name", ["voids", "voids-reused"] if FULL else ["voids"])
def test_cut_while_dead_entries_leave_the_pages(
    name: str, fixture_copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first checkpoint of a file that AeorDB collected takes out what its gc left dead in the
    pages, and frees its ranges for use: the next commits fill them."""
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", 12)
    path = fixture_copy(name)
    large = path.stat().st_size > LARGE and not FULL
    with aeordb.open(path, "r", jobs=1) as database:
        model = model_of(state_of(database))
    steps = [s.put(f"/ours/{i}.txt", noise(i, 700)) for i in range(6)]
    recording = record(path, [*steps, CLOSE], model=model)
    assert recording.error is None
    flags = [
        call.data[197 + 5]
        for call in recording.trace.calls
        if call.length == SLOT_LENGTH and call.data[197:201] == SPARE_MAGIC
    ]
    assert any(flag & SPARE_DROPS for flag in flags)
    assert flags[0] & SPARE_DEAD_PAGES
    assert not flags[-1] & SPARE_DEAD_PAGES
    judge = Judge(tmp_path / "images", recording, theirs=True, oracle_every=15 if large else 5)
    disk = new_disk(large=True, torn=1, mixed=1, each=6)
    every = 30 if FULL else 60
    judge.check_all(disk, every=every, write_every=200)
    assert set(judge.seen.values()) == set(recording.states)
