"""Whether a file is what a cut may leave: it opens, without a scan, at a state that was committed
or in flight, reads the same in every way, and can be written to again."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import aeordb
import aeordb.storage.state as storage_state
from aeordb.errors import AeorDBError
from aeordb.format import constants as c
from aeordb.maintenance.findings import HEADER_SLOT
from aeordb.native.hashing import blake3
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import WRITE, QuickLayer, ReadOnlyLayer
from aeordb.testing.replay import Disk, Image
from aeordb.testing.scenario import SYSTEM, Model, Recording, Row, Rows, State
from aeordb.versions.system import system_files

AFTER = {"/after/one.txt": b"after the cut", "/after/two.bin": bytes(range(256)) * 24}
"""The files that a judge writes to see whether another commit works."""

_SCAN = "rebuild_index"
_IMAGE = "image.aeordb"


def rows_of(view: aeordb.View) -> Rows:
    """All of a version, each file read to its end."""
    rows: list[Row] = []
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
    """HEAD and every name of an open database, and as the name `system` its keys and settings."""
    names = [(s.name, s.name) for s in database.snapshots.list()]
    names += [(f"fork {f.name}", f.name) for f in database.forks.list()]
    found = {label: rows_of(database.at(name)) for label, name in names}
    system = system_rows(database)
    if system:
        found[SYSTEM] = system
    return rows_of(database.at("HEAD")), tuple(sorted(found.items()))


def system_rows(database: aeordb.Database) -> Rows:
    """The API keys by label and what has become of them, and the files of the configuration."""
    rows = [
        (f"key {key.label}", "revoked" if key.is_revoked else "key", 0, "")
        for key in database.api_keys.list()
    ]
    for path, data in system_files(database.reader(), c.CONFIG_ROOT):
        rows.append((path, "file", len(data), blake3(data).hex()))
    return tuple(sorted(rows))


def check_lists(view: aeordb.View, rows: Rows) -> None:
    """Each folder lists what the walk met in it, and each path of the walk is found."""
    folders = ["/", *(row[0] for row in rows if row[1] == "folder")]
    listed = []
    for folder in folders:
        for stat in view.list(folder, hidden=True):
            what = stat.hash if stat.kind == "file" else stat.target
            listed.append((stat.path, stat.kind, stat.size, what or ""))
            assert view.stat(stat.path) == stat
    assert tuple(sorted(listed)) == rows, "listings differ from the walk"


def model_of(state: State) -> Model:
    """A model that begins at a state."""
    assert state is not None
    return Model({row[0]: row for row in state[0]}, dict(state[1]))


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


def check_commit(path: Path, found: State, *, create: bool = False) -> None:
    """Another commit works on the database at `path`, and leaves the rest as it was `found`.

    `create`: no cut left a database there, and a new one is made. Raises AssertionError.
    """
    model = model_of(found)
    with (
        use_layer(QuickLayer()),
        aeordb.open(path, "x" if create else "r+", jobs=1) as database,
    ):
        for name, data in AFTER.items():
            database.put(name, data)
            model.put(name, data)
    with aeordb.open(path, "r", jobs=1) as database:
        assert state_of(database) == model.state(), "after one more commit"


Look = Callable[[bytes, Rows], object]
"""A reader of one's own: gets the file's bytes and HEAD's rows, raises AssertionError."""

Rules = Callable[[Path], Iterable[str]]
"""Rules of one's own for a closed file: one sentence for each that it breaks."""


class Judge:
    """Looks at images of one recording; each distinct one once.

    Cheap, for every image: it opens without a scan, at an allowed state; walk, get and lists agree.
    Dear, for a sample: it verifies clean, its export holds the same, it takes another commit.
    Raises AssertionError with the cut's place and cause where an image is not what it may be; the
    image is then kept in `folder` as `failed.aeordb`.

    Args:
        folder: where images are put; made if need be. Memory (/dev/shm) is fastest.
        recording: what was done, and what it led to.
        early: states that are allowed too until the first step is acknowledged.
        may_scan: whether an image with these bytes may be opened by a scan, and be found fault with
            (files that AeorDB wrote).
        look: another reader for each image.
        rules: other rules for each file that was written to after its cut.
        known_kinds: kinds of findings that `verify` may have, besides a torn header slot.
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
        known_kinds: Collection[str] = (),
    ) -> None:
        self.recording = recording
        self.seen: dict[bytes, State] = {}
        self.written = 0
        self._early = list(early)
        self._may_scan = may_scan or (lambda content: False)
        self._extra_look = look
        self._rules = rules
        self._known_kinds = {HEADER_SLOT, *known_kinds}
        self._folder = folder
        self._folder.mkdir(exist_ok=True)

    def check_all(
        self, disk: Disk, *, every: int = 1, write_every: int = 1, verify_every: int | None = None
    ) -> int:
        """All images of the trace; how many distinct ones.

        Every `write_every`th is written to, and the first in which a header slot is on its way;
        every `verify_every`th is verified and exported (None: as many as are written to). `every`:
        only a part of the images, and each header slot's first.
        """
        calls = self.recording.trace.calls
        slots = -1
        for count, image in enumerate(disk.images(self.recording.trace)):
            call = calls[image.count - 1] if image.count else None
            slot = call is not None and call.kind == WRITE and call.end <= c.HEADERS_LENGTH
            first = slot and image.count != slots
            if first:
                slots = image.count
            if count % every and not first:
                continue
            number = len(self.seen)
            write = first or number % write_every == 0
            verify = number % (verify_every or write_every) == 0
            self.check(image, write=write, verify=verify)
        return len(self.seen)

    def check(self, image: Image, *, write: bool = True, verify: bool = False) -> State:
        """One image; the state that was found in it.

        `write`: it must take another commit too; `verify`: it must verify clean, and be exported.
        """
        digest = image.digest()
        new = digest not in self.seen
        try:
            if new:
                self.seen[digest] = self._look(image)
            found = self.seen[digest]
            least, most = self.recording.bounds(image.count)
            allowed = self.recording.states[least : most + 1] + (self._early if not least else [])
            assert found in allowed, self._describe(found, least, most)
            if new and verify and found is not None:
                self._verify(image, found)
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
        for old in os.scandir(self._folder):
            if old.name.startswith(_IMAGE):
                os.unlink(old.path)
        original = str(self.recording.path)
        for name, content in image.files.items():
            assert name.startswith(original), name
            place = self._folder / (_IMAGE + name[len(original) :])
            place.write_bytes(content)
            if name == original:
                database = place
        return database

    def _look(self, image: Image) -> State:
        path = self.put(image)
        if path is None:
            return None
        before = image.files[str(self.recording.path)]
        scan = nullcontext() if self._may_scan(before) else no_scan()
        with use_layer(ReadOnlyLayer()), scan, aeordb.open(path, "r", jobs=1) as database:
            found = state_of(database)
            assert found is not None
            check_lists(database.at(), found[0])
        assert path.read_bytes() == before, "a reader changed the file"
        if self._extra_look is not None:
            self._extra_look(before, found[0])
        return found

    def _verify(self, image: Image, found: State) -> None:
        assert found is not None
        path = self._folder / _IMAGE
        if not self._may_scan(image.files[str(self.recording.path)]):
            findings = aeordb.verify(path, jobs=1).findings
            bad = [finding for finding in findings if finding.kind not in self._known_kinds]
            assert not bad, f"verify finds {bad[:3]}"
        copy = self._folder / (_IMAGE + ".export")
        with use_layer(QuickLayer()), aeordb.open(path, "r", jobs=1) as database:
            database.export(copy)
        with aeordb.open(copy, "r", jobs=1) as database:
            assert rows_of(database.at()) == found[0], "the export holds something else"

    def _write(self, image: Image, found: State) -> None:
        place = self.put(image)
        path = place or self._folder / _IMAGE
        check_commit(path, ((), ()) if place is None else found, create=place is None)
        findings = list(self._rules(path)) if self._rules is not None else []
        assert not findings, findings[:5]
        names = {entry.name for entry in os.scandir(self._folder)}
        leftovers = {name for name in names if name.startswith(_IMAGE)} - {_IMAGE, f"{_IMAGE}.lock"}
        assert not leftovers, leftovers
