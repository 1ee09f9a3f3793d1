"""No call that changes a file of a database goes around the layer that the cuts are made in: what
`strace` sees of a process is what the layer recorded."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from aeordb.testing.recording import (
    FOLDER,
    MKDIR,
    OPEN,
    PUNCH,
    RENAME,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
)
from tests.crash.traced import MAP

CHILD = Path(__file__).with_name("traced.py")
# Every call that can change a file's bytes, size or names, or make them durable.
WATCHED = (
    "open,openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,"
    "sync_file_range,truncate,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,link,"
    "linkat,symlink,symlinkat,mkdir,mkdirat,rmdir,mmap,copy_file_range,sendfile,splice,"
    "io_uring_setup,io_submit,chmod,fchmod,fchmodat"
)
# What may go around the layer, and why: pattern of strace's line, reason.
AROUND = [
    (r'^openat\([^"]*"[^"]*\.lock", O_RDWR\|O_CREAT', "a lock file is empty: a cut loses nothing"),
    (r'^openat\([^"]*"/proc/self/fd/\d+", O_RDWR', "opened for a lock, not written to"),
    (r"^fchmod\(", "a dense copy's permissions: no promise is made about them"),
    (r"^sync_file_range\(", "lets the disk begin early; the sync that counts comes all the same"),
]

Event = tuple[object, ...]
Name = str


def trace(arguments: Iterable[str], folder: Path) -> list[str]:
    """What strace says of a child's calls, in order, whole lines without process ids."""
    output = folder.with_suffix(".strace")
    command = ["strace", "-f", "-y", "-s", "4096", "-e", f"trace={WATCHED}"]
    run_child([*command, "-e", "signal=none", "-o", str(output)], arguments)
    begun: dict[str, str] = {}
    lines = []
    for line in output.read_text(errors="replace").splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[process] = call.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>", call)
        if resumed:
            call = begun.pop(process) + call[resumed.end() :]
        lines.append(call)
    return lines


def run_child(before: Iterable[str], arguments: Iterable[str]) -> None:
    path = os.pathsep.join(p for p in sys.path if p)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*before, sys.executable, str(CHILD), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def seen(lines: Iterable[str], folder: Path) -> Iterator[Event]:
    """The calls on files in the folder that change something, as events."""
    for line in lines:
        if f"{folder}/" not in line and f"{folder}>" not in line:
            continue
        match = re.match(r"(\w+)\((.*)\)\s+= (-?\w+)(?:<(.*?)>)?", line, re.DOTALL)
        assert match, line
        name, arguments, result, opened = match.groups()
        if result == "-1" or f"{folder}/tree" in line or f"{folder}.json>" in line:
            continue
        if any(re.search(pattern, line) for pattern, _ in AROUND):
            continue
        event = event_of(name, arguments, opened)
        if event is not None:
            yield event


def event_of(name: str, arguments: str, opened: str | None) -> Event | None:
    at = re.match(r"\d+<(.*?)>", arguments)
    path = at.group(1) if at else ""
    texts = re.findall(r'"([^"]*)"', arguments)
    numbers = [part.strip() for part in arguments.rsplit(", ", 2)[1:]]
    if name in ("open", "openat"):
        return (OPEN, opened) if re.search("O_WRONLY|O_RDWR|O_CREAT", arguments) else None
    if name == "pwrite64":
        return WRITE, path, int(numbers[1]), int(numbers[0])
    if name == "fdatasync":
        return SYNC, path
    if name == "fsync":
        return FOLDER, path
    if name == "ftruncate":
        return TRUNCATE, path, int(numbers[-1])
    if name == "fallocate" and "KEEP_SIZE|FALLOC_FL_PUNCH_HOLE" in arguments:
        return PUNCH, path, int(numbers[0]), int(numbers[1])
    if name in ("rename", "renameat2"):
        return RENAME, *texts
    if name in ("unlink", "mkdir"):
        return (UNLINK if name == "unlink" else MKDIR), *texts
    if name == "mmap":
        if "PROT_WRITE" not in arguments or "MAP_SHARED" not in arguments:
            return None
        length, path = re.findall(r"NULL, (\d+),.* \d+<(.*?)>", arguments)[0]
        return MAP, path, int(length)
    return name, arguments


def recorded(output: str) -> Iterator[Event]:
    """The calls that the layer recorded, as events."""
    names: dict[int, Name] = {}
    for kind, file, offset, length, name, target in json.loads(output):
        if kind == OPEN:
            names[file] = name
            yield OPEN, name
        elif kind == WRITE:
            yield WRITE, names[file], offset, length
        elif kind == PUNCH:
            yield PUNCH, names[file], offset, length
        elif kind in (TRUNCATE, MAP):
            yield kind, names[file], length
        elif kind == SYNC:
            yield SYNC, names[file]
        elif kind == RENAME:
            names = {n: target if x == name else x for n, x in names.items()}
            yield RENAME, name, target
        else:
            yield kind, name


def epochs(events: Iterable[Event]) -> list[object]:
    """The same, but of writes only what they cover between two calls of another kind."""
    found: list[object] = []
    covered: dict[object, list[list[int]]] = {}
    for event in [*events, ("end",)]:
        if event[0] == WRITE:
            _, path, offset, length = event
            covered.setdefault(path, []).append([offset, offset + length])  # type: ignore[operator,list-item]
            continue
        for path, ranges in sorted(covered.items(), key=str):
            found.append((path, merged(ranges)))
        covered = {}
        found.append(event)
    return found


def merged(ranges: list[list[int]]) -> list[list[int]]:
    result: list[list[int]] = []
    for start, end in sorted(ranges):
        if result and start <= result[-1][1]:
            result[-1][1] = max(end, result[-1][1])
        else:
            result.append([start, end])
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode != 0:
        pytest.skip("strace is not allowed to trace here")
    return tmp_path.resolve() / "work"


def check_same(one: list[object], other: list[object]) -> None:
    for i, (left, right) in enumerate(zip(one, other, strict=False)):
        assert left == right, f"call {i}"
    assert len(one) == len(other)


def test_no_call_goes_around_the_recording_layer(folder: Path) -> None:
    lines = trace(["recorded", str(folder), "keys"], folder)
    calls = list(seen(lines, folder))
    listed = list(recorded(folder.with_suffix(".json").read_text()))
    check_same(calls, listed)  # type: ignore[arg-type]
    assert {event[0] for event in calls} == {
        OPEN, WRITE, SYNC, TRUNCATE, PUNCH, RENAME, UNLINK, MKDIR, FOLDER, MAP,
    }  # fmt: skip


def test_what_the_helper_writes_itself_is_what_the_layer_would_have_written(folder: Path) -> None:
    """Without a layer of a test's, pages and void entries are written by the C helper, many in one
    call. They cover the same bytes between the same syncs."""
    calls = list(seen(trace(["plain", str(folder)], folder), folder))
    shutil.rmtree(folder)
    run_child([], ["recorded", str(folder)])
    listed = list(recorded(folder.with_suffix(".json").read_text()))
    check_same(epochs(calls), epochs(listed))
