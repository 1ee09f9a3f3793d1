"""The replayer itself: what images it makes, and that a writer without a sync does not pass."""

from dataclasses import replace
from pathlib import Path

import pytest

from aeordb.testing import scenario as s
from aeordb.testing.recording import (
    FOLDER,
    OPEN,
    PUNCH,
    RENAME,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
    Call,
)
from aeordb.testing.replay import Disk, Trace
from aeordb.testing.scenario import CLOSE, Recording, prepare, record
from aeordb.testing.tearing import cuts
from tests.crash.judge import Judge


def contents(*calls: Call, before: bytes = b"") -> set[bytes | None]:
    """Every content that the file `f` may have after all these calls."""
    trace = Trace([Call(OPEN, 0, name="f"), *calls], {"f": before})
    images = Disk({}, mixed=0).images(trace)
    return {image.files.get("f") for image in images if image.count == len(trace.calls)}


def test_a_write_is_there_or_not_or_torn() -> None:
    found = contents(Call(WRITE, 0, 1, 2, b"xy"), before=b"abcd")
    assert found == {b"axyd", b"abcd", b"axcd", b"abyd"}


def test_each_unsynced_write_may_be_lost_and_may_be_all_that_is_left() -> None:
    found = contents(*(Call(WRITE, 0, i, 1, b"x") for i in range(3)), before=b"abc")
    assert found == {b"xxx", b"abc", b"xxc", b"axx", b"xbx", b"xbc", b"axc", b"abx"}


def test_what_was_synced_stays() -> None:
    calls = [Call(WRITE, 0, 0, 1, b"x"), Call(SYNC, 0), Call(WRITE, 0, 1, 1, b"y")]
    assert contents(*calls, before=b"ab") == {b"xy", b"xb"}
    assert contents(*calls[:2], before=b"ab") == {b"xb"}


def test_a_size_may_come_without_the_bytes() -> None:
    found = contents(Call(WRITE, 0, 2, 2, b"xy"), before=b"ab")
    assert {b"ab", b"ab\0\0", b"abxy", b"abx", b"ab\0y"} == found


def test_a_cut_file_and_a_hole_may_come_or_not() -> None:
    assert contents(Call(TRUNCATE, 0, length=1), before=b"abc") == {b"a", b"abc"}
    found = contents(Call(PUNCH, 0, 1, 9), before=b"abc")
    assert {b"abc", b"a\0\0"} <= found
    assert all(len(content or b"") == 3 for content in found)


def test_names_are_independent_until_their_folder_is_synced() -> None:
    calls = [
        Call(OPEN, 0, name="part", created=True),
        Call(WRITE, 0, 0, 1, b"x"),
        Call(SYNC, 0),
        Call(RENAME, name="part", target="f"),
    ]
    for more, expected in ((0, {(), ("part",), ("f",)}), (1, {("f",)})):
        trace = Trace([*calls, *[Call(FOLDER, name=".")] * more])
        images = [i for i in Disk({}).images(trace) if i.count == len(trace.calls)]
        assert {tuple(image.files) for image in images} == expected
        assert all(content == b"x" for image in images for content in image.files.values())
    gone = Trace([Call(UNLINK, name="f")], {"f": b"x"})
    assert next(i.files for i in Disk({}).images(gone)) == {"f": b"x"}


def test_tears_are_at_sectors_and_between() -> None:
    places = cuts(Call(WRITE, 0, 1000, 2000, bytes(2000)), 12)
    assert {24, 536, 1048, 1560} <= set(places)
    assert {1, 18, 63, 1999} <= set(places)
    assert all(0 < place < 2000 for place in places)


def without(recording: Recording, number: int) -> Recording:
    """The same, but one call was never made."""
    trace = recording.trace
    calls = trace.calls[:number] + trace.calls[number + 1 :]
    begun, acked = ([x - (x > number) for x in row] for row in (trace.begun, trace.acked))
    return replace(recording, trace=Trace(calls, trace.before, begun, acked))


def test_a_commit_without_its_syncs_does_not_pass(tmp_path: Path) -> None:
    """If the judge let this pass, all that it lets pass would mean nothing."""
    path = tmp_path / "data.aeordb"
    model = prepare(path, [s.put("/a.txt", b"1"), CLOSE])
    steps = [s.put("/a.txt", b"2"), s.put("/b.txt", b"3"), s.put("/c.txt", b"4")]
    recording = record(path, steps, model=model)
    syncs = [i for i, call in enumerate(recording.trace.calls) if call.kind == SYNC]
    first = next(i for i in syncs if i > recording.trace.begun[1])
    for number in [i for i in syncs if i >= first]:
        judge = Judge(tmp_path / "images", without(recording, number))
        with pytest.raises(AssertionError):
            judge.check_all(Disk({}, torn=1), write_every=8)
    Judge(tmp_path / "images", recording).check_all(Disk({}, torn=1), write_every=8)
