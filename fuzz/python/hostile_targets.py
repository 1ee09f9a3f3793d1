"""Fuzz targets that open, verify, repair, collect, write to, export and import hostile files.

Each input is a recipe (kit/recipes.py): a kept file with lies in it whose checksums, hashes and
addresses are right. A target passes if what it does ends with an AeorDBError or well; in the second
case the file must be as it says. Nothing may take long, or much memory.

    python fuzz/python/hostile_targets.py [target ...] [--seconds N] [--seed N]
                                          [--engine plain|atheris] [--keep]

makes recipes and stops at the first failure, whose recipe is kept as fuzz-failure.bin and whose
file as fuzz-failure.aeordb. `--keep` puts recipes that ended as none before into the corpus.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from blake3 import blake3

import aeordb
from aeordb.errors import AeorDBError
from aeordb.format.header import live_slot
from aeordb.maintenance.findings import (
    ADDRESS,
    CONTENT,
    GAP,
    HEADER_FIELD,
    INDEX,
    OVERLAP,
    PATH_KEY,
    TIME,
    UNINDEXED,
    VOID,
)
from aeordb.storage.datafile import OsLayer, use_layer
from fuzz.python.kit import driver
from fuzz.python.kit.reader import Reader
from fuzz.python.kit.recipes import FILES, file_bytes, make
from tests.kit.rules import check_file

DATABASES = ("history", "unclean", "collected", "system", "theirs", "export", "btree")
BACKUPS = ("export", "export", "btree", "privileged", "history", "theirs")
PATCHES = ("patch", "patch", "patch", "back")
State = dict[str, object]
UNSAFE = {OVERLAP, VOID, INDEX}


class QuickLayer(OsLayer):
    """No syncs: nobody pulls the plug."""

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync_folder(self, path: str) -> None:
        pass


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder, in memory where that is possible."""
    memory = Path("/dev/shm")
    place = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
    with place as folder, use_layer(QuickLayer()):
        yield Path(folder)


def state_of(db: aeordb.Database) -> State:
    """Every path of every version with its content; an error where there is one."""
    found: State = {}
    versions = ["HEAD"]
    with driver.expecting(found, "names"):
        versions += [snapshot.name for snapshot in db.snapshots.list()]
        versions += [fork.name for fork in db.forks.list()]
    for version in versions:
        with driver.expecting(found, version):
            view = db.at(version)
            for stat in view.walk(hidden=True):
                row: object = stat.target
                if stat.kind == "file":
                    row = "?"
                    with driver.expecting(found, f"{version}:{stat.path} read"):
                        data = view.open(stat.path).read()
                        row = data, stat.hash in (None, blake3(data).hexdigest())
                # Two children of one name are two rows.
                found.setdefault(f"{version}:{stat.path}", (stat.kind, row))
    return found


def bad(state: State) -> list[str]:
    """What of a state could not be read, or is not what its hash says."""
    return [
        f"{name}: {row}"
        for name, row in state.items()
        if not isinstance(row, tuple) or row[1] == "?" or (row[0] == "file" and not row[1][1])
    ]


def good(state: State) -> State:
    """What of a state could be read."""
    return {name: row for name, row in state.items() if isinstance(row, tuple) and row[1] != "?"}


def read(path: Path) -> State:
    with aeordb.open(path, "r", jobs=1) as db:
        return state_of(db)


def assert_whole(path: Path, *but: str) -> None:
    """Fails unless verify finds nothing, `but` for these kinds."""
    report = aeordb.verify(path, deep=CONTENT not in but, jobs=1)
    findings = [finding for finding in report.findings if finding.kind not in but]
    assert not findings, f"verify: {findings[0]}"


def assert_rules(path: Path) -> None:
    """Fails unless verify and the rules of the tests, which share no code with it, find nothing."""
    assert_whole(path)
    broken = check_file(path)
    assert not broken, f"rules: {broken[0]}"


def findings_of(path: Path) -> set[str] | None:
    """The kinds of what verify finds; None where it cannot even begin."""
    try:
        return {finding.kind for finding in aeordb.verify(path, deep=True, jobs=1).findings}
    except AeorDBError:
        return None


def prepare(reader: Reader, names: tuple[str, ...], folder: Path) -> Path:
    """The hostile file."""
    path = folder / "hostile.aeordb"
    path.write_bytes(make(reader.pick(names), reader))
    return path


def fuzz_open(reader: Reader, folder: Path) -> None:
    """Opens and reads all there is; the file stays as it is."""
    path = prepare(reader, DATABASES, folder)
    before = path.read_bytes()
    aeordb.info(path)
    with aeordb.open(path, "r", jobs=1) as db:
        state_of(db)
        versions = ["HEAD"]
        with driver.expecting({}, ""):
            versions += [snapshot.name for snapshot in db.snapshots.list()]
        for version in versions:
            with driver.expecting({}, ""):
                list(db.diff(version, versions[-1], folders=True))
        for path_ in ("/a.txt", "/folder", "/b/c", "/link"):
            with driver.expecting({}, ""):
                db.log(path_)
            with driver.expecting({}, ""):
                db.at("HEAD").follow(path_)
        with driver.expecting({}, ""):
            db.gc(dry_run=True)
        with driver.expecting({}, ""):
            db.is_root_key(root_key())
        db.status()
    assert path.read_bytes() == before, "reading changed the file"


def fuzz_verify(reader: Reader, folder: Path) -> str:
    """What verify passes can be read, every version and every file."""
    path = prepare(reader, DATABASES, folder)
    before = path.read_bytes()
    report = aeordb.verify(path, deep=True, jobs=1)
    assert path.read_bytes() == before, "verify changed the file"
    if report.ok:
        wrong = bad(read(path))
        assert not wrong, f"verify passed what cannot be read: {wrong[0]}"
    else:
        assert report.findings
        for finding in report.findings:
            assert finding.what
            str(finding)
    return " ".join(sorted({finding.kind for finding in report.findings})) or "ok"


def fuzz_repair(reader: Reader, folder: Path) -> None:
    """What repair makes is whole, and needs no repair."""
    path = prepare(reader, DATABASES, folder)
    before = path.read_bytes()
    refill = [folder / "refill"] if reader.byte() & 1 else []
    for backup in refill:
        backup.write_bytes(file_bytes("export"))
    try:
        report = aeordb.repair(path, refill=refill, jobs=1)
    finally:
        assert path.read_bytes() == before, "repair changed the file"
    if report.output is not None:
        # A system file whose record has another path keeps it.
        assert_whole(Path(report.output), CONTENT, ADDRESS)
        if aeordb.verify(report.output, jobs=1).ok:
            assert aeordb.repair(report.output, jobs=1).output is None
        with aeordb.open(report.output, jobs=1) as db:
            db.put("/after", b"repair")


def change(reader: Reader, folder: Path, work: Callable[[aeordb.Database], object]) -> None:
    """Opens a hostile file for writing and does something; what could be read can be read still,
    and what was whole is whole. (Not where live entries are listed as free: a writer takes the
    list of its file at its word.)"""
    path = prepare(reader, DATABASES, folder)
    found = findings_of(path)
    before = good(read(path))
    ours = found is not None and live_slot(path.read_bytes()[:512]).header.spare is not None
    try:
        with aeordb.open(path, "r+", jobs=1) as db:
            work(db)
    finally:
        after = good(read(path)) if found is not None and not found & UNSAFE else before
        for name, row in before.items():
            if not name.startswith("HEAD:/after"):
                assert after.get(name) == row, f"{name} was readable"
    if found == set():
        # What AeorDB may leave is found once its file is one of ours.
        theirs = () if ours else (TIME, HEADER_FIELD)
        assert_whole(path, PATH_KEY, UNINDEXED, GAP, *theirs)


def fuzz_gc(reader: Reader, folder: Path) -> None:
    """Collects garbage."""
    compact = bool(reader.byte() & 1)
    change(reader, folder, lambda db: db.gc(compact=compact, jobs=1))


def fuzz_write(reader: Reader, folder: Path) -> None:
    """Writes; a snapshot keeps what was."""
    what = reader.byte()

    def work(db: aeordb.Database) -> None:
        db.snapshots.create("kept")
        db.put("/after", b"written")
        if what & 1:
            db.put("/after.d/deep/er", b"written" * 100)
        if what & 2:
            db.delete("/after")
        if what & 4:
            db.symlink("/after", "/after.l")
        assert what & 2 or db.get("/after") == b"written"

    change(reader, folder, work)


def fuzz_export(reader: Reader, folder: Path) -> None:
    """An export holds the version as it is, and is whole if the file was."""
    what = reader.byte()
    path = prepare(reader, DATABASES, folder)
    output, sound = folder / "output", findings_of(path) == set()
    with aeordb.open(path, "r", jobs=1) as db:
        if what & 1:
            db.export(output, jobs=1)
            if sound:
                assert_whole(output)
            found = {k: v for k, v in read(output).items() if k.startswith("HEAD")}
            held = {k: v for k, v in state_of(db).items() if k.startswith("HEAD")}
            assert found == held, "the export is another version"
        else:
            name = (db.snapshots.list() or [None])[0]
            if name and db.export_patch(output, base=name.name, jobs=1).output:
                assert aeordb.info(output)


def fuzz_import_full(reader: Reader, folder: Path) -> None:
    """Imports what lies: all or nothing, and nothing wrong."""
    take(reader, folder, BACKUPS)


def fuzz_import_patch(reader: Reader, folder: Path) -> None:
    """The same with patches."""
    take(reader, folder, PATCHES)


def root_key() -> str:
    return (FILES / "target.key").read_text()


def take(reader: Reader, folder: Path, names: tuple[str, ...]) -> None:
    what = reader.byte()
    backup = prepare(reader, names, folder)
    target = folder / "target"
    target.write_bytes(file_bytes("target"))
    lied = backup.read_bytes()
    before = read(target)
    with aeordb.open(target, jobs=1) as db:
        head = db.head
        key = root_key() if what & 0xF0 == 0xF0 else None
        try:
            report = db.import_(
                backup,
                promote=bool(what & 1),
                force=bool(what & 2),
                salvage=bool(what & 4),
                dry_run=bool(what & 8 and what & 4),
                root_key=key,
                jobs=1,
            )
        except AeorDBError:
            db.close()
            assert target.read_bytes() == file_bytes("target"), "a refused import changed the file"
            raise
        finally:
            assert backup.read_bytes() == lied, "import wrote into the backup"
        state = state_of(db)
        assert what & 1 or db.head == head, "HEAD moved without promote"
    for name, row in before.items():
        assert state.get(name) == row or (what & 1 and name.startswith("HEAD")), f"{name} changed"
    wrong = bad(state)
    assert not wrong, f"imported what cannot be read: {wrong[0]}"
    assert_rules(target)
    with aeordb.open(target, jobs=1) as db:
        again = db.import_(backup, force=True, salvage=bool(what & 4), root_key=key, jobs=1)
        assert again.version == report.version
    assert_rules(target)


def run(name: str, data: bytes) -> str:
    """Runs one recipe; how it ended: well, or the error without its numbers."""
    with workplace() as folder:
        try:
            return TARGETS[name](Reader(data), folder) or "ok"
        except AeorDBError as error:
            str(error), error.to_json()
            text = re.sub(r"'[^']*'|[0-9a-f]{8,}|\d+", "#", error.message)
            return f"{type(error).__name__}: {text}"
        except BaseException:
            driver.keep_failure(data)
            for path in folder.glob("hostile.aeordb"):
                shutil.copy(path, "fuzz-failure.aeordb")
            raise


TARGETS: dict[str, Callable[[Reader, Path], str | None]] = {
    name.removeprefix("fuzz_"): target
    for name, target in sorted(globals().items())
    if name.startswith("fuzz_")
}
PREFIX = "hostile"


if __name__ == "__main__":
    driver.main(__doc__, PREFIX, TARGETS, run)
