"""Makes the files that recipes begin with: `python -m fuzz.python.kit.make_files`.

They are kept in fuzz/corpus/files. The kept recipes mean something else once a file is another one:
make new ones beside them rather than these again.
"""

from __future__ import annotations

import gzip
import itertools
import shutil
import tempfile
import time
from pathlib import Path

import aeordb
from aeordb.format.nodes import encode_internal
from fuzz.python.kit.recipes import FILES
from tests.kit.hostile import Forgery, sub
from tests.kit.layout import MAGIC

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 30
KEPT = Path(__file__).resolve().parents[3] / "tests" / "interop" / "files"


def history(path: Path) -> aeordb.Database:
    """A database with a bit of everything."""
    db = aeordb.open(path, "x")
    db.put("/a.txt", b"first\n")
    db.put("/folder/b.bin", bytes(range(200)))
    db.put("/folder/deep/c.txt", TEXT)
    db.symlink("a.txt", "/link")
    db.mkdir("/empty")
    db.snapshots.create("v1")
    db.put("/a.txt", b"second\n")
    db.put("/folder/none", b"")
    db.delete("/folder/b.bin")
    db.forks.create("side", at="v1")
    db.snapshots.create("v2")
    return db


def more(db: aeordb.Database) -> None:
    """What the target of a patch has, and its base has not."""
    db.put("/new/file.txt", TEXT + b"more")
    db.put("/a.txt", b"third\n")
    db.delete("/link")
    db.put("/folder/two", bytes(262_144 // 64) + b"end")


def btree(path: Path) -> None:
    """An export with a folder that is a B-tree, small as none is in nature."""
    forgery = Forgery()
    files = [forgery.file(f"/b/{name}", name.encode()) for name in "abcdef"]
    leaves = [forgery.leaf(files[at : at + 2])[0] for at in (0, 2, 4)]
    node = forgery.node(encode_internal(["c", "e"], leaves))
    top = forgery.file("/top", b"top")
    forgery.write(path, forgery.folder([sub("b", *node), top])[0])


def main() -> None:
    ticks = itertools.count(1_760_000_000_000)
    time.time_ns = lambda: next(ticks) * 1_000_000  # type: ignore[assignment]
    FILES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with history(folder / "history") as db:
            db.export(folder / "export")
            shutil.copy(folder / "history", folder / "unclean")
        shutil.copy(folder / "history", folder / "grown")
        with aeordb.open(folder / "grown") as db:
            more(db)
            db.export_patch(folder / "patch", base="v2")
            db.export_patch(folder / "back", base="HEAD", target="v1")
            db.snapshots.delete("v1")
            db.forks.delete("side")
            db.gc()
        (folder / "grown").rename(folder / "collected")
        with history(folder / "system") as db:
            key = db.create_root_key()
            db.export(folder / "privileged", root_key=key)
        shutil.copy(folder / "history", folder / "target")
        with aeordb.open(folder / "target") as db:
            (FILES / "target.key").write_text(db.create_root_key())
        btree(folder / "btree")
        shutil.copy(KEPT / "empty.aeordb", folder / "theirs")
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            if data[:4] == MAGIC:
                packed = gzip.compress(data, mtime=0)
                (FILES / f"{path.name}.gz").write_bytes(packed)
                print(path.name, len(data), len(packed))


if __name__ == "__main__":
    main()
