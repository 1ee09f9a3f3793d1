"""Every fault at every call while a file is made: a new database, and a repaired one."""

import itertools
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

import aeordb
from aeordb.errors import AeorDBError, DamagedError, NotADatabaseError, NotDurableError
from aeordb.storage.datafile import use_layer
from aeordb.testing.faults import FAULTS, LOST, Fault, FaultLayer, Made
from aeordb.testing.recording import QuickLayer
from aeordb.testing.scenario import CLOSE, prepare
from tests.crash.form import FULL
from tests.crash.judge import rows_of, state_of
from tests.crash.test_faults import BASE, NAME
from tests.kit.damage import damage
from tests.kit.rules import check_file

DAMAGE_IS_FINE = suppress(DamagedError, NotADatabaseError)


def fault_at(calls: Sequence[Made], number: int, what: str, lasting: bool) -> Fault | None:
    """The fault that hits the call of this number, if it can."""
    at = sum(map(Fault(what).picks, calls[:number]))
    return Fault(what, at, lasting) if Fault(what).picks(calls[number]) else None


def test_every_fault_of_a_create(tmp_path: Path) -> None:
    """The name stands for nothing, or for a database; what stands in the way goes with the next
    try."""
    folder = tmp_path / "work"
    path = folder / NAME

    def make(*faults: Fault) -> tuple[FaultLayer, AeorDBError | None]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        layer = FaultLayer(*faults, inner=QuickLayer(), remember=True)
        with use_layer(layer):
            try:
                aeordb.open(path, "x", jobs=1).close()
            except AeorDBError as error:
                return layer, error
        return layer, None

    calls = make()[0].calls
    for number, call in enumerate(calls):
        for what, lasting in itertools.product(FAULTS, (False, True)):
            fault = fault_at(calls, number, what, lasting)
            if fault is None:
                continue
            layer, error = make(fault)
            assert layer.hit
            if what == LOST:
                layer.lose_unsynced()
                with (
                    use_layer(QuickLayer()),
                    DAMAGE_IS_FINE,
                    aeordb.open(path, "r") as found,
                ):
                    assert state_of(found) == ((), ())
                continue
            if error is not None:
                assert isinstance(error, NotDurableError), f"{fault} at {call}: {error!r}"
            kept = any(made.kind == "unlink" for made in layer.hit)
            # It was made, and could not be opened.
            late = any(made.path == str(path) for made in layer.hit)
            assert error is None or kept or late or not path.exists(), f"{fault} at {call}"
            assert kept or not path.with_name(f"{NAME}.part").exists()
            with use_layer(QuickLayer()), aeordb.open(path, "a", jobs=1) as found:
                found.put("/a", b"works")
            assert check_file(path) == []


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in-place"])
def test_every_fault_of_a_repair(tmp_path: Path, in_place: bool) -> None:
    """The damaged file stays as it was, or is the repaired one; a copy is whole or not there."""
    folder = tmp_path / "work"
    path, original = folder / NAME, tmp_path / NAME
    prepare(original, [*BASE, CLOSE])
    damage(original, "hot-tail")
    damaged = original.read_bytes()
    target = path if in_place else folder / f"{NAME}.repaired"

    def mend(*faults: Fault) -> tuple[FaultLayer, AeorDBError | None]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path.write_bytes(damaged)
        layer = FaultLayer(*faults, inner=QuickLayer())
        with use_layer(layer):
            try:
                aeordb.repair(path, in_place=in_place, jobs=1)
            except AeorDBError as error:
                return layer, error
        return layer, None

    calls = mend()[0].calls
    whole = target.read_bytes()
    turn = itertools.cycle(itertools.product(FAULTS, (False, True)))
    for number, call in enumerate(calls):
        for what, lasting in itertools.islice(turn, 14 if FULL else 5):
            fault = fault_at(calls, number, what, lasting)
            if fault is None:
                continue
            layer, error = mend(fault)
            at = f"{fault} at {call}: {error!r}"
            if what == LOST:
                if path.read_bytes() != damaged:
                    with (
                        DAMAGE_IS_FINE,
                        aeordb.open(path, "r", jobs=1) as found,
                    ):
                        rows_of(found.at("HEAD"))
                continue
            assert error is None or isinstance(error, NotDurableError), at
            assert path.read_bytes() in (damaged, whole), at
            kept = any(made.kind == "unlink" for made in layer.hit)
            if error is None:
                assert target.read_bytes() == whole, at
            elif not in_place:
                assert path.read_bytes() == damaged, at
                assert not target.exists() or (kept and target.read_bytes() == whole), at
            assert kept or not Path(f"{target}.part").exists(), at
            target.unlink(missing_ok=True)
            path.write_bytes(damaged)
            with use_layer(QuickLayer()):
                aeordb.repair(path, in_place=in_place, jobs=1)
            assert target.read_bytes() == whole, at
