"""All operations that change files, one after the other, in a process that is watched from outside.

    traced.py recorded FOLDER    through the recording layer; its list of calls goes to FOLDER.json
    traced.py plain FOLDER       as every user's process does them

With a third argument, `keys`, API keys are made too, whose bytes are random.
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import aeordb
from aeordb.format.system import CRON
from aeordb.storage import store
from aeordb.storage.datafile import Memory, use_layer
from aeordb.testing import recording as r
from aeordb.testing import scenario as s
from aeordb.testing.scenario import Step
from aeordb.versions.system import put_system_file

MAP = "map"


class Listing(r.Recorder):
    """Lists when a file becomes memory, instead of what was written to that memory."""

    def map(self, fd: int, length: int) -> Memory:
        self.calls.append(r.Call(MAP, self._by_fd[fd], length=length))
        return super().map(fd, length)

    def _note_memory(self, fd: int) -> None:
        pass


def bytes_of(seed: int, length: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    value, parts = seed + 1, []
    for _ in range(-(-length // 8)):
        value = value * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        parts.append(value.to_bytes(8, "little"))
    return b"".join(parts)[:length]


def cron(database: aeordb.Database) -> None:
    with database.transaction() as tx:
        put_system_file(tx.writer, CRON, b'{"schedules": []}', "application/json")


STEPS: Sequence[Step] = [
    s.put("/a.txt", b"first\n"),
    s.put("/a.txt", b"second\n"),
    s.put("/ten-chunks.bin", bytes_of(1, 10 * 262_144)),
    s.put_many({f"/many/{i}.bin": bytes_of(i, 300 + 7 * i) for i in range(60)}),
    s.snapshot("v1"),
    s.mkdir("/folder/deep"),
    s.move("/a.txt", "/folder/moved.txt"),
    s.symlink("moved.txt", "/folder/link"),
    s.snapshot("v2"),
    s.delete("/many"),
    s.drop_snapshot("v2"),
    s.promote("v1"),
    s.fork("f"),
    s.promote_fork("f"),
    s.give_up("/never", bytes_of(2, 5000)),
    Step("cron", cron),
    s.reserve(900),
    s.put("/gone.bin", bytes_of(3, 90_000)),
    s.delete("/gone.bin"),
    s.delete("/many"),
    s.drop_snapshot("v1"),
    s.gc(),
    s.put("/into/a/void", bytes_of(4, 2000)),
]


def work(folder: Path, *, keys: bool) -> None:
    """Every operation; with `keys` also those whose bytes are random."""
    path = folder / "data.aeordb"
    full, patch = folder / "new" / "full.backup", folder / "patch.backup"
    with aeordb.open(path, "x", jobs=1) as database:
        for step in STEPS:
            step.do(database)
        base = database.head.hex()
        database.put("/more.bin", bytes_of(5, 3000))
        database.export(full)
        database.export_patch(patch, base)
        if keys:
            s.make_key("one").do(database)
            s.revoke_key("one").do(database)
        killed = aeordb.open(folder / "other.aeordb", "x", jobs=1)
        killed.put("/a.txt", bytes_of(6, 1000))
        s.kill(killed)
        database.gc(compact=True)
        database.put("/after", b"the compact")
    with aeordb.open(folder / "other.aeordb", "r+", jobs=1) as database:
        database.import_(full)
        database.import_(full, promote=True)
        database.import_(full, promote=True)
        database.put_tree(folder / "tree", "/tree")
        for day in range(3):
            database.put(f"/day{day}", b"x")
            database.backup(folder / "backups", retention_count=1, now=86_400_000 * day)
    with aeordb.open(folder / "third.aeordb", "x", jobs=1) as database:
        database.import_([full, patch], force=True)
    aeordb.repair(path, jobs=1)
    aeordb.repair(path, in_place=True, jobs=1)


def main(how: str, place: str, keys: str = "") -> None:
    ticks = itertools.count(1_700_000_000_000)
    time.time_ns = lambda: next(ticks) * 1_000_000
    # So that pages are written too, not only hot tails.
    store.CHECKPOINT_RECORDS = 40
    folder = Path(place)
    (folder / "tree" / "inner").mkdir(parents=True)
    for name in ("one", "inner/two"):
        (folder / "tree" / name).write_bytes(name.encode())
    for name in ("one", "inner/two", "inner", "."):
        os.utime(folder / "tree" / name, (1_700_000_000, 1_700_000_000))
    recorder = Listing(durable=True)
    with use_layer(recorder) if how == "recorded" else nullcontext():
        work(folder, keys=bool(keys))
    calls = [(c.kind, c.file, c.offset, c.length, c.name, c.target) for c in recorder.calls]
    folder.with_suffix(".json").write_text(json.dumps(calls))


if __name__ == "__main__":
    main(*sys.argv[1:])
