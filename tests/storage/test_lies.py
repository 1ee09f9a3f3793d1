"""Files whose every checksum is right and that lie in what these cover; found by fuzzing.

Before a writer changes a byte it refuses what it could not go on with; readers read what is there.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.native.pages import page_of
from fuzz.python.kit.draft import Draft, Place
from fuzz.python.kit.recipes import file_bytes

Lie = Callable[[Draft], None]
GROWTH = 3  # with the checkpoint's flag


def write(path: Path, lie: Lie, name: str = "history") -> Path:
    draft = Draft.parse(file_bytes(name))
    lie(draft)
    path.write_bytes(draft.build())
    return path


def set_field(**fields: int) -> Lie:
    return lambda draft: draft.slot.update(fields)


def list_void(offset: int, length: int) -> Lie:
    return lambda draft: draft.voids.append(Place(b"", 0, None, offset, length))


def refused(path: Path) -> None:
    before = path.read_bytes()
    with aeordb.open(path) as db, pytest.raises(DamagedError):
        db.put("/more", b"x")
    assert path.read_bytes() == before


def test_a_checkpoint_that_does_not_fit_its_page(tmp_path: Path) -> None:
    """Found by fuzzing: the writer that was to finish it met a plain fault of the helper."""

    def lie(draft: Draft) -> None:
        keys = (b"%032d" % number for number in range(10_000))
        full = [key for key in keys if page_of(key, 45) == 7][:33]
        draft.places += [Place(key, c.KV_CHUNK, draft.entries[0], 0, 0) for key in full]
        writes = sum(place.page is None for place in draft.places)
        draft.slot.update(flags=c.SPARE_CHECKPOINT, batch=writes)

    refused(write(tmp_path / "f", lie))


@pytest.mark.parametrize("field", ["sequence", "updated"])
def test_no_room_to_count_on(tmp_path: Path, field: str) -> None:
    """A commit's sequence, and the time of its first entry, passed the end of their numbers: an
    error of the codec, in the middle of the writer's first act."""
    path = write(tmp_path / "f", set_field(**{field: (1 << 63) - 1}))
    refused(path)
    with aeordb.open(path, "r") as db:
        assert db["/a.txt"] == b"second\n"


@pytest.mark.parametrize("name", ["history", "export"])
def test_more_entries_than_there_can_be(tmp_path: Path, name: str) -> None:
    """The count of entries, which nobody relies on, passed the end of numbers when a commit added
    to it; a little smaller, it would have made the index as large as it says."""
    path = write(tmp_path / "f", set_field(entry_count=(1 << 64) - 1), name)
    with aeordb.open(path) as db, db.transaction(expect_files=100_000) as tx:
        tx.put("/more", b"x")
    assert path.stat().st_size < 64 << 20
    assert aeordb.verify(path).ok


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": 255},
        {"stage": 1},
        {"resize_target": 0, "flags": GROWTH},
        {"target_stage": 255, "flags": GROWTH},
        {"target_stage": 30, "flags": GROWTH},
    ],
)
def test_a_block_of_no_stage(tmp_path: Path, fields: dict[str, int]) -> None:
    """A stage that is none was an error of the codec for who verified; a growth to stage 30 would
    have put zeros over 16 TB."""
    path = write(tmp_path / "f", set_field(**fields))
    refused(path)
    kinds = {finding.kind for finding in aeordb.verify(path).findings}
    assert kinds or "flags" in fields


@pytest.mark.parametrize("name", ["history", "theirs"])
@pytest.mark.parametrize("void", [((1 << 64) - 1, 100), (1, 70_000), (1 << 40, (1 << 32) - 1)])
def test_free_space_that_is_none(tmp_path: Path, name: str, void: tuple[int, int]) -> None:
    """Of our own files a writer believed what their hot tails listed as free: it put void entries
    over header and index. One that ended behind 2^64 ended readers with an OverflowError."""
    path = write(tmp_path / "f", list_void(*void), name)
    refused(path)
    aeordb.verify(path)
    with aeordb.open(path, "r") as db, suppress(DamagedError):  # where it hides what is needed
        db.gc(dry_run=True)


def test_a_type_that_nobody_knows(tmp_path: Path) -> None:
    """An entry of type 9 where a file record should be was a KeyError: it has no name."""

    def lie(draft: Draft) -> None:
        for piece in draft.entries:
            if piece.type == 2:
                piece.type = 9

    path = write(tmp_path / "f", lie)
    with aeordb.open(path, "r") as db, pytest.raises(DamagedError, match="type 9"):
        db.get("/a.txt")
