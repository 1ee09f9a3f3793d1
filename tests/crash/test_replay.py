"""The replayer itself: what images it makes, and that a writer without a sync does not pass."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aeordb.testing import scenario as s
from aeordb.testing.recording import (
    FOLDER,
    MKDIR,
    OPEN,
    PUNCH,
    RENAME,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
    Call,
    Recorder,
)
from aeordb.testing.replay import Disk, Trace
from aeordb.testing.scenario import CLOSE, Recording, prepare, record
from aeordb.testing.tearing import cuts
from tests.crash.judge import Judge


def contents(*calls: Call, before: bytes = b"", **depth: Any) -> set[bytes | None]:
    """Every content that the file `f` may have after all these calls."""
    trace = Trace([Call(OPEN, 0, name="f"), *calls], {"f": before})
    images = Disk({}, **{"mixed": 0, **depth}).images(trace)
    return {image.files.get("f") for image in images if image.count == len(trace.calls)}


def test_a_write_is_there_or_not_or_torn() -> None:
    found = contents(Call(WRITE, 0, 1, 2, b"xy"), before=b"abcd")
    assert found == {b"axyd", b"abcd", b"axcd", b"abyd"}


def test_each_unsynced_write_may_be_lost_and_may_be_all_that_is_left() -> None:
    found = contents(*(Call(WRITE, 0, i, 1, b"x") for i in range(3)), before=b"abc")
    assert found == {b"xxx", b"abc", b"xxc", b"axx", b"xbx", b"xbc", b"axc", b"abx"}


def test_of_few_unsynced_writes_any_may_be_lost() -> None:
    calls = [Call(WRITE, 0, i, 1, b"x") for i in range(6)]
    assert len(contents(*calls, before=bytes(6), subsets=6)) == 64
    some = contents(*calls, before=bytes(6), subsets=5, chosen=9)
    assert {b"x" * 6, bytes(6), b"x" + bytes(5), bytes(1) + b"x" * 5} <= some
    assert 14 < len(some) < 24


def test_sectors_inside_a_write_are_old_or_new_each() -> None:
    call = Call(WRITE, 0, 500, 1000, b"x" * 1000)
    found = contents(call, before=bytes(2000), torn=0, sectors=8)
    parts = {(c[500:512], c[512:1024], c[1024:1500]) for c in found if c is not None}
    uniform = [p for p in parts if all(len(set(piece)) == 1 for piece in p)]
    assert len(uniform) == 8


def test_where_a_file_grew_there_may_be_what_it_held_before() -> None:
    calls = [Call(TRUNCATE, 0, length=2), Call(SYNC, 0), Call(WRITE, 0, 2, 4, b"wxyz")]
    found = contents(*calls, before=b"abcd", stale=True)
    assert {b"ab", b"ab\0\0\0\0", b"abcdab", b"abwxyz"} <= found
    assert b"abcdab" not in contents(*calls, before=b"abcd")


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


def names_after(*calls: Call, before: Iterable[str] = ()) -> set[tuple[str, ...]]:
    trace = Trace(list(calls), dict.fromkeys(before, b""))
    images = Disk().images(trace)
    return {tuple(sorted(image.files)) for image in images if image.count == len(calls)}


def test_names_are_independent_of_each_other() -> None:
    calls = [Call(UNLINK, name="a"), Call(RENAME, name="b", target="c")]
    assert names_after(*calls, before="ab") == {("a", "b"), ("b",), ("a", "c"), ("c",)}
    assert names_after(*calls, Call(FOLDER, name="."), before="ab") == {("c",)}
    assert len(names_after(*calls, Call(FOLDER, name="elsewhere"), before="ab")) == 4


def test_what_is_in_a_new_folder_is_there_once_that_folders_own_name_is() -> None:
    calls = [
        Call(MKDIR, name="new"),
        Call(OPEN, 0, name="new/f", created=True),
        Call(FOLDER, name="new"),
    ]
    assert names_after(*calls) == {(), ("new/f",)}
    assert names_after(*calls, Call(FOLDER, name=".")) == {("new/f",)}


def test_a_rename_before_the_sync_of_what_is_renamed_shows() -> None:
    calls = [Call(OPEN, 0, name="part", created=True), Call(WRITE, 0, 0, 1, b"x")]
    calls.append(Call(RENAME, name="part", target="f"))
    images = Disk().images(Trace(calls))
    assert {"f": b""} in [image.files for image in images]


def test_what_is_written_through_memory_is_recorded_before_the_sync(tmp_path: Path) -> None:
    recorder = Recorder()
    fd = recorder.open(str(tmp_path / "f"), os.O_RDWR | os.O_CREAT)
    recorder.pwrite(fd, bytes(20_000), 0)
    memory = recorder.map(fd, 20_000)
    memory[5000:5003] = b"abc"
    recorder.pwrite(fd, b"known", 0)
    recorder.fdatasync(fd)
    memory[19_999:] = b"d"
    recorder.fdatasync(fd)
    memory.close()
    recorder.close(fd)
    writes = [(c.offset, c.length, c.data.strip(b"\0")) for c in recorder.calls if c.kind == WRITE]
    assert writes[1:] == [(0, 5, b"known"), (4096, 4096, b"abc"), (16_384, 3616, b"d")]
    assert [c.kind for c in recorder.calls][-4:] == [WRITE, SYNC, WRITE, SYNC]


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
