"""Whether a file is what a cut may leave: it opens, without a scan, at a state that was committed
or in flight, and can be written to again."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aeordb
import aeordb.storage.state as storage_state
from aeordb.errors import AeorDBError
from aeordb.storage.datafile import use_layer
from tests.crash.scenario import Model, Recording, Rows, State
from tests.kit.layout import LOG_START, MalformedError, h
from tests.kit.oracle import Oracle
from tests.kit.recording import WRITE, QuickLayer, ReadOnlyLayer
from tests.kit.replay import Disk, Image
from tests.kit.rules import check_file

AFTER = {"/after/one.txt": b"after the cut", "/after/two.bin": bytes(range(256)) * 24}


def rows_of(view: Any) -> Rows:
    """All of a version, each file read to its end."""
    rows = []
    for stat in view.walk("/", hidden=True):
        if stat.kind == "file":
            data = view.read(stat.path)
            assert len(data) == stat.size, stat.path
            digest = h(data).hex()
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


@contextmanager
def no_scan() -> Iterator[None]:
    """Fails where the index of a file is rebuilt from its log."""
    before = storage_state.rebuild_index

    def refuse(*_: object) -> None:
        raise AssertionError("the index is rebuilt by a scan")

    storage_state.rebuild_index = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        storage_state.rebuild_index = before


class Judge:
    """Looks at images of one recording; each distinct one once.

    Args:
        folder: where images are put.
        recording: what was done, and what it led to.
        theirs: the trace began with a file of AeorDB's.
        known: no finding of these counts (what AeorDB left in the file).
        early: states that are allowed too until the first step is acknowledged.
        oracle_every: every how manieth image the independent reader reads too.
    """

    def __init__(
        self,
        folder: Path,
        recording: Recording,
        *,
        theirs: bool = False,
        known: frozenset[str] = frozenset(),
        oracle_every: int = 1,
        early: Sequence[State] = (),
    ) -> None:
        self.recording = recording
        self.theirs = theirs
        self.known = known
        self.seen: dict[bytes, State] = {}
        self.written = 0
        self._oracle_every = oracle_every
        self._early = list(early)
        self._folder = folder
        self._folder.mkdir(exist_ok=True)

    def check_all(self, disk: Disk, *, every: int = 1, write_every: int = 1) -> int:
        """All images of the trace; how many distinct ones. Every `write_every`th is written to,
        and those in which a header slot is on its way. `every`: only a part of the images."""
        calls = self.recording.trace.calls
        for count, image in enumerate(disk.images(self.recording.trace)):
            call = calls[image.count - 1] if image.count else None
            slot = call is not None and call.kind == WRITE and call.end <= LOG_START
            if count % every and not slot:
                continue
            self.check(image, write=slot or len(self.seen) % write_every == 0)
        return len(self.seen)

    def check(self, image: Image, *, write: bool = True) -> State:
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
        except (AssertionError, AeorDBError, MalformedError, OSError, RuntimeError) as error:
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
        oracle = Oracle(before)
        ours = oracle.slot.ours is not None
        assert ours or self.theirs, "no marker of ours"
        with use_layer(ReadOnlyLayer()):
            if ours:
                with no_scan(), aeordb.open(path, "r", jobs=1) as database:
                    found = state_of(database)
            else:
                with aeordb.open(path, "r", jobs=1) as database:
                    found = state_of(database)
        assert path.read_bytes() == before, "a reader changed the file"
        assert found is not None
        if len(self.seen) % self._oracle_every:
            return found
        other = tuple(tuple(row) for row in oracle.tree(folders=True, hidden=True))
        assert found[0] == other, "the independent reader finds another tree"
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
        findings = set(check_file(path, ours=True, taken_over=self.theirs)) - self.known
        assert not findings, sorted(findings)[:5]
        with aeordb.open(path, "r", jobs=1) as database:
            assert state_of(database) == model.state(), "after one more commit"
        leftovers = {p.name for p in self._folder.glob("image*")}
        assert leftovers <= {"image.aeordb", "image.aeordb.lock"}, leftovers


def model_of(state: State) -> Model:
    """A model that begins at a state."""
    assert state is not None
    return Model({row[0]: row for row in state[0]}, copy.copy(dict(state[1])))
