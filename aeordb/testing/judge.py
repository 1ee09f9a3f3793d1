"""Whether a file is what a cut may leave: it opens, without a scan, at a state that was committed
or in flight, reads the same in every way, and can be written to again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aeordb
import aeordb.storage.state as storage_state
from aeordb.errors import AeorDBError
from aeordb.format import constants as c
from aeordb.native.hashing import blake3
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import WRITE, QuickLayer, ReadOnlyLayer
from aeordb.testing.replay import Disk, Image
from aeordb.testing.scenario import Model, Recording, Rows, State

AFTER = {"/after/one.txt": b"after the cut", "/after/two.bin": bytes(range(256)) * 24}
"""The files that a judge writes to see whether another commit works."""

_SCAN = "rebuild_index"


def rows_of(view: Any) -> Rows:
    """All of a version, each file read to its end; `view` is a database or one of its views."""
    rows = []
    for stat in view.walk("/", hidden=True):
        if stat.kind == "file":
            data = view.read(stat.path)
            assert len(data) == stat.size, stat.path
            digest = blake3(data).hex()
            assert stat.hash in (None, digest), stat.path
            rows.append((stat.path, "file", len(data), digest))
        else:
            rows.append((stat.path, stat.kind, 0, stat.target or ""))
    return tuple(sorted(rows))


def state_of(database: aeordb.Database) -> State:
    """HEAD and every name of an open database."""
    names = [(s.name, s.name) for s in database.snapshots.list()]
    names += [(f"fork {f.name}", f.name) for f in database.forks.list()]
    found = {label: rows_of(database.at(name)) for label, name in names}
    return rows_of(database.at("HEAD")), tuple(sorted(found.items()))


def model_of(state: State) -> Model:
    """A model that begins at a state."""
    assert state is not None
    return Model({row[0]: row for row in state[0]}, copy.copy(dict(state[1])))


@contextmanager
def no_scan() -> Iterator[None]:
    """Fails where the index of a file is rebuilt from its log."""
    before = vars(storage_state)[_SCAN]

    def refuse(*_: object) -> None:
        raise AssertionError("the index is rebuilt by a scan")

    setattr(storage_state, _SCAN, refuse)
    try:
        yield
    finally:
        setattr(storage_state, _SCAN, before)


Look = Callable[[bytes, Rows], object]
"""A reader of one's own: gets the file's bytes and HEAD's rows, raises AssertionError."""

Rules = Callable[[Path], Iterable[str]]
"""Rules of one's own for a closed file: one sentence for each that it breaks."""


class Judge:
    """Looks at images of one recording; each distinct one once.

    Raises AssertionError with the cut's place and cause where an image is not what it may be; the
    image is then kept in `folder` as `failed.aeordb`.

    Args:
        folder: where images are put; made if need be.
        recording: what was done, and what it led to.
        early: states that are allowed too until the first step is acknowledged.
        may_scan: whether an image with these bytes may be opened by a scan (files of AeorDB's).
        look: another reader for each image.
        rules: other rules for each file that was written to after its cut.
    """

    def __init__(
        self,
        folder: Path,
        recording: Recording,
        *,
        early: Sequence[State] = (),
        may_scan: Callable[[bytes], bool] | None = None,
        look: Look | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.recording = recording
        self.seen: dict[bytes, State] = {}
        self.written = 0
        self._early = list(early)
        self._may_scan = may_scan
        self._extra_look = look
        self._rules = rules
        self._folder = folder
        self._folder.mkdir(exist_ok=True)

    def check_all(self, disk: Disk, *, every: int = 1, write_every: int = 1) -> int:
        """All images of the trace; how many distinct ones. Every `write_every`th is written to,
        and those in which a header slot is on its way. `every`: only a part of the images."""
        calls = self.recording.trace.calls
        for count, image in enumerate(disk.images(self.recording.trace)):
            call = calls[image.count - 1] if image.count else None
            slot = call is not None and call.kind == WRITE and call.end <= c.HEADERS_LENGTH
            if count % every and not slot:
                continue
            self.check(image, write=slot or len(self.seen) % write_every == 0)
        return len(self.seen)

    def check(self, image: Image, *, write: bool = True) -> State:
        """One image; the state that was found in it. `write`: it must take another commit too."""
        digest = image.digest()
        new = digest not in self.seen
        try:
            if new:
                self.seen[digest] = self._look(image)
            found = self.seen[digest]
            least, most = self.recording.bounds(image.count)
            allowed = self.recording.states[least : most + 1] + (self._early if not least else [])
            assert found in allowed, self._describe(found, least, most)
            if new and write:
                self._write(image, found)
                self.written += 1
        except (AssertionError, AeorDBError, ValueError, OSError, RuntimeError) as error:
            kept = self._folder / "failed.aeordb"
            for name, content in image.files.items():
                if name == str(self.recording.path):
                    kept.write_bytes(content)
            raise AssertionError(f"{image.cause}: {error!r} (image: {kept})") from error
        return found

    def _describe(self, found: State, least: int, most: int) -> str:
        states = self.recording.states
        at = [i for i, state in enumerate(states) if state == found]
        return f"state {at or found} was found, {least} to {most} are allowed"

    def put(self, image: Image) -> Path | None:
        """Writes an image's files to the work folder; where its database then is."""
        database = None
        for old in self._folder.glob("image*"):
            old.unlink()
        original = str(self.recording.path)
        for name, content in image.files.items():
            assert name.startswith(original), name
            place = self._folder / ("image.aeordb" + name[len(original) :])
            place.write_bytes(content)
            if name == original:
                database = place
        return database

    def _look(self, image: Image) -> State:
        path = self.put(image)
        if path is None:
            return None
        before = image.files[str(self.recording.path)]
        with use_layer(ReadOnlyLayer()):
            if self._may_scan is None or not self._may_scan(before):
                with no_scan(), aeordb.open(path, "r", jobs=1) as database:
                    found = state_of(database)
            else:
                with aeordb.open(path, "r", jobs=1) as database:
                    found = state_of(database)
        assert path.read_bytes() == before, "a reader changed the file"
        assert found is not None
        if self._extra_look is not None:
            self._extra_look(before, found[0])
        return found

    def _write(self, image: Image, found: State) -> None:
        path = self.put(image)
        with use_layer(QuickLayer()):
            mode = "r+"
            if path is None:
                path, mode, found = self._folder / "image.aeordb", "x", ((), ())
            assert found is not None
            model = model_of(found)
            with aeordb.open(path, mode, jobs=1) as database:  # type: ignore[arg-type]
                for name, data in AFTER.items():
                    database.put(name, data)
                    model.put(name, data)
        findings = list(self._rules(path)) if self._rules is not None else []
        assert not findings, findings[:5]
        with aeordb.open(path, "r", jobs=1) as database:
            assert state_of(database) == model.state(), "after one more commit"
        leftovers = {p.name for p in self._folder.glob("image*")}
        assert leftovers <= {"image.aeordb", "image.aeordb.lock"}, leftovers
