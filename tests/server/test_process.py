"""The server's process: how it starts, stops and is killed, what it logs, what runs beside it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import aeordb
from aeordb.errors import UsageError
from aeordb.server.settings import Settings
from tests.kit.child import ENVIRONMENT
from tests.kit.load import Load
from tests.kit.rules import assert_file
from tests.kit.serving import Line, Serving


def assert_done(path: Path, load: Load) -> None:
    with aeordb.open(path, "r") as db:
        load.check(db)


def test_killed_under_load(tmp_path: Path) -> None:
    """Every upload that was acknowledged is there."""
    path = tmp_path / "data.aeordb"
    serving = Serving(path, "--auth", "disabled")
    serving.__enter__()
    load = Load(serving.address, 200)
    assert load.reached.wait(120)
    serving.process.kill()
    load.join()
    with pytest.raises(AssertionError, match="-9"):
        serving.__exit__(None, None, None)
    assert_done(path, load)
    assert sorted(os.listdir(tmp_path)) == ["data.aeordb", "data.aeordb.lock", "server.log"]
    # And it starts again.
    with Serving(path, "--auth", "disabled") as again, Line(again.address) as ask:
        assert ask("PUT", b"/files/more", {}, b"x").status == 201
    assert_done(path, load)
    assert_file(path)


def test_stopped_under_load(tmp_path: Path) -> None:
    """It ends by itself, well, once what runs has its answer."""
    path = tmp_path / "data.aeordb"
    with Serving(path, "--auth", "disabled") as serving:
        idle = socket.create_connection(serving.address)
        half = socket.create_connection(serving.address)
        half.sendall(b"PUT /files/x HTTP/1.1\r\n")
        load = Load(serving.address, 100)
        assert load.reached.wait(120)
        serving.process.send_signal(signal.SIGTERM)
        assert serving.process.wait(60) == 0
        load.join()
        idle.close()
        half.close()
    assert "Traceback" not in serving.log
    assert_done(path, load)
    assert_file(path)


def test_what_is_printed(tmp_path: Path) -> None:
    """The database and its key are made at the first start, and the key is shown that once."""
    path = tmp_path / "data.aeordb"
    with Serving(path) as serving:
        first = serving.ready
        key = first["root_key"]
        assert first["created"]
        assert first["pid"] == serving.process.pid
        with Line(serving.address) as ask:
            for sent, status in ((f"Bearer {key}", 200), ("Bearer x", 401), (None, 401)):
                headers = {"Authorization": sent} if sent else {}
                assert ask("GET", b"/files/", headers).status == status
    assert key not in serving.log
    assert key.encode() not in path.read_bytes()
    with Serving(path) as serving:
        assert "root_key" not in serving.ready
        assert not serving.ready["created"]


def test_logs_as_json(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    options = ("--auth", "disabled", "--log-format", "json")
    with Serving(path, *options) as serving, Line(serving.address) as ask:
        ask("PUT", b"/files/a%0ab?token=secret", {"X-Request-ID": "seven"}, b"the body")
    lines = [json.loads(line) for line in serving.log.splitlines()]
    (line,) = [line for line in lines if line["message"] == "request"]
    wanted = {"id": "seven", "method": "PUT", "path": "/files/a%0ab", "status": 201}
    assert {name: line[name] for name in wanted} == wanted
    assert line["ms"] > 0
    assert "secret" not in serving.log
    assert "the body" not in serving.log


def test_reading_commands_work_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with Serving(path, "--auth", "disabled") as serving, Line(serving.address) as ask:
        for number in range(3):
            ask("PUT", b"/files/a", {}, b"%d" % number)
            with aeordb.open(path, "r") as db:
                assert db["/a"] == b"%d" % number
                db.export(tmp_path / f"{number}.aeordb")
        with pytest.raises(aeordb.LockedError) as caught:
            aeordb.open(path)
        assert caught.value.pid == serving.process.pid


def test_gc_runs_while_others_read(served: Serving, ask: Line) -> None:
    """The view that the database itself keeps for its readers once stood in the way for ever."""
    ask("PUT", b"/files/kept", {}, b"x")
    for number in range(50):
        ask("PUT", b"/files/d/f%d" % number, {}, b"y" * number)
    ask("DELETE", b"/files/d?recursive=true")
    over = threading.Event()
    wrong: list[int] = []

    def read() -> None:
        with Line(served.address) as other:
            while not over.is_set():
                status = other("GET", b"/files/kept").status
                if status != 200:
                    wrong.append(status)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    answer = ask("POST", b"/system/gc")
    over.set()
    for thread in threads:
        thread.join()
    assert answer.status == 200, answer
    assert answer.json()["garbage_entries"] > 50
    assert wrong == []


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with Serving(path, "--auth", "disabled") as serving:
        said = refused("-D", str(path), "--port", "0")
        assert (said["code"], said["error"]["pid"]) == ("locked", serving.process.pid)
        other = tmp_path / "other.aeordb"
        said = refused("-D", str(other), "--port", str(serving.address[1]))
        assert "cannot listen" in said["error"]["message"]
        assert not other.exists()


def refused(*options: str) -> Any:
    """What `aeordb start` says that does not start."""
    command = [sys.executable, "-m", "aeordb", "start", "--json", "--auth", "disabled", *options]
    ran = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode != 0
    return json.loads(ran.stdout)


def test_without_keys_only_this_machine() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.com"):
        with pytest.raises(UsageError, match="without keys"):
            Settings("x", host=host, auth="disabled").check()
        assert Settings("x", host=host, auth="disabled", insecure=True).check()
        assert Settings("x", host=host).check()
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert Settings("x", host=host, auth="disabled").check()


def test_the_library_does_not_load_the_server() -> None:
    names = ("fastapi", "starlette", "uvicorn", "pydantic", "jwt", "cronsim", "prometheus_client")
    code = f"import sys, aeordb, aeordb.cli.main; print([n for n in {names} if n in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
