"""A patch applied to its base gives the target, hash for hash, whatever happened in between."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aeordb
from aeordb import ExistsError, NotFoundError, Transaction, UsageError

PLACES = ["/a", "/b", "/dir", "/dir/a", "/dir/b", "/dir/sub", "/dir/sub/a", "/many/x", "/many"]

Step = Callable[[Transaction], object]

paths = st.sampled_from(PLACES)


def puts(path: str, size: int) -> Step:
    """A file whose content follows from its size; large ones have several chunks."""
    return lambda tx: tx.put(path, bytes(range(256)) * (size // 256) + b"x" * (size % 256))


def crowds(count: int) -> Step:
    """So many files in one folder, others of an earlier crowd gone: flat or B-tree."""

    def run(tx: Transaction) -> None:
        if tx.exists("/many") and tx.stat("/many").kind != "folder":
            tx.delete("/many")
        there = {s.path for s in tx.list("/many")} if tx.exists("/many") else set()
        wanted = {f"/many/{i:04}" for i in range(count)}
        for path in sorted(there - wanted):
            tx.delete(path, recursive=True)
        for path in sorted(wanted - there):
            tx.put(path, path.encode())

    return run


def replaces(path: str, kind: str) -> Step:
    """What stands at a path gives way to something of another kind."""

    def run(tx: Transaction) -> None:
        if tx.exists(path):
            tx.delete(path, recursive=True)
        if kind == "folder":
            tx.mkdir(path)
        elif kind == "symlink":
            tx.symlink("../a", path)
        else:
            tx.put(path, kind.encode())

    return run


steps = st.one_of(
    st.builds(puts, paths, st.sampled_from([0, 1, 1000, 262_144, 600_000])),
    st.builds(lambda path: lambda tx: tx.delete(path, recursive=True), paths),
    st.builds(lambda a, b: lambda tx: tx.move(a, b), paths, paths),
    st.builds(lambda path: lambda tx: tx.mkdir(path), paths),
    st.builds(replaces, paths, st.sampled_from(["folder", "symlink", "file"])),
    st.builds(crowds, st.sampled_from([0, 3, 255, 256, 300])),
)


def take(db: aeordb.Database, history: list[Step]) -> None:
    """One commit of these steps; a step that is refused changes nothing."""
    with db.transaction() as tx:
        for step in history:
            with suppress(UsageError, ExistsError, NotFoundError):
                step(tx)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.lists(steps, min_size=1, max_size=6), min_size=2, max_size=4))
def test_patches_lead_from_any_version_to_any_other(histories: list[list[Step]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roots = [f"v{i}" for i in range(len(histories))]
        with aeordb.open(folder / "source.aeordb", "x") as source:
            for root, history in zip(roots, histories, strict=True):
                take(source, history)
                source.snapshots.create(root)
            heads = [source.resolve(root) for root in roots]
            for i, base in enumerate(roots):
                for j, target in enumerate(roots):
                    if i != j:
                        check(source, folder, (base, heads[i]), (target, heads[j]))


def check(
    source: aeordb.Database, folder: Path, base: tuple[str, bytes], target: tuple[str, bytes]
) -> None:
    """Full export of the base and the patch, both imported elsewhere."""
    full, patch = folder / "full.aeordb", folder / "patch.aeordb"
    source.export(full, version=base[0])
    report = source.export_patch(patch, base=base[0], target=target[0])
    assert (report.output is None) == (base[1] == target[1])
    copy = folder / "copy.aeordb"
    with aeordb.open(copy, "x") as other:
        other.import_(full, promote=True)
        assert other.head == base[1]
        if report.output is not None:
            other.import_(patch, promote=True)
        assert other.head == target[1]
        assert list(other.walk()) == list(source.at(target[0]).walk())
        for stat in other.walk():
            if stat.kind == "file":
                assert other[stat.path] == source.at(target[0]).read(stat.path)
    for path in (full, patch, copy):
        path.unlink(missing_ok=True)
