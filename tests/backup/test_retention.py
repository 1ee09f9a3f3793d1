"""Backups with the time in their names: what they are called, and which of them may go."""

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

import aeordb
from aeordb.backup import scheduled
from aeordb.backup.retention import list_backups, make_label, make_name
from aeordb.errors import DamagedError, NotFoundError, UsageError
from aeordb.storage.working import at_work, remove_left
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file

FIRST = 1_776_567_600_000  # 2026-04-19 03:00:00 UTC
DAY = 86_400_000
Run = Callable[..., "aeordb.BackupReport"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the backups go."""
    return tmp_path / "backups"


@pytest.fixture
def run(db: aeordb.Database, folder: Path) -> Run:
    """Changes a file and makes a backup, a day later each time; `change=False`: only the latter."""
    days = count()

    def backup(*, change: bool = True, **options: object) -> aeordb.BackupReport:
        day = next(days)
        if change:
            db.put("/changing", f"{day}".encode())
        return db.backup(folder, now=FIRST + day * DAY, **options)  # type: ignore[arg-type]

    return backup


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def day_name(day: int, kind: str = "backup", label: str = "head") -> str:
    return f"{kind}-{label}-202604{19 + day}T030000.000Z.aeordb"


def restore(folder: Path, target: Path, *files: str) -> dict[str, bytes]:
    """What a new database gives back after an import of some backups."""
    with aeordb.open(target, "x") as db:
        db.import_([folder / name for name in files], promote=True)
        return dict(db)


def test_names_are_those_of_the_manual() -> None:
    assert make_name("full", "head", FIRST) == "backup-head-20260419T030000.000Z.aeordb"
    assert make_name("full", "v1", FIRST + 7) == "backup-v1-20260419T030000.007Z.aeordb"
    assert make_name("patch", "head", FIRST) == "patch-head-20260419T030000.000Z.aeordb"


@pytest.mark.parametrize(
    ("snapshot", "label"),
    [
        (None, "head"),
        ("v1", "v1"),
        ("a/b\n", "a_b_"),
        ("ü" * 200, "ü" * 90),
        ("daily 1", "daily 1"),
    ],
)
def test_labels_fit_in_file_names(snapshot: str | None, label: str) -> None:
    assert make_label(snapshot) == label


def test_a_run_makes_an_export(db: aeordb.Database, folder: Path, run: Run) -> None:
    report = run()
    assert (report.kind, report.version, report.base) == ("full", db.head, None)
    assert report.output == str(folder / "backup-head-20260419T030000.000Z.aeordb")
    assert (report.files, report.chunks, report.directories) == (1, 1, 1)
    assert report.bytes == os.path.getsize(report.output)
    assert report.deleted == ()
    assert report.recorded
    assert_file(report.output)
    assert Oracle(report.output).head == db.head


def test_a_run_of_a_snapshot(db: aeordb.Database, folder: Path, run: Run) -> None:
    run()
    db.snapshots.create("v1")
    report = run(snapshot="v1")
    assert report.version == db.resolve("v1") != db.head
    assert Path(report.output).name == day_name(1, label="v1")
    with pytest.raises(NotFoundError):
        run(snapshot="v9")
    assert len(names(folder)) == 2


def test_two_runs_in_one_millisecond(db: aeordb.Database, folder: Path) -> None:
    for _ in range(3):
        db.backup(folder, now=FIRST)
    assert names(folder) == [f"backup-head-20260419T030000.00{n}Z.aeordb" for n in range(3)]


def test_the_newest_stay(folder: Path, run: Run) -> None:
    reports = [run(retention_count=3) for _ in range(5)]
    assert [len(report.deleted) for report in reports] == [0, 0, 0, 1, 1]
    assert reports[3].deleted == (str(folder / day_name(0)),)
    assert names(folder) == [day_name(day) for day in (2, 3, 4)]


def test_no_count_keeps_all(folder: Path, run: Run) -> None:
    for _ in range(4):
        run()
    assert len(names(folder)) == 4


def test_a_smaller_count_takes_more_the_oldest_first(folder: Path, run: Run) -> None:
    for _ in range(4):
        run()
    report = run(retention_count=1)
    assert report.deleted == tuple(str(folder / day_name(day)) for day in range(4))
    assert names(folder) == [day_name(4)]


def test_the_new_file_stays_though_the_clock_went_back(db: aeordb.Database, folder: Path) -> None:
    for day in (5, 4, 3):
        report = db.backup(folder, now=FIRST + day * DAY, retention_count=1)
        assert names(folder) == [day_name(day)]
        assert Path(report.output).exists()


def test_another_snapshot_has_a_count_of_its_own(
    db: aeordb.Database, folder: Path, run: Run
) -> None:
    db.snapshots.create("v1")
    for _ in range(2):
        run(retention_count=1)
        run(snapshot="v1", retention_count=1)
    assert names(folder) == [day_name(2), day_name(3, label="v1")]


def strangers(db: aeordb.Database, folder: Path) -> dict[str, bytes]:
    """Puts files into the folder that are none of the task's; by name."""
    old = "2026041{}T030000.000Z"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("mine")
    (folder / "backup-head-20260401T030000.000Z.aeordb").write_bytes(b"no backup at all")
    (folder / "backup-head-20260402T030000.000Z.aeordb").write_bytes(b"")
    (folder / "backup-head-20260403T030000.000Z.aeordb.part").write_bytes(b"")
    db.export(folder / "by-hand.aeordb")
    db.export(folder / "backup-head-yesterday.aeordb")
    db.export_patch(folder / f"backup-head-{old.format(4)}.aeordb", "HEAD", "empty")
    live = folder / f"backup-head-{old.format(5)}.aeordb"
    with aeordb.open(live, "x") as other:  # a database, though it is called so
        other.put("/a", b"1")
    with aeordb.open(folder.parent / "other.aeordb", "x") as other:
        other.put("/other", b"of another database")
        other.export(folder / f"backup-head-{old.format(6)}.aeordb")
    db.export(folder / f"backup-head-{old.format(7)}.aeordb")
    with aeordb.open(folder / f"backup-head-{old.format(7)}.aeordb") as restored:
        restored.put("/more", b"written to since")
    (folder / f"backup-head-{old.format(8)}.aeordb").symlink_to("by-hand.aeordb")
    (folder / f"backup-x-{old.format(0)}.aeordb").mkdir()
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


def test_what_others_made_stays(db: aeordb.Database, folder: Path, run: Run) -> None:
    db.snapshots.create("empty")
    db.put("/a", b"1")
    others = strangers(db, folder)
    for _ in range(3):
        report = run(retention_count=1)
    assert set(names(folder)) == {*others, Path(report.output).name}
    for name, content in others.items():
        if content:
            assert (folder / name).read_bytes() == content


def test_what_was_made_of_this_database_goes_even_if_by_another_command(
    db: aeordb.Database, folder: Path, run: Run
) -> None:
    db.put("/a", b"1")
    db.export(folder / day_name(-5))
    report = run(retention_count=1)
    assert report.deleted == (str(folder / day_name(-5)),)


def test_the_live_database_stays(tmp_path: Path) -> None:
    """It was restored by opening an export under a task's name; so it looks like a backup."""
    with aeordb.open(tmp_path / "first.aeordb", "x") as db:
        db.put("/a", b"1")
        db.export(tmp_path / day_name(-3))
    with aeordb.open(tmp_path / day_name(-3), "r") as db:
        os.link(db.path, tmp_path / day_name(-2))
        shutil.copy(db.path, tmp_path / day_name(-1))
        for day in range(2):
            report = db.backup(tmp_path, now=FIRST + day * DAY, retention_count=1)
            assert not report.recorded
    left = [name for name in names(tmp_path) if name.startswith("backup-")]
    assert left == [day_name(-3), day_name(-2), day_name(1)]


def test_a_file_that_is_a_live_database_elsewhere_stays(
    db: aeordb.Database, folder: Path, run: Run
) -> None:
    first = run(retention_count=1)
    with aeordb.open(first.output):
        assert run(retention_count=1).deleted == ()
    assert run(retention_count=1).deleted != ()


def test_a_version_that_gc_took_is_known_by_the_note(
    db: aeordb.Database, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()
    run()
    monkeypatch.setattr(scheduled.View, "find", lambda _view, _key: None)
    assert run(retention_count=2).deleted == (first.output,)
    # A file that this database never noted is another's.
    os.rename(folder / day_name(1), folder / day_name(-1))
    assert run(retention_count=1).deleted == (str(folder / day_name(2)),)
    assert day_name(-1) in names(folder)


def damage_the_last_byte_of_the_log(path: str) -> None:
    data = bytearray(Path(path).read_bytes())
    data[Oracle(path).slot.hot_tail - 1] ^= 1
    Path(path).write_bytes(data)


def test_nothing_goes_before_the_new_file_read_back_well(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    before = names(folder)
    export = scheduled.export

    def bad_disk(*args: object, **options: object) -> object:
        report = export(*args, **options)  # type: ignore[arg-type]
        assert report.output is not None
        damage_the_last_byte_of_the_log(report.output)
        return report

    monkeypatch.setattr(scheduled, "export", bad_disk)
    with pytest.raises(DamagedError, match="read back"):
        run(retention_count=1)
    assert names(folder) == before


def test_what_killed_runs_left_is_taken_away_after_an_hour(
    db: aeordb.Database, folder: Path, run: Run
) -> None:
    """Its name has the time of its run: each night another one stayed, as large as a backup."""
    folder.mkdir()
    old = [
        make_name(kind, "head", FIRST - 5 * DAY) + end
        for kind in ("full", "patch")
        for end in (".unchecked", ".unchecked.part")
    ]
    others = [
        make_name("full", "v1", FIRST - 5 * DAY) + ".unchecked.part",
        make_name("full", "head", FIRST - 5 * DAY) + ".part",
        "backup-head.aeordb.unchecked",
    ]
    at_it = make_name("full", "head", FIRST - 6 * DAY) + ".unchecked.part"
    fresh = make_name("full", "head", FIRST - 60_000) + ".unchecked.part"
    for name in (*old, *others, at_it, fresh):
        (folder / name).write_bytes(b"half of it")
        seconds = FIRST / 1000 - (3599 if name == fresh else 3601)
        os.utime(folder / name, (seconds, seconds))
    (folder / (old[0] + ".part")).unlink()
    (folder / (old[0] + ".part")).mkdir()
    with at_work(str(folder / at_it)):
        run()
    left = {*others, at_it, fresh, old[0] + ".part", day_name(0)}
    assert set(names(folder)) == left
    run()
    assert set(names(folder)) == (left | {day_name(1)}) - {at_it, fresh}


def test_a_backup_that_is_read_back_is_not_taken_for_one_left_behind(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    recheck = scheduled.recheck

    def slow(path: str, *args: object, **options: object) -> object:
        os.utime(path, (0, 0))
        assert not remove_left(path)
        return recheck(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduled, "recheck", slow)
    run()
    assert names(folder) == [day_name(0)]


def test_patches_follow_an_export(db: aeordb.Database, folder: Path, run: Run) -> None:
    kinds = [run(patches=2).kind for _ in range(7)]
    assert kinds == ["full", "patch", "patch", "full", "patch", "patch", "full"]
    assert [name.split("-")[0] for name in sorted(names(folder), key=lambda n: n[-27:])] == [
        {"full": "backup", "patch": "patch"}[kind] for kind in kinds
    ]
    last = restore(
        folder,
        folder.parent / "restored.aeordb",
        day_name(3),
        day_name(4, "patch"),
        day_name(5, "patch"),
    )
    assert last == {"/changing": b"5"}


def test_nothing_changed_makes_no_patch(db: aeordb.Database, folder: Path, run: Run) -> None:
    run(patches=3)
    second = run(patches=3)
    report = run(change=False, patches=3, retention_count=1)
    assert (report.kind, report.output, report.version) == ("unchanged", second.output, db.head)
    assert len(names(folder)) == 2
    status = db.status()
    assert status.last_backup == report.time
    assert status.last_backup_file == second.output


def test_what_a_kept_patch_needs_stays(folder: Path, run: Run) -> None:
    for _ in range(4):
        report = run(patches=3, retention_count=1)
    assert report.kind == "patch"
    assert report.deleted == ()
    assert len(names(folder)) == 4
    # The next export needs none of them.
    report = run(patches=3, retention_count=1)
    assert report.kind == "full"
    assert len(report.deleted) == 4
    assert names(folder) == [day_name(4)]


def test_what_a_patch_of_somebody_else_needs_stays(
    db: aeordb.Database, folder: Path, run: Run
) -> None:
    first = run()
    db.put("/more", b"1")
    db.export_patch(folder / "by-hand.aeordb", first.version.hex())
    for _ in range(2):
        run(retention_count=1)
    assert names(folder) == [day_name(0), day_name(2), "by-hand.aeordb"]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_broken_chain_begins_anew(folder: Path, run: Run, lost: int) -> None:
    files = [run(patches=5).output for _ in range(3)]
    os.unlink(files[lost])
    assert run(patches=5).kind == "full"
    assert run(patches=5).kind == "patch"


def test_a_base_that_gc_took_begins_a_new_chain(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(patches=5)

    def gone(*_args: object, **_options: object) -> object:
        raise DamagedError(reason="the directory is missing")

    monkeypatch.setattr(scheduled, "export_patch", gone)
    assert run(patches=5).kind == "full"


def test_a_reader_makes_backups_and_a_writer_notes_them(db: aeordb.Database, folder: Path) -> None:
    db.put("/a", b"1")
    with aeordb.open(db.path, "r") as reader:
        report = reader.backup(folder, now=FIRST)
        assert not report.recorded
        assert reader.last_backup() is None
    assert db.record_backup(report).recorded
    last = db.last_backup()
    assert last is not None
    assert (last.time, last.output, last.version) == (FIRST, report.output, db.head)


def test_the_note_goes_into_no_export(db: aeordb.Database, folder: Path, tmp_path: Path) -> None:
    db.put("/a", b"1")
    key = db.create_root_key()
    db.backup(folder, now=FIRST)
    for number, root_key in enumerate((None, key)):
        db.export(tmp_path / f"{number}", root_key=root_key)
        with aeordb.open(tmp_path / f"{number}", "r") as copy:
            assert copy.last_backup() is None
        assert b"backup-head" not in (tmp_path / f"{number}").read_bytes()


def test_the_note_forgets_files_that_are_gone(db: aeordb.Database, folder: Path, run: Run) -> None:
    for _ in range(4):
        run(retention_count=2)
    last = db.last_backup()
    assert last is not None
    assert [Path(path).name for path, _ in last.files] == [day_name(2), day_name(3)]


def test_wrong_counts(db: aeordb.Database, folder: Path) -> None:
    for options in ({"retention_count": -1}, {"patches": -1}):
        with pytest.raises(UsageError):
            db.backup(folder, **options)
    assert not folder.exists()


def test_a_folder_that_is_not_there_has_no_backups(tmp_path: Path) -> None:
    assert list_backups(str(tmp_path / "none"), live=(0, 0)) == []
