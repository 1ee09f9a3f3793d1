"""A failing disk under a command: exit code 16 and a word about it, or the command has worked."""

import itertools
import shutil
from pathlib import Path

import pytest

import aeordb
from aeordb.cli.main import run
from aeordb.storage.datafile import use_layer
from aeordb.testing.faults import ERRORS, Fault, FaultLayer
from aeordb.testing.recording import QuickLayer
from aeordb.testing.scenario import prepare
from tests.crash.form import FULL
from tests.crash.test_faults import BASE, NAME

COMMANDS = {
    "init": "init -D {0}/new.aeordb",
    "put": "put -D {0}/data.aeordb {0}/file.txt /new.txt",
    "rm": "rm -D {0}/data.aeordb -r /folder",
    "snapshot": "snapshot create -D {0}/data.aeordb v2",
    "export": "export -D {0}/data.aeordb -o {0}/out.aeordb",
    "gc": "gc -D {0}/data.aeordb",
    "backup": "backup -D {0}/data.aeordb --backup-dir {0}/backups",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_a_failing_disk(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, original = tmp_path / "work", tmp_path / "original"
    original.mkdir()
    prepare(original / NAME, BASE)
    (original / "file.txt").write_text("text")
    arguments = COMMANDS[name].format(folder).split()

    def do(*faults: Fault) -> tuple[FaultLayer, int, str]:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, folder)
        layer = FaultLayer(*faults, inner=QuickLayer())
        with use_layer(layer):
            code = run(arguments)
        return layer, code, capsys.readouterr().err

    layer, code, said = do()
    assert code == 0, said
    kinds = itertools.cycle(itertools.product(ERRORS, (False, True)))
    failed = 0
    for number, call in enumerate(layer.calls):
        for what, lasting in itertools.islice(kinds, 10 if FULL else 1):
            _, code, said = do(Fault(what, number, lasting))
            assert code in (0, 16), f"{what} at {call}: {code} {said}"
            assert "a fault in aeordb" not in said
            assert code == 0 or said, call
            failed += code == 16
            with use_layer(QuickLayer()), aeordb.open(folder / NAME, "r+", jobs=1) as database:
                database.put("/after", b"the fault")
    assert failed > len(layer.calls) // 3
