"""The mark of a clean close is believed: whatever a cut leaves of a close, a file that has it keeps
every rule as it stands, with no writer's first act between."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from aeordb.testing.replay import Disk
from aeordb.testing.scenario import CLOSE, KILL, Step, prepare, record
from tests.crash.form import FULL
from tests.crash.test_cuts import BASE, OPERATIONS
from tests.kit.layout import FLAG_CLEAN
from tests.kit.oracle import Oracle
from tests.kit.rules import check_file

# A slot that was being written counts for nothing, and is mended by the first act.
TORN = "neither good nor zero"


@pytest.mark.parametrize("name", OPERATIONS if FULL else ["close", "close-twice", "in-voids"])
@pytest.mark.parametrize("first", [CLOSE, KILL], ids=lambda step: step.name)
def test_what_is_marked_clean_is_clean(name: str, first: Step, tmp_path: Path) -> None:
    """Void entries that a close wrote in one go with its mark could be missing behind the mark; a
    writer of the next session seldom left one of them as it was, so no cut told."""
    path = tmp_path / "data.aeordb"
    model = prepare(path, [*BASE, first])
    steps: Sequence[Step] = OPERATIONS[name]
    recording = record(path, [*steps, CLOSE] if steps[-1] is not CLOSE else steps, model=model)
    place = tmp_path / "image.aeordb"
    seen = set()
    for image in Disk({}, torn=1, mixed=2).images(recording.trace):
        content = image.files[str(path)]
        if content in seen:
            continue
        seen.add(content)
        marker = Oracle(content).slot.ours
        assert marker is not None
        if marker.flags & FLAG_CLEAN:
            place.write_bytes(content)
            findings = [found for found in check_file(place) if TORN not in found]
            assert not findings, f"{image.cause}: {findings[:5]}"
    assert len(seen) > 10
