"""A Hypothesis state machine that does everything to a database that can be done to one.

It compares with a :class:`~aeordb.testing.model.Model` after every step. To try a database of your
own (a wrapper, a client, another implementation with the same calls), say how it is opened:

    from aeordb.testing.machine import DatabaseMachine
    class Machine(DatabaseMachine):
        def open_database(self, path):
            return my_store.open(path)
    TestMyStore = Machine.TestCase

pytest and unittest run it, and a failure ends in the shortest history that leads to it.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

import aeordb
from aeordb.testing import operations, strategies
from aeordb.testing.compare import agree, check_diff, check_view, listed
from aeordb.testing.operations import Operation, outcome
from aeordb.testing.pair import DAY, SETTINGS, DatabasePair
from aeordb.testing.tree import FOLDER, below

__all__ = ["SETTINGS", "DatabaseMachine"]

HOUR = DAY // 24
YEAR = 365 * DAY


def runner(of: Any) -> Any:
    """A strategy made from the running machine."""
    return st.runner().flatmap(of)


PATHS = runner(lambda machine: machine.paths())
LABELS = runner(lambda machine: st.sampled_from(machine.labels))
NAMES = runner(lambda machine: st.sampled_from([*sorted(machine.model.names), machine.labels[0]]))
VERSIONS = runner(lambda machine: st.sampled_from(sorted(machine.model.versions())))
KNOWN = runner(lambda machine: machine.known_paths())
CONTENTS = runner(lambda machine: strategies.contents(machine.max_chunks))
EDITS = runner(lambda machine: machine.edits())


class DatabaseMachine(DatabasePair):
    """Everything that can be done, as rules.

    To subclass: `open_database`, `check_file`, the attributes of :class:`DatabasePair`, further
    rules and invariants.
    """

    # -- one edit, or several -------------------------------------------------------------

    @rule(path=PATHS, data=CONTENTS)
    def put(self, path: str, data: bytes) -> None:
        """Stores a file, perhaps over another, or is refused."""
        self.do(operations.put(path, data))

    @rule(operation=EDITS)
    def edit(self, operation: Operation) -> None:
        """Any one edit."""
        self.do(operation)

    @rule(edits=st.lists(EDITS, min_size=1, max_size=5), commit=st.booleans())
    def transaction(self, edits: list[Operation], commit: bool) -> None:
        """Several edits in one commit, or given up."""
        before = self.db.head
        self.do(operations.transaction(edits, commit))
        assert commit or self.db.head == before

    @rule(path=PATHS, count=st.sampled_from((3, 255, 256, 300)), seed=st.integers(0, 3))
    def fill(self, path: str, count: int, seed: int) -> None:
        """Many children in one folder: its listing becomes a B-tree."""
        if self.model.head.get(path, FOLDER) != FOLDER or len(self.model.head) > 700:
            return
        puts = [operations.put(f"{path}/many-{i:03}", b"%d %d" % (seed, i)) for i in range(count)]
        self.do(operations.transaction(puts))

    @rule(path=PATHS, step=st.integers(1, 3))
    def thin(self, path: str, step: int) -> None:
        """Takes children out of a folder; a B-tree stays one until it is empty."""
        gone = [place for place in below(self.model.head, path) if "/many-" in place][::step]
        if gone:
            self.do(operations.transaction([operations.delete(place) for place in gone]))

    @rule(path=KNOWN, recursive=st.sampled_from((True, True, False)))
    def remove(self, path: str, recursive: bool) -> None:
        """Deletes what is there."""
        self.do(operations.delete(path, recursive))

    @rule(source=KNOWN, to=PATHS)
    def rearrange(self, source: str, to: str) -> None:
        """Moves what is there."""
        self.do(operations.move(source, to))

    # -- versions -------------------------------------------------------------------------

    @rule(name=LABELS, at=VERSIONS, kind=st.sampled_from(("snapshot", "fork")))
    def name(self, name: str, at: str, kind: str) -> None:
        """Names a version."""
        create = operations.forks_create if kind == "fork" else operations.snapshots_create
        self.do(create(name, at))

    @rule(name=NAMES, other=LABELS, what=st.sampled_from(("rename", "delete", "go", "go")))
    def use_name(self, name: str, other: str, what: str) -> None:
        """Renames or deletes a name, or makes its version HEAD."""
        named = self.model.names.get(name)
        if what == "rename":
            self.do(operations.snapshots_rename(name, other))
        elif named is not None and named.kind == "fork":
            go, delete = operations.forks_promote, operations.forks_delete
            self.do(go(name) if what == "go" else delete(name))
        else:
            go, delete = operations.snapshots_restore, operations.snapshots_delete
            self.do(go(name) if what == "go" else delete(name))

    @rule(pick=st.integers(0, 50))
    def promote(self, pick: int) -> None:
        """Goes back to a version, also to one that has no name: until a gc, nothing is lost."""
        roots = sorted(self.model.seen)
        self.do(operations.promote(roots[pick % len(roots)].hex()))

    @rule(compact=st.booleans())
    def gc(self, compact: bool) -> None:
        """Frees what nothing names."""
        self.do(operations.gc(compact))

    # -- to the second database -----------------------------------------------------------

    @rule(
        way=st.sampled_from(("full", "patch", "chain")),
        base=VERSIONS,
        to=VERSIONS,
        promote=st.booleans(),
        force=st.booleans(),
    )
    def back_up(self, way: str, base: str, to: str, promote: bool, force: bool) -> None:
        """An export, a patch or both go into the second database."""
        if way == "full":
            self.import_full(to, promote)
        elif way == "patch":
            self.import_patch(base, to, promote, force)
        else:
            self.import_chain(base, to, promote)

    def import_full(self, version: str, promote: bool) -> None:
        """A full export, which is a database itself, goes into the second database."""
        output = self.export(version)
        with aeordb.open(output, "r") as exported:
            check_view(exported.at(), self.model.at(version), contents=True)
        found = self.model.version(version)
        self.import_([output], [found], promote)

    def import_patch(self, base: str, to: str, promote: bool, force: bool) -> None:
        """A patch goes into the second database, if that is where it starts from."""
        output = self.export_patch(base, to)
        if output is None:
            return
        start, end = self.model.version(base), self.model.version(to)
        head = self.copy_model.root
        known = {version.root for version in self.copy_model.versions().values()}
        if not force and start.root != head:
            refused = outcome(lambda: self.copy.import_(output, promote=promote))
            assert refused.code == "base_mismatch", refused
            return
        # What the base has, the patch leaves out.
        self.import_([output], [end], promote, force=force, sure=start.root in known)

    def import_chain(self, base: str, to: str, promote: bool) -> None:
        """An export and the patch that goes on from it, in one commit."""
        files, found = [self.export(base)], [self.model.version(base)]
        patch = self.export_patch(base, to)
        if patch is not None:
            files.append(patch)
            found.append(self.model.version(to))
        self.import_(files, found, promote)

    @rule()
    def swap(self) -> None:
        """The second database becomes the first."""
        self.db, self.copy = self.copy, self.db
        self.path, self.copy_path = self.copy_path, self.path
        self.model, self.copy_model = self.copy_model, self.model

    # -- time, closing, dying -------------------------------------------------------------

    @rule(by=st.sampled_from((0, -10 * YEAR, -2 * DAY, -HOUR, -1, 1, HOUR, 2 * DAY, 10 * YEAR)))
    def set_clock(self, by: int) -> None:
        """Somebody sets the clock: wrong, or (0) right again."""
        self.clock.move(by or self.clock.highest - self.clock.now)

    @rule(crashes=st.booleans(), edits=st.lists(EDITS, max_size=3))
    def restart(self, crashes: bool, edits: list[Operation]) -> None:
        """The process ends well, or it dies, perhaps within a transaction."""
        if crashes:
            self.crash(edits)
        else:
            self.close_and_open()

    def crash(self, edits: list[Operation]) -> None:
        """What is in the file in the middle of a transaction is all that is left."""
        left = self.new_file()
        with self.db.transaction() as tx:
            for operation in edits:
                operation.on(tx)
            assert tx.root  # which writes the folders, too
            shutil.copyfile(self.path, left)
            tx.rollback()
        self.db.close()
        os.replace(left, self.path)
        self.db = self.open_database(self.path)

    # -- looking --------------------------------------------------------------------------

    @rule(path=PATHS, version=VERSIONS)
    def look(self, path: str, version: str) -> None:
        """One path of a version, by itself: what it is, what it holds, what lies in it."""
        view, expected = self.db.at(version), self.model.at(version)
        for call in ("stat", "read", "exists", "list", "walk"):
            what = f"{call}({path!r}) of {version!r}"
            found = outcome(lambda: listed(getattr(view, call)(path)))  # noqa: B023
            wanted = outcome(lambda: listed(getattr(expected, call)(path)))  # noqa: B023
            agree(found, wanted, what)
            assert found.result == wanted.result, what

    @rule(
        what=st.sampled_from(("diff", "diff", "glob", "everything", "verify")),
        base=VERSIONS,
        to=VERSIONS,
        names=st.lists(st.sampled_from(("*", "**", "?", "a*", "many-00?", "[!a]*")), max_size=3),
    )
    def check(self, what: str, base: str, to: str, names: list[str]) -> None:
        """A difference, a pattern, every version to the last byte, or what the file says itself."""
        if what == "diff":
            check_diff(self.db, self.model, base, to)
        elif what == "glob":
            pattern = "/" + "/".join(names)
            found = sorted(stat.path for stat in self.db.glob(pattern))
            assert found == sorted(s.path for s in self.model.at().glob(pattern)), pattern
        elif what == "everything":
            self.everything_holds()
        else:
            report = self.db.verify(deep=True)
            assert report.ok, report.findings
