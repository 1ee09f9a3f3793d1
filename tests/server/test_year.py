"""A year of scheduled backups, with all that happens in one.

At every moment: of each task as many verified backups as it is to keep (or as it has made), and
every file is there that no task made.
"""

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import aeordb
from aeordb.backup import scheduled
from aeordb.errors import DamagedError, NotDurableError
from aeordb.server import cronfile
from aeordb.server import tasks as tasks_module
from aeordb.server.scheduler import Scheduler
from aeordb.server.settings import Settings
from aeordb.server.tasks import TaskList
from aeordb.storage.datafile import use_layer
from aeordb.testing.recording import QuickLayer
from tests.kit.asgi import Clock
from tests.kit.rules import assert_file

HOUR, DAY = 3_600_000, 86_400_000
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
Print = tuple[int, int, int]


class Killed(BaseException):
    """The server's process ends here."""


@dataclass
class Plan:
    """A schedule, and what it has made: by path, the file's print."""

    name: str
    when: str
    folder: Path
    keep: int
    patches: int = 0
    snapshot: str | None = None
    timezone: str = "UTC"
    made: dict[Path, Print] = field(default_factory=dict)
    runs: int = 0

    @property
    def args(self) -> dict[str, Any]:
        given = {"retention_count": self.keep, "patches": self.patches, "snapshot": self.snapshot}
        return {"backup_dir": str(self.folder), **{k: v for k, v in given.items() if v is not None}}


def fingerprint(path: Path) -> Print:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


class Year:
    """The database, its server, its users, and their bad luck."""

    def __init__(self, db: aeordb.Database, tmp_path: Path, seed: int) -> None:
        self.db = db
        self.random = random.Random(seed)
        self.clock = Clock(START)
        self.settings = Settings(db.path, backup_dir=str(tmp_path / "a"))
        first, second, third = (tmp_path / name for name in "abc")
        self.plans = [
            Plan("nightly", "30 2 * * *", first, 7, timezone="Europe/Berlin"),
            Plan("monthly", "0 4 1 * *", first, 2, snapshot="v1"),
            Plan("weekly", "0 2 * * 0", second, 4),
            Plan("patches", "0 6 * * 1,3,5", third, 8, patches=5),
        ]
        self.foreign: dict[Path, Print] = {}
        for folder in (first, second, third):
            folder.mkdir()
            self.leave_files(folder)
        db["/start"] = b"0"
        db.snapshots.create("v1")
        self.start()
        for plan in self.plans:
            self.add(plan.name, plan.when, "backup", plan.args, plan.timezone)
        if hasattr(db, "gc"):
            self.add("gc", "0 3 * * 6", "gc", {}, "UTC")

    def add(self, name: str, when: str, kind: str, args: dict[str, Any], zone: str) -> None:
        fields = {"id": name, "schedule": when, "task_type": kind, "args": args, "timezone": zone}
        self.db.run(lambda tx: cronfile.add_schedule(tx.writer, self.settings, fields))

    def start(self) -> None:
        """Starts the server, again perhaps."""
        self.tasks = TaskList(self.db, self.settings, self.clock)
        self.scheduler = Scheduler(self.db, self.tasks, self.clock)
        self.tasks.save()

    def leave_files(self, folder: Path) -> None:
        """Files that a task could take for its own, if it looked at names or contents alone."""
        with aeordb.open(folder / "other.aeordb", "a") as other:
            other[f"/{self.random.random()}"] = b"another database"
            for name in ("backup-head-20200101T000000.000Z.aeordb", "theirs.aeordb"):
                if not (folder / name).exists():
                    other.export(folder / name)
        (folder / "backup-head-20200102T000000.000Z.aeordb").write_bytes(b"no database")
        (folder / "notes.txt").write_text("keep")
        link = folder / "backup-head-20200103T000000.000Z.aeordb"
        if not link.is_symlink():
            link.symlink_to(folder / "theirs.aeordb")
        for path in folder.iterdir():
            self.foreign[path] = fingerprint(path)

    # -- what happens ------------------------------------------------------------------------

    def change(self) -> None:
        """Users at work."""
        for _ in range(self.random.randrange(3)):
            self.db[f"/d{self.random.randrange(4)}/{self.random.randrange(8)}"] = (
                self.random.randbytes(self.random.randrange(2000))
            )
        if self.random.random() < 0.02:
            self.db.snapshots.delete("v1")
            self.db.snapshots.create("v1")

    def meddle(self) -> None:
        """Users in the backup folder: a copy under a name of their own, a file deleted."""
        plan = self.random.choice(self.plans)
        if not plan.made:
            return
        path = self.random.choice(list(plan.made))
        if self.random.random() < 0.5 and path.name.startswith("backup-"):
            copy = path.with_name(f"copy-{self.clock.now}.aeordb")
            shutil.copy(path, copy)
            self.foreign[copy] = fingerprint(copy)
        elif not plan.patches:  # with them, others would be of no use either
            path.unlink()
            del plan.made[path]

    def time_passes(self, due: int | None) -> None:
        """Until the next run, mostly."""
        chance = self.random.random()
        if chance < 0.02:
            self.clock.now += self.random.randrange(5 * DAY)
            self.start()
        elif chance < 0.03:
            self.clock.now += self.random.choice([-2 * DAY, -HOUR, 3 * DAY])
        else:
            assert due is not None
            self.clock.now = due + self.random.randrange(60_000)

    @contextmanager
    def bad_luck(self) -> Iterator[None]:
        """What may go wrong in a run."""
        chance = self.random.random()
        with ExitStack() as stack:
            if chance < 0.02:
                fault: BaseException = DamagedError(path="new", reason="a bad disk")
                stack.enter_context(mock.patch.object(scheduled, "recheck", side_effect=fault))
            elif chance < 0.04:
                fault = NotDurableError(reason="no space left")
                for name in ("export", "export_patch"):
                    stack.enter_context(mock.patch.object(scheduled, name, side_effect=fault))
            elif chance < 0.05:
                fault = PermissionError(13, "Permission denied")
                stack.enter_context(mock.patch.object(scheduled, "delete", side_effect=fault))
            elif chance < 0.08:
                steps = self.random.randrange(1, 12)

                def step(watch: tasks_module.Watch) -> None:
                    nonlocal steps
                    steps -= 1
                    if steps == 0:
                        raise Killed

                stack.enter_context(mock.patch.object(tasks_module.Watch, "_check", step))
            yield

    # -- what must hold ----------------------------------------------------------------------

    def run(self) -> None:
        """Runs one task after the other, and looks at the folders after each."""
        while waiting := [task for task in self.tasks.all() if task.status == "pending"]:
            task = waiting[-1]
            plan = next((plan for plan in self.plans if plan.name == task.schedule), None)
            before = {plan.name: self.listed(plan.folder) for plan in self.plans}
            content = None if plan is None else self.content(plan)
            try:
                with self.bad_luck():
                    self.tasks.run_next()
            except Killed:
                self.start()
                assert self.tasks.get(task.id).status == "interrupted"
            if plan is not None:
                plan.runs += 1
                new = self.listed(plan.folder) - before[plan.name]
                assert len(new) <= 1
                for path in new:
                    self.verify(path, plan, content)
                    plan.made[path] = fingerprint(path)
            self.check(plan)

    def content(self, plan: Plan) -> dict[str, bytes]:
        return dict(self.db if plan.snapshot is None else self.view(plan.snapshot))

    def view(self, snapshot: str) -> dict[str, bytes]:
        view = self.db.at(snapshot)
        return {stat.path: view.read(stat.path) for stat in view.walk() if stat.kind == "file"}

    def listed(self, folder: Path) -> set[Path]:
        return {path for path in folder.iterdir() if path.suffix == ".aeordb"}

    def verify(self, path: Path, plan: Plan, content: dict[str, bytes] | None) -> None:
        """The backup gives back what was to be saved."""
        if path.name.startswith("patch-"):
            assert plan.patches
            return  # chains are imported at the end
        with aeordb.open(path, "r") as backup:
            assert dict(backup) == content

    def check(self, ran: Plan | None) -> None:
        for path, was in self.foreign.items():
            assert path.is_symlink() or path.exists(), f"{path} is gone"
            assert fingerprint(path) == was
        for plan in self.plans:
            there = {path: was for path, was in plan.made.items() if path.exists()}
            assert all(fingerprint(path) == was for path, was in there.items())
            assert len(there) >= min(plan.keep, len(plan.made)), plan.name
            gone = plan.made.keys() - there.keys()
            assert plan is ran or not gone, f"{ran} took a file of {plan.name}"
            plan.made = there

    def last_tasks_have_cleaned_up(self) -> None:
        """With all going well again, no more is left than was to be kept."""
        for plan in self.plans:
            self.db["/last"] = plan.name.encode()
            self.tasks.submit("backup", plan.args, schedule=plan.name)
            with mock.patch.object(self.random, "random", return_value=1.0):
                self.run()
            assert plan.keep <= len(plan.made) <= plan.keep + plan.patches


@pytest.mark.parametrize("seed", [1])
def test_a_year(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "data.aeordb"
    with use_layer(QuickLayer()), aeordb.open(path, "x") as db:
        live(Year(db, tmp_path, seed))
    assert_file(path)


def live(year: Year) -> None:
    """The year, and what is left at its end."""
    while year.clock.now < START + 365 * DAY:
        year.change()
        due = year.scheduler.tick()
        year.run()
        if year.random.random() < 0.05:
            year.meddle()
        year.time_passes(due)
    year.last_tasks_have_cleaned_up()
    tallies = {tally.schedule: tally for tally in year.tasks.tallies()}
    for plan in year.plans:
        tally = tallies[plan.name]
        assert tally.completed + tally.failed + tally.interrupted == plan.runs
        assert tally.completed > 10
    assert sum(tally.failed for tally in tallies.values()) > 5
    assert sum(tally.interrupted for tally in tallies.values()) > 2
    assert sum(tally.missed for tally in tallies.values()) > 3
    chain = year.plans[3]
    for path in newest_chain(chain)[:1]:
        assert_file(path)
    with aeordb.open(chain.folder / "restored", "x") as restored:
        restored.import_(newest_chain(chain), promote=True)
        assert restored.head == year.db.head


def newest_chain(plan: Plan) -> list[Path]:
    """The last export, and the patches after it, in the order in which they were made."""
    paths = list(plan.made)
    first = max(i for i, path in enumerate(paths) if path.name.startswith("backup-"))
    return paths[first:]
