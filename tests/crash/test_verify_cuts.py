"""What a power cut leaves is no damage: verify finds at most a torn header slot."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import aeordb
import aeordb.storage.store as store
from aeordb.maintenance.findings import HEADER_SLOT
from aeordb.testing import scenario as s
from aeordb.testing.scenario import CLOSE, KILL, Step, prepare, record
from tests.crash.form import new_disk
from tests.kit.folders import noise, prose

BASE = [
    s.put("/a.txt", b"first\n"),
    s.put("/folder/b.bin", noise("b", 3000)),
    s.snapshot("v1"),
    s.put("/folder/deep/c.txt", prose("c", 700)),
]
GC = Step("gc", lambda database: database.gc())
OPERATIONS: dict[str, Sequence[Step]] = {
    "commits": [
        s.put("/a.txt", b"second\n"),
        s.delete("/folder"),
        s.put("/small", noise("small", 2500)),
        CLOSE,
    ],
    "killed": [s.put("/x", noise("x", 3000)), KILL, s.put("/y", b"y"), CLOSE],
    "growth": [s.put("/b.txt", b"b"), s.reserve(900), s.put("/a.txt", b"c"), CLOSE],
    "gc": [s.put("/a.txt", b"second\n"), s.drop_snapshot("v1"), GC, CLOSE],
}


@pytest.mark.parametrize("records", [0, 512])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_cut_is_no_damage(
    name: str, records: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`records`: 0 makes every commit a checkpoint."""
    path, image_path = tmp_path / "data.aeordb", tmp_path / "image.aeordb"
    model = prepare(path, BASE)
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", records)
    recording = record(path, OPERATIONS[name], model=model)
    seen = set()
    for image in new_disk(torn=2, mixed=1).images(recording.trace):
        content = image.files.get(next((n for n in image.files if n.endswith(".aeordb")), ""))
        if content is None or (digest := hash(content)) in seen:
            continue
        seen.add(digest)
        image_path.write_bytes(content)
        findings = aeordb.verify(image_path).findings
        assert {finding.kind for finding in findings} <= {HEADER_SLOT}, (image.cause, findings)
    assert len(seen) > 20
