"""Tasks of a server's process that is killed, or stopped, while one of them runs."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

import aeordb
from tests.kit.rules import assert_file
from tests.kit.serving import Line, Serving

SIZE = 96 << 20


def make_database(path: Path) -> None:
    """A database whose backup takes a moment."""
    with aeordb.open(path, "x") as db:
        db.put("/big", os.urandom(SIZE))


def ask(line: Line, method: str, target: str, body: bytes = b"") -> Any:
    answer = line(method, target.encode(), {}, body)
    assert answer.status < 300, answer.body
    return answer.json()


def start_backups(line: Line) -> tuple[str, str]:
    """Starts one and has another one wait; their ids, once the first one copies."""
    first, second = (ask(line, "POST", "/system/tasks/backup")["id"] for _ in range(2))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        task = ask(line, "GET", f"/system/tasks/{first}")
        if task["progress"] is not None and task["progress"]["done"]:
            break
        assert task["status"] in ("pending", "running"), "it was too fast for this test"
    return first, second


def end_of(line: Line, task_id: str) -> Any:
    while (task := ask(line, "GET", f"/system/tasks/{task_id}"))["completed_at"] is None:
        pass
    return task


@pytest.mark.parametrize("kill", [True, False])
def test_a_restart_tells_what_was_interrupted(tmp_path: Path, kill: bool) -> None:
    path, backups = tmp_path / "data.aeordb", tmp_path / "backups"
    make_database(path)
    serving = Serving(path, "--auth", "disabled")
    serving.__enter__()
    with Line(serving.address) as line:
        first, second = start_backups(line)
        if kill:
            serving.process.kill()
            serving.process.wait()
    if kill:
        with pytest.raises(AssertionError, match="-9"):
            serving.__exit__(None, None, None)
        assert [name.endswith(".part") for name in os.listdir(backups)] == [True]
    else:
        serving.__exit__(None, None, None)
        assert os.listdir(backups) == []
    with Serving(path, "--auth", "disabled") as serving, Line(serving.address) as line:
        assert end_of(line, first)["status"] == "interrupted"
        done = end_of(line, second)
        assert done["status"] == "completed"
        # Nothing of the first one is left.
        [name] = os.listdir(backups)
        assert done["result"]["output"].endswith(name)
    assert_file(backups / name)
