"""Any sequence of calls leaves what a dict would hold, in this handle and in one opened anew."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import aeordb
from aeordb.storage import store
from tests.contract.model import FOLDER, Model, Tree, below, both
from tests.kit.layout import h
from tests.kit.rules import assert_file

NAMES = ["a", "b", "ä", "long-" + "n" * 60]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))
contents = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 9).map(lambda n: bytes([n]) * (90_000 * n)),
    st.integers(0, 99).map(lambda n: h(bytes([n])) * 40),
)
labels = st.sampled_from(["v1", "v2", "work", "0123456789abcdef"])


class Machine(RuleBasedStateMachine):
    """Steps on a database and on the model; small limits make checkpoints and growth frequent."""

    always_reopen = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="aeordb-")
        self.path = Path(self.folder) / "data.aeordb"
        self.db = aeordb.open(self.path, "x")
        self.model = Model()

    def teardown(self) -> None:
        try:
            self.compare_all()
            self.db.close()
            assert_file(self.path)
            with aeordb.open(self.path, "r") as self.db:
                self.compare_all()
        finally:
            self.db.close()
            shutil.rmtree(self.folder)

    @initialize(records=st.sampled_from([2, 20, 512]), overflow=st.sampled_from([0, 512]))
    def limits(self, records: int, overflow: int) -> None:
        store.CHECKPOINT_RECORDS = records
        store.OVERFLOW_LIMIT = overflow

    # -- changes --------------------------------------------------------------------------

    @rule(path=paths, data=contents)
    def put(self, path: str, data: bytes) -> None:
        both(lambda: self.model.put(path, data), lambda: self.db.put(path, data))

    @rule(path=paths, to=paths)
    def symlink(self, path: str, to: str) -> None:
        both(lambda: self.model.symlink(to, path), lambda: self.db.symlink(to, path))

    @rule(path=paths)
    def mkdir(self, path: str) -> None:
        both(lambda: self.model.mkdir(path), lambda: self.db.mkdir(path))

    @rule(path=paths, recursive=st.booleans())
    def delete(self, path: str, recursive: bool) -> None:
        count: list[int] = []
        answer = both(
            lambda: count.append(self.model.delete(path, recursive)),
            lambda: self.db.delete(path, recursive=recursive),
        )
        assert answer is None or answer == count[0]

    @rule(source=paths, to=paths)
    def move(self, source: str, to: str) -> None:
        both(lambda: self.model.move(source, to), lambda: self.db.move(source, to))

    @rule(path=paths, count=st.sampled_from([3, 255, 256, 300]), seed=st.integers(0, 3))
    def fill(self, path: str, count: int, seed: int) -> None:
        """Many children in one folder: the listing becomes a B-tree."""
        if self.model.head.get(path, FOLDER) != FOLDER:
            return

        def each(to: Any) -> None:
            for i in range(count):
                to.put(f"{path}/many-{i:03}", b"%d %d" % (seed, i))

        def all_in_one() -> None:
            with self.db.transaction() as tx:
                each(tx)

        both(lambda: each(self.model), all_in_one)

    @rule(path=paths, step=st.integers(1, 3))
    def thin(self, path: str, step: int) -> None:
        """Takes children out of a folder; a B-tree stays one until it is empty."""
        gone = [p for p in below(self.model.head, path) if "/many-" in p][::step]
        with self.db.transaction() as tx:
            for place in gone:
                tx.delete(place)
        for place in gone:
            del self.model.head[place]

    @rule(data=contents)
    def roll_back(self, data: bytes) -> None:
        before = self.db.head
        with self.db.transaction() as tx:
            for path in list(self.model.head)[::2]:
                if tx.exists(path):
                    tx.delete(path, recursive=True)
            tx.put("/rolled/back", data)
            assert tx.stat("/rolled/back").size == len(data)
            assert tx.root != before
            tx.rollback()
        assert self.db.head == before

    # -- versions -------------------------------------------------------------------------

    @rule(name=labels)
    def snapshot(self, name: str) -> None:
        both(
            lambda: self.model.name(self.model.snapshots, name),
            lambda: self.db.snapshots.create(name),
        )

    @rule(name=labels)
    def fork(self, name: str) -> None:
        both(lambda: self.model.name(self.model.forks, name), lambda: self.db.forks.create(name))

    @rule(name=labels)
    def restore(self, name: str) -> None:
        both(
            lambda: self._move_head(self.model.named(self.model.snapshots, name)),
            lambda: self.db.snapshots.restore(name),
        )

    @rule(name=labels)
    def promote(self, name: str) -> None:
        both(
            lambda: self._move_head(self.model.named(self.model.forks, name)),
            lambda: self.db.forks.promote(name),
        )

    def _move_head(self, tree: Tree) -> None:
        self.model.head = dict(tree)

    @rule(old=labels, new=labels)
    def rename(self, old: str, new: str) -> None:
        both(lambda: self.model.rename(old, new), lambda: self.db.snapshots.rename(old, new))

    @rule(name=labels)
    def forget(self, name: str) -> None:
        both(
            lambda: self.model.named(self.model.snapshots, name),
            lambda: self.db.snapshots.delete(name),
        )
        self.model.snapshots.pop(name, None)
        both(lambda: self.model.named(self.model.forks, name), lambda: self.db.forks.delete(name))
        self.model.forks.pop(name, None)

    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.db = aeordb.open(self.path)

    # -- looking --------------------------------------------------------------------------

    @invariant()
    def head_is_the_models(self) -> None:
        if self.always_reopen:
            self.reopen()
        compare(self.db.at("HEAD"), self.model.head)

    @rule(base=labels, to=labels)
    def differences(self, base: str, to: str) -> None:
        versions = self.model.versions()
        ends = [name if name in versions else "HEAD" for name in (base, to)]
        old, new = (versions[name] for name in ends)
        found = {change.path: change for change in self.db.diff(*ends)}
        kinds = {path: change.kind for path, change in found.items()}
        expected = dict.fromkeys(new.keys() - old.keys(), "added")
        expected |= dict.fromkeys(old.keys() - new.keys(), "deleted")
        for path in old.keys() & new.keys():
            if old[path] != new[path]:
                expected[path] = "modified"
        files = {p: k for p, k in kinds.items() if p in expected}
        assert {p for p in expected if (new.get(p) or old[p])[0] != "folder"} <= files.keys()
        assert files == {p: k for p, k in expected.items() if p in files}
        # What is left are touches: other times, the same content.
        for path in kinds.keys() - expected.keys():
            assert kinds[path] == "modified"
            assert old[path] == new[path]
            assert found[path].old.updated != found[path].new.updated

    def compare_all(self) -> None:
        for name, tree in self.model.versions().items():
            compare(self.db.at(name), tree)
        assert {s.name for s in self.db.snapshots.list()} == self.model.snapshots.keys()
        assert {f.name for f in self.db.forks.list()} == self.model.forks.keys()


def compare(view: Any, tree: Tree) -> None:
    """Walk, list, stat and read of a version against a model's tree."""
    found = {stat.path: stat for stat in view.walk()}
    assert found.keys() == tree.keys()
    assert list(found) == sorted(found, key=lambda path: [p.encode() for p in path.split("/")])
    assert [s.path for s in view.list()] == [p for p in found if p.count("/") == 1]
    for path, stat in found.items():
        kind, data = tree[path]
        assert stat.kind == kind
        if "/many-" not in path or path.endswith("9"):
            assert view.stat(path) == stat
        if kind == "file":
            assert stat.hash == h(data).hex()
            if "/many-" not in path or path.endswith("9"):
                assert view.read(path) == data
        if kind == "symlink":
            assert stat.target == data.decode()


@pytest.mark.parametrize("always_reopen", [False, True], ids=["fresh", "reopened"])
def test_a_database_does_what_a_dict_would(
    always_reopen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_RECORDS", store.CHECKPOINT_RECORDS)
    monkeypatch.setattr(store, "OVERFLOW_LIMIT", store.OVERFLOW_LIMIT)
    machine = type("Run", (Machine,), {"always_reopen": always_reopen})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("AEORDB_EXAMPLES", "25")),
            # Shrinking such long runs takes minutes; the steps that failed say enough.
            phases=(Phase.reuse, Phase.generate),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
