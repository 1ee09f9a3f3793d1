"""What a state machine over databases stands on: how they are opened, compared and closed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import RuleBasedStateMachine, initialize

import aeordb
from aeordb.storage import store
from aeordb.storage.datafile import use_layer
from aeordb.testing import operations, strategies
from aeordb.testing.clock import Clock, use_clock
from aeordb.testing.compare import agree, check_database, check_result, check_view
from aeordb.testing.model import HEAD, Model, Version
from aeordb.testing.operations import Operation, Outcome, outcome
from aeordb.testing.recording import QuickLayer

DAY = 86_400_000
STEP = 7
"""Milliseconds that each step takes by the databases' clock."""

SETTINGS = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
)


class DatabasePair(RuleBasedStateMachine):
    """A database and its model, and a second pair that takes the imports; no rules yet.

    Class attributes, to be set in a subclass:

    - `jobs`: threads; None draws 1 or 4.
    - `reopens`: closes and opens the database before every step.
    - `max_chunks`: how many chunks the largest file has.
    - `shrink_seconds`: how long a shorter history is looked for, once one has failed.
    - `limits`: makes the index write pages, and grow, at small numbers, so that both are frequent.

    Nothing waits for the disk: no power is cut here. `steps` counts what all machines have done.
    """

    jobs: int | None = None
    reopens = False
    max_chunks = 2
    limits = True
    shrink_seconds = 10
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.clock = self.stack.enter_context(use_clock(Clock()))
        self.stack.enter_context(use_layer(QuickLayer()))
        self.folder = Path(tempfile.mkdtemp(prefix="aeordb-"))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.model = Model(self.clock)
        self.copy_model = Model(self.clock)
        self.files = 0
        self.db: Any = None
        self.copy: Any = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.TestCase.settings = SETTINGS

    # -- to subclass ----------------------------------------------------------------------

    def open_database(self, path: Path) -> Any:
        """Opens the database at `path`, and creates it if there is none."""
        return aeordb.open(path, "a", jobs=self.jobs)

    def check_file(self, path: Path) -> None:
        """Looks at a file that was just closed."""
        report = aeordb.verify(path, deep=True)
        assert report.ok, report.findings

    # -- life -----------------------------------------------------------------------------

    @initialize(
        jobs=st.sampled_from((1, 4)),
        limits=st.sampled_from(((2, 0), (20, 0), (20, 512), (512, 512))),
        parts=st.lists(strategies.names(), min_size=2, max_size=4, unique=True),
        labels=strategies.few_labels(),
        starts_empty=st.sampled_from((True, False, False, False)),
    )
    def begin(
        self,
        jobs: int,
        limits: tuple[int, int],
        parts: list[str],
        labels: list[str],
        starts_empty: bool,
    ) -> None:
        """Opens both databases; mostly, the first already holds something."""
        self.jobs = self.jobs or jobs
        if self.limits:
            patch = mock.patch.multiple(
                store, CHECKPOINT_RECORDS=limits[0], OVERFLOW_LIMIT=limits[1]
            )
            self.stack.enter_context(patch)
        self.parts = parts
        self.labels = labels
        self.path = self.folder / "data.aeordb"
        self.copy_path = self.folder / "copy.aeordb"
        self.db = self.open_database(self.path)
        self.copy = self.open_database(self.copy_path)
        self.model.saw_root(self.db.head)
        self.copy_model.saw_root(self.copy.head)
        if not starts_empty:
            for operation in _first_steps(parts, labels):
                self.do(operation)

    def teardown(self) -> None:
        """Compares everything, closes, looks at the files, opens again and compares again."""
        stopped = sys.exc_info()[1]
        try:
            if self.db is not None and stopped is None:
                self.check_all()
        except Exception as error:
            stopped = error
            raise
        finally:
            self._note(stopped)
            for database in (self.db, self.copy):
                if database is not None:
                    database.close()
            self.stack.close()

    def check_all(self) -> None:
        """Every version, both files, and every version again of the files opened anew."""
        self.everything_holds()
        for database, path in ((self.db, self.path), (self.copy, self.copy_path)):
            database.close()
            self.check_file(path)
        self.db = self.open_database(self.path)
        self.copy = self.open_database(self.copy_path)
        self.everything_holds()

    def _note(self, stopped: BaseException | None) -> None:
        """Once a history has failed, bounds the time in which shorter ones are tried."""
        if isinstance(stopped, Exception) and not isinstance(stopped, HypothesisException):
            engine.MAX_SHRINKING_SECONDS = self.shrink_seconds

    def paths(self) -> st.SearchStrategy[str]:
        """Paths over a few names; often such as are there."""
        free = strategies.paths(st.sampled_from(self.parts))
        return st.one_of(free, self.known_paths())

    def known_paths(self) -> st.SearchStrategy[str]:
        """Paths at which something is, if there is anything."""
        known = list(self.model.head)[-30:]
        return st.sampled_from(known or ["/" + self.parts[0]])

    def edits(self) -> st.SearchStrategy[Operation]:
        """Edits at such paths."""
        return strategies.edits(self.paths(), strategies.contents(self.max_chunks))

    def do(self, operation: Operation) -> Outcome:
        """Does one thing to model and database: the same answer, or the same error."""
        before = self.db.head
        expected, found = operation.on(self.model), operation.on(self.db)
        agree(found, expected, operation)
        if expected.error is not None:
            assert self.db.head == before, f"{operation} was refused, and changed HEAD"
        else:
            check_result(found.result, expected.result)
            if self.model.root != before:
                assert self.db.head == self.model.root, f"{operation} led to another version"
        self.model.saw_root(self.db.head)
        return found

    # -- steps on both

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        """After every step, HEAD is the model's; then time goes on a little."""
        if self.db is not None:
            DatabasePair.steps += 1
            self.check_heads()
        super().check_invariants(*args, **kwargs)

    def check_heads(self) -> None:
        """HEAD of both databases, by its listings and hashes."""
        if self.reopens:
            self.close_and_open()
        for database, model in ((self.db, self.model), (self.copy, self.copy_model)):
            check_view(database.at(HEAD), model.at(HEAD))
            model.saw_root(database.head)
        self.clock.move(STEP)

    def close_and_open(self) -> None:
        """Closes the first database and opens it anew."""
        self.db.close()
        self.db = self.open_database(self.path)

    def everything_holds(self) -> None:
        """Compares every version of both, to the last byte."""
        check_database(self.db, self.model)
        check_database(self.copy, self.copy_model)

    def export(self, version: str) -> Path:
        """Exports a version; two exports of it are the same bytes, whatever the number of jobs."""
        outputs = [self.new_file(), self.new_file()]
        for output, jobs in zip(outputs, (1, 4), strict=True):
            report = self.db.export(output, version, jobs=jobs)
            assert report.version == self.model.version(version).root
        first, second = (output.read_bytes() for output in outputs)
        assert first == second, "two exports of one version differ"
        return outputs[0]

    def export_patch(self, base: str, target: str) -> Path | None:
        """Exports a patch; None where there is nothing to patch."""
        output = self.new_file()
        report = self.db.export_patch(output, base, target)
        equal = self.model.version(base).root == self.model.version(target).root
        assert (report.output is None) == equal
        assert output.exists() != equal
        return None if equal else output

    def import_(
        self,
        files: Sequence[Path],
        found: Sequence[Version],
        promote: bool,
        *,
        force: bool = False,
        sure: bool = True,
    ) -> None:
        """Imports into the second database; `sure`: nothing may refuse it."""
        done = outcome(lambda: self.copy.import_(files, promote=promote, force=force))
        # Entries from more than a day ahead are refused: their times would poison listings.
        from_future = self.clock.highest - self.clock.now > DAY * 23 // 24
        if done.code == "damaged" and (from_future or not sure):
            assert self.copy.head == self.copy_model.root
            return
        assert done.error is None, f"an import was refused: {done.error!r}"
        assert done.result.version == found[-1].root
        self.copy_model.import_versions(found, promote=promote)

    def new_file(self) -> Path:
        """A path where nothing is yet."""
        self.files += 1
        return self.folder / f"{self.files}.aeordb"


def _first_steps(parts: Sequence[str], labels: Sequence[str]) -> list[Operation]:
    """A folder with two files and a symlink, a folder in it, and two names."""
    top, inner = (f"/{name}" for name in parts[:2])
    edits = [
        operations.put(f"{top}{top}", b"1"),
        operations.put(f"{top}{inner}{top}", b"2"),
        operations.symlink(parts[0], f"{top}{inner}{inner}"),
        operations.put(inner, b"3"),
    ]
    return [
        operations.transaction(edits),
        operations.snapshots_create(labels[0]),
        operations.delete(inner),
        operations.forks_create(labels[1]),
    ]
