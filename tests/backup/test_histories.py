"""Random histories: each version exported whole, and patches between versions, both ways."""

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import aeordb
from aeordb.errors import AeorDBError
from tests.kit.backups import assert_export, assert_patch
from tests.kit.oracle import Oracle
from tests.kit.rules import assert_file

NAMES = st.sampled_from(["a", "b", "c", "é", "many"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
DATA = st.one_of(
    st.binary(max_size=20),
    st.integers(0, 3).map(lambda n: bytes([n]) * 300_000),
)
STEP = st.one_of(
    st.tuples(st.just("put"), PATHS, DATA),
    st.tuples(st.just("delete"), PATHS, st.none()),
    st.tuples(st.just("mkdir"), PATHS, st.none()),
    st.tuples(st.just("symlink"), PATHS, PATHS),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("fill"), PATHS, st.integers(250, 300)),
    st.tuples(st.just("thin"), PATHS, st.integers(1, 299)),
)
HISTORY = st.lists(st.lists(STEP, min_size=1, max_size=6), min_size=2, max_size=4)


def run(tx: aeordb.Transaction, what: str, path: str, argument: object) -> None:
    if what == "put":
        tx.put(path, argument)  # type: ignore[arg-type]
    elif what == "delete":
        tx.delete(path, recursive=True)
    elif what == "mkdir":
        tx.mkdir(path)
    elif what == "symlink":
        tx.symlink(str(argument), path)
    elif what == "move":
        tx.move(path, str(argument))
    elif what == "fill":
        for i in range(int(str(argument))):
            tx.put(f"{path}/{i:03}", b"%d" % (i % 7))
    else:
        for i in range(int(str(argument))):
            if tx.exists(f"{path}/{i:03}"):
                tx.delete(f"{path}/{i:03}")


def attempt(tx: aeordb.Transaction, step: tuple[str, str, object]) -> None:
    # A step that is refused changes nothing.
    with contextlib.suppress(AeorDBError):
        run(tx, *step)


@settings(max_examples=25, deadline=None)
@given(HISTORY)
def test_histories(history: list[list[tuple[str, str, object]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with aeordb.open(place / "data.aeordb", "x") as db:
            names = ["start"]
            db.snapshots.create("start")
            for number, steps in enumerate(history):
                with db.transaction() as tx:
                    for step in steps:
                        attempt(tx, step)
                db.snapshots.create(f"v{number}")
                names.append(f"v{number}")
            oracle = Oracle(place / "data.aeordb")
            for name in names:
                output = place / f"full-{name}"
                db.export(output, name)
                assert_file(output)
                assert_export(output, oracle, db.resolve(name))
            for base in names:
                for target in names:
                    roots = db.resolve(base), db.resolve(target)
                    report = db.export_patch(place / f"{base}-{target}", base, target)
                    if roots[0] == roots[1]:
                        assert report.output is None
                    else:
                        assert_patch(place / f"{base}-{target}", oracle, *roots)
