"""The command line as a process of its own: streams, signals, imports."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aeordb

# The tests run in other folders: what they run is the very package that this process has.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(aeordb.__file__).parents[1])}
PROGRAM = (sys.executable, "-m", "aeordb")

# What `aeordb --version` must not wait for.
SLOW = ("rich", "zstandard", "argon2", "blake3", "cffi", "asyncio", "concurrent", "multiprocessing")


def program(*arguments: str, cwd: Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Runs `aeordb`."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a database in it that holds a large file."""
    (tmp_path / "large").write_bytes(os.urandom(1 << 20) * 32)
    assert program("init", cwd=tmp_path).returncode == 0
    assert program("put", "large", "/large", cwd=tmp_path).returncode == 0
    return tmp_path


def test_version_imports_nothing_slow(tmp_path: Path) -> None:
    code = (
        "import sys; from aeordb.cli.main import main; code = main(['--version']);"
        f"slow = [name for name in {SLOW!r} if name in sys.modules]; sys.exit(code or str(slow))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith("aeordb ")
    assert ran.stderr.strip() == "[]"


def test_content_goes_through_pipes_unchanged(folder: Path) -> None:
    content = bytes(range(256)) * 5000
    assert program("put", "-", "/pipe", cwd=folder, stdin=content).returncode == 0
    ran = program("cat", "/pipe", cwd=folder)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == content


def test_a_reader_that_leaves_early_is_no_drama(folder: Path) -> None:
    running = subprocess.Popen(
        [*PROGRAM, "cat", "/large"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.read(10)
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait(60) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_put_with_nothing_changed(
    folder: Path, number: signal.Signals, code: int
) -> None:
    before = program("status", "--json", cwd=folder).stdout
    running = subprocess.Popen(
        [*PROGRAM, "put", "-", "/half"],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdin is not None
    running.stdin.write(bytes(8 << 20))
    running.stdin.flush()
    time.sleep(0.5)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert b"Traceback" not in err
    assert program("cat", "/half", cwd=folder).returncode == 20
    after = program("status", "--json", cwd=folder).stdout
    assert after.split(b'"head"')[1][:80] == before.split(b'"head"')[1][:80]


def test_a_second_writer_is_refused_with_the_first_ones_process_id(folder: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import aeordb, sys\n"
            "with aeordb.open('data.aeordb'): print(flush=True); sys.stdin.read()",
        ],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        (folder / "alias.aeordb").symlink_to("data.aeordb")
        for name in ("data.aeordb", "alias.aeordb"):
            ran = program("-D", name, "rm", "/large", cwd=folder)
            assert ran.returncode == 11
            assert str(holder.pid).encode() in ran.stderr
        assert program("ls", cwd=folder).returncode == 0
    finally:
        holder.communicate(timeout=60)


def test_names_that_are_no_text_come_back_as_they_were(folder: Path) -> None:
    odd = os.fsencode(folder) + b"/\xff.txt"
    Path(os.fsdecode(odd)).write_bytes(b"odd")
    assert program("put", os.fsdecode(odd), "/odd.txt", cwd=folder).returncode == 0
    ran = program("get", "/odd.txt", os.fsdecode(odd), cwd=folder)
    assert ran.returncode == 0
    assert odd in ran.stdout
