"""What a growth of the index may write before the commit that makes it good."""

from pathlib import Path

import pytest

import aeordb
from aeordb.maintenance.sweep import Freeing
from aeordb.testing import scenario as s
from aeordb.testing.recording import CHANGES
from aeordb.testing.scenario import CLOSE, prepare, record
from tests.kit.folders import noise
from tests.kit.layout import DELETION, stage_length
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file


def test_an_entry_across_the_edge_stays_whole_until_its_copy_is_committed(tmp_path: Path) -> None:
    """The larger block ends inside an entry; that is copied, and what it leaves behind the edge
    becomes free. The range was listed as free at once: the copies themselves, and the void entry
    of the commit, were put over bytes that the live state still needed. A cut there lost a chunk.
    """
    path = tmp_path / "data.aeordb"
    model = prepare(path, [s.put("/big", noise("big", 700_000)), s.put("/small", b"small")])
    before = Oracle(path)
    edge = 512 + stage_length(1)
    across = next(x for x in before.index.values() if x.offset < edge < x.end)
    recording = record(path, [s.put("/new", b"new"), s.reserve(900), CLOSE], model=model)
    calls = recording.trace.calls[recording.trace.begun[1] :]
    slot = next(i for i, call in enumerate(calls) if call.kind in CHANGES and call.end <= 512)
    for call in calls[:slot]:
        assert call.kind not in CHANGES or call.offset >= across.end, call
    assert_file(path)
    after = Oracle(path)
    assert after.slot.stage == 1
    assert after.tree(folders=True) == [list(row) for row in model.head()]


class StoppedError(Exception):
    """What ends a gc here."""


def test_a_deletion_entry_in_the_way_is_kept_though_the_index_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gc that was killed had taken a deletion entry out of the index, and not yet the older file
    entry out of the log. The deletion entry stood in a range that was used again, so lower than
    the file entry: the next growth took only that room, copied what the index has, and dropped
    the deletion entry. A rebuild of the index then brought the deleted file back.
    """

    def stop(*_: object) -> None:
        raise StoppedError

    path = tmp_path / "data.aeordb"
    high = s.put_many({"/big": noise("big", 700_000), "/victim": noise("victim", 100)})
    model = prepare(path, [s.put("/low", noise("low", 40_000)), high, s.delete("/low"), CLOSE])
    with aeordb.open(path, jobs=1) as database:
        database.gc()
        database.delete("/victim")
        model.delete("/victim")
        with monkeypatch.context() as patched:
            patched.setattr(Freeing, "run", stop)
            with pytest.raises(StoppedError):
                database.gc()
        edge = 512 + stage_length(1)
        (deletion,) = (
            entry
            for entry in Oracle(path).scan()
            if entry.type == DELETION and b"victim" in entry.value
        )
        assert deletion.offset < edge
        s.reserve(900).do(database)
    after = Oracle(path)
    assert after.slot.stage == 1
    assert after.tree(folders=True) == [list(row) for row in model.head()]
    assert_file(path)
