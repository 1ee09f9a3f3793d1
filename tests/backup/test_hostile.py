"""Backups that lie: each gets its error, and the database is as it was, byte for byte."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import aeordb
from aeordb.errors import DamagedError, NotADatabaseError
from aeordb.format import constants as c
from aeordb.format.hottail import HOT_TAIL, encode_hot_tail
from aeordb.format.keys import chunk_key, file_identity_key, node_key
from aeordb.format.nodes import Child, encode_child, encode_internal, encode_leaf
from aeordb.format.records import FileRecord
from tests.kit.child import ENVIRONMENT
from tests.kit.hostile import TIME, TYPE, Forgery, raw_child, sub

SECONDS = 20
Lie = Callable[[Forgery], bytes]
LIES: dict[str, tuple[Lie, str]] = {}


def lie(reason: str) -> Callable[[Lie], Lie]:
    """Takes a builder of a lying version up; the error must say `reason`."""

    def take(build: Lie) -> Lie:
        LIES[build.__name__] = build, reason
        return build

    return take


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A database with something in it, closed."""
    path = tmp_path / "target.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/here.txt", b"as it was")
        db.put("/gone.txt", b"gone")
        db.delete("/gone.txt")
    return path


def refused(target: Path, backup: Path, error: type[aeordb.AeorDBError], **how: object) -> str:
    """Imports in vain, each way; the message."""
    before = target.read_bytes()
    for options in ({}, {"promote": True}, {"force": True, "salvage": True}):
        start = time.monotonic()
        with aeordb.open(target) as db, pytest.raises(error) as caught:
            db.import_(backup, **{**options, **how})  # type: ignore[arg-type]
        assert time.monotonic() - start < SECONDS
        assert target.read_bytes() == before
    return str(caught.value)


# -- addresses and places --------------------------------------------------------------------


@lie("another address")
def chunk_under_the_key_of_other_bytes(f: Forgery) -> bytes:
    key = f.chunk(b"evil", key=chunk_key(b"good"))
    return f.folder([f.file("/a", b"good", chunk=key)])[0]


@lie("another address")
def packed_chunk_under_the_key_of_other_bytes(f: Forgery) -> bytes:
    """Of two, so that no content hash of the file tells."""
    packed = zstandard.ZstdCompressor().compress(b"evil" * 200)
    keys = f.chunk(b"first") + f.chunk(b"", key=chunk_key(b"good" * 200), stored=packed)
    return f.folder([f.file("/a", b"first" + b"good" * 200, chunk=keys)])[0]


@lie("another address")
def forged_identity(f: Forgery) -> bytes:
    data = f.chunk(b"x")
    record = FileRecord("/a", TYPE, 1, TIME, TIME, bytes(32), b"", data)
    f.record(record, key=b"\7" * 32)
    return f.folder([Child(c.KIND_FILE, b"\7" * 32, 1, TIME, TIME, "a", TYPE, TIME)])[0]


@lie("another address")
def forged_directory(f: Forgery) -> bytes:
    return f.folder([f.file("/a")], key=b"\1" * 32)[0]


@lie("another path")
def record_of_another_path(f: Forgery) -> bytes:
    child = f.file("/b")
    return f.folder([child._replace(name="a")])[0]


@lie("another path")
def record_that_leads_out(f: Forgery) -> bytes:
    child = f.file("/../a")
    return f.folder([child._replace(name="a")])[0]


@lie("two paths")
def subtree_with_files_at_two_places(f: Forgery) -> bytes:
    shared = f.folder([f.file("/a/x")])
    return f.folder([sub("a", *shared), sub("b", *shared)])[0]


@lie("another path")
def folder_with_files_moved(f: Forgery) -> bytes:
    return f.folder([sub("b", *f.folder([f.file("/a/x")]))])[0]


@lie("system folder")
def system_folder_in_the_tree(f: Forgery) -> bytes:
    child = f.file("/.aeordb-system/users/x")
    inner = f.folder([sub("users", *f.folder([child]))])
    return f.folder([sub(".aeordb-system", *inner)])[0]


@lie("system folder")
def config_folder_in_the_tree(f: Forgery) -> bytes:
    return f.folder([sub(".aeordb-config", *f.folder([f.file("/.aeordb-config/cron.json")]))])[0]


# -- names and shapes ------------------------------------------------------------------------


def _named(name: str, reason: str) -> None:
    def build(f: Forgery) -> bytes:
        key = f.file("/a").hash
        return f.node(raw_child(c.KIND_FILE, key, name.encode()))[0]

    LIES[f"named {name!r}"] = build, reason


for _name in ("..", ".", "a/b", "/", "a\0b", "\0"):
    _named(_name, "illegal name")
_named("", "empty name")


@lie("UTF-8")
def name_that_is_no_text(f: Forgery) -> bytes:
    return f.node(raw_child(c.KIND_FILE, f.file("/a").hash, b"\xff\xfe"))[0]


@lie("twice")
def doubles(f: Forgery) -> bytes:
    return f.folder([f.file("/a"), f.file("/b"), f.file("/a")])[0]


@lie("another address")
def folder_in_itself(f: Forgery) -> bytes:
    return f.folder([sub("again", b"\5" * 32, 1)], key=b"\5" * 32)[0]


@lie("more paths than a tree has")
def forty_levels_of_shared_folders(f: Forgery) -> bytes:
    folder = f.folder([sub("end", *f.node(b""))])
    for _ in range(40):
        folder = f.folder([sub("a", *folder), sub("b", *folder)])
    return folder[0]


@lie("levels deep")
def shared_folders_too_deep(f: Forgery) -> bytes:
    """A subtree that is fine where it is met first is too deep at its second place."""
    inner = f.folder([sub("end", *f.node(b""))])
    for _ in range(600):
        inner = f.folder([sub("d", *inner)])
    outer = inner
    for number in range(600):
        outer = f.folder([sub(f"o{number}", *outer)])
    return f.folder([sub("a", *inner), sub("b", *outer)])[0]


@lie("child entry is cut")
def listing_that_is_cut(f: Forgery) -> bytes:
    return f.node(encode_child(*f.file("/a"))[:-1])[0]


@lie("kind")
def unknown_kind(f: Forgery) -> bytes:
    return f.node(raw_child(9, f.file("/a").hash, b"a"))[0]


@lie("bytes, the listing above says")
def folder_of_another_size(f: Forgery) -> bytes:
    key, size = f.folder([f.file("/d/a")])
    return f.folder([sub("d", key, size + 1)])[0]


@lie("compressed directory")
def compressed_directory(f: Forgery) -> bytes:
    value = encode_child(*f.file("/a"))
    packed = zstandard.compress(value)
    key = node_key(value)
    f.entry(c.ENTRY_DIRECTORY, key, packed, compression=1)
    return key


@lie("path of more than")
def path_too_long(f: Forgery) -> bytes:
    name = "n" * 40_000
    child = f.file("/a")._replace(name=name)
    return f.folder([sub(name, *f.folder([child]))])[0]


# -- B-trees ---------------------------------------------------------------------------------


def _leaves(f: Forgery, *runs: str) -> list[bytes]:
    return [f.leaf([f.file(f"/{name}") for name in run])[0] for run in runs]


@lie("belong elsewhere")
def leaf_in_the_wrong_range(f: Forgery) -> bytes:
    return f.node(encode_internal(["c"], _leaves(f, "ab", "bd")))[0]


@lie("stands behind")
def leaf_out_of_order(f: Forgery) -> bytes:
    return f.leaf([f.file("/b"), f.file("/a")])[0]


@lie("belong elsewhere")
def leaf_twice(f: Forgery) -> bytes:
    (leaf,) = _leaves(f, "ab")
    return f.node(encode_internal(["c"], [leaf, leaf]))[0]


@lie("flat listing inside")
def flat_listing_in_a_tree(f: Forgery) -> bytes:
    flat = f.folder([f.file("/x")])[0]
    return f.node(encode_internal(["c"], [*_leaves(f, "ab"), flat]))[0]


@lie("belong elsewhere")
def internal_nodes_shared(f: Forgery) -> bytes:
    """32 levels of nodes with one separator, both sides the same: 2^32 ways down."""
    key = f.node(encode_leaf([]))[0]
    for _ in range(32):
        key = f.node(encode_internal(["m"], [key, key]))[0]
    return key


@lie("levels")
def tree_too_high(f: Forgery) -> bytes:
    (key,) = _leaves(f, "a")
    for _ in range(40):
        key = f.node(encode_internal([], [key]))[0]
    return key


@lie("states 65535 children")
def leaf_count_too_high(f: Forgery) -> bytes:
    value = bytearray(encode_leaf([encode_child(*f.file("/a"))]))
    value[1:3] = b"\xff\xff"
    return f.node(bytes(value))[0]


# -- files -----------------------------------------------------------------------------------


@lie("its listing")
def listing_with_another_size(f: Forgery) -> bytes:
    return f.folder([f.file("/a", b"abc", listed={"size": 4})])[0]


@lie("its chunks make")
def record_with_another_size(f: Forgery) -> bytes:
    keys = f.chunk(b"ab") + f.chunk(b"cd")
    return f.folder([f.file("/a", b"abcde", chunk=keys)])[0]


@lie("in a file of")
def chunk_longer_than_its_file(f: Forgery) -> bytes:
    return f.folder([f.file("/a", b"abc", chunk=f.chunk(b"abcdef"))])[0]


@lie("content hash")
def content_hash_of_something_else(f: Forgery) -> bytes:
    return f.folder([f.file("/a", b"abc", content_hash=bytes(32))])[0]


@lie("content hash")
def two_content_hashes_for_one_chunk(f: Forgery) -> bytes:
    key = f.chunk(b"abc")
    one = f.file("/a", b"abc", chunk=key)
    return f.folder([one, f.file("/b", b"abc", chunk=key, content_hash=bytes(32))])[0]


@lie("cannot make up")
def empty_file_with_chunks(f: Forgery) -> bytes:
    return f.folder([f.file("/a", b"", chunk_keys=f.chunk(b"x"))])[0]


@lie("cannot make up")
def more_chunks_than_bytes(f: Forgery) -> bytes:
    return f.folder([f.file("/a", b"ab", chunk=f.chunk(b"") * 100_000)])[0]


@lie("content type")
def another_content_type(f: Forgery) -> bytes:
    return f.folder([f.file("/a", listed={"content_type": "text/html"})])[0]


@lie("ends in the middle")
def chunk_count_of_4_billion(f: Forgery) -> bytes:
    value = bytearray(FileRecord("/a", TYPE, 1, TIME, TIME, bytes(32)).encode())
    value[-4:] = b"\xff\xff\xff\xff"
    key = file_identity_key("/a", TYPE, b"")
    f.entry(c.ENTRY_FILE, key, bytes(value), version=1)
    return f.folder([Child(c.KIND_FILE, key, 1, TIME, TIME, "a", TYPE, TIME)])[0]


@lie("version")
def record_of_an_unknown_version(f: Forgery) -> bytes:
    record = FileRecord("/a", TYPE, 0, TIME, TIME, bytes(32))
    key = file_identity_key("/a", TYPE, b"")
    f.entry(c.ENTRY_FILE, key, record.encode(), version=7)
    return f.folder([Child(c.KIND_FILE, key, 0, TIME, TIME, "a", TYPE, TIME)])[0]


@lie("missing")
def file_that_is_a_directory(f: Forgery) -> bytes:
    key, size = f.folder([])
    return f.folder([Child(c.KIND_FILE, key, size, TIME, TIME, "a", TYPE, TIME)])[0]


@lie("is a directory")
def file_that_the_index_says_a_directory_is(f: Forgery) -> bytes:
    key, size = f.node(b"", kv=c.KV_FILE)
    return f.folder([Child(c.KIND_FILE, key, size, TIME, TIME, "a", TYPE, TIME)])[0]


@lie("1 chunk")
def chunk_that_is_missing(f: Forgery) -> bytes:
    return f.folder([f.file("/a", b"abc", chunk=chunk_key(b"abc"))])[0]


@lie("another path")
def symlink_of_another_path(f: Forgery) -> bytes:
    return f.folder([f.symlink("/c", "b")._replace(name="a")])[0]


@lie("its target")
def symlink_to_nul(f: Forgery) -> bytes:
    return f.folder([f.symlink("/a", "b\0c")])[0]


# -- compression -----------------------------------------------------------------------------


def _bomb(f: Forgery, frame: bytes, size: int, raw: bytes = b"") -> bytes:
    key = f.chunk(raw, stored=frame)
    return f.folder([f.file("/a", b"x" * 10, chunk=key, size=size)])[0]


def _unstated(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(raw)


@lie("at most 10 fit")
def bomb_that_says_its_size(f: Forgery) -> bytes:
    return _bomb(f, zstandard.compress(bytes(100 << 20)), 10)


@lie("10 that fit")
def bomb_that_does_not(f: Forgery) -> bytes:
    return _bomb(f, _unstated(bytes(100 << 20)), 10)


@lie("more than")
def bomb_in_a_file_that_is_said_to_be_huge(f: Forgery) -> bytes:
    return _bomb(f, _unstated(bytes(1 << 30)), 1 << 60)


@lie("a chunk:")
def frame_that_states_what_it_does_not_hold(f: Forgery) -> bytes:
    frame = bytearray(zstandard.compress(b"abcdefghij" * 100))
    frame[5] ^= 1
    return _bomb(f, bytes(frame), 1 << 40)


@lie("a chunk:")
def bytes_behind_the_frame(f: Forgery) -> bytes:
    return _bomb(f, _unstated(b"abc") + b"more", 3, b"abc")


@lie("a chunk:")
def two_frames(f: Forgery) -> bytes:
    return _bomb(f, _unstated(b"abc") + _unstated(b"def"), 6, b"abcdef")


@lie("a chunk:")
def frame_that_is_cut(f: Forgery) -> bytes:
    return _bomb(f, _unstated(bytes(range(256)) * 9)[:-4], 2304, bytes(range(256)) * 9)


@lie("a chunk:")
def frame_that_is_none(f: Forgery) -> bytes:
    return _bomb(f, b"no frame", 8, b"no frame")


# -- times -----------------------------------------------------------------------------------

_YEAR_2200 = 7_258_118_400_000


@lie("from the future")
def directory_of_the_year_2200(f: Forgery) -> bytes:
    return f.folder([f.file("/a")], time=_YEAR_2200)[0]


@lie("from the future")
def record_of_the_year_2200(f: Forgery) -> bytes:
    record = FileRecord("/a", TYPE, 0, TIME, TIME, None or _EMPTY_HASH, b"", b"")
    key = f.record(record, time=_YEAR_2200)
    return f.folder([Child(c.KIND_FILE, key, 0, TIME, TIME, "a", TYPE, TIME)])[0]


@lie("from the future")
def chunk_of_the_year_2200(f: Forgery) -> bytes:
    key = f.entry(c.ENTRY_CHUNK, chunk_key(b"abc"), b"abc", time=_YEAR_2200)
    return f.folder([f.file("/a", b"abc", chunk=key)])[0]


_EMPTY_HASH = bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused_and_leave_the_database_as_it_was(
    name: str, tmp_path: Path, target: Path
) -> None:
    build, reason = LIES[name]
    forgery = Forgery()
    backup = forgery.write(tmp_path / "lie.aeordb", build(forgery))
    message = refused(target, backup, DamagedError)
    assert reason in message
    # A patch may lie as well.
    with aeordb.open(target, "r") as db:
        head = db.head
    patch = forgery.write(tmp_path / "patch.aeordb", build(forgery), base=head)
    refused(target, patch, DamagedError)


def test_a_folder_that_is_missing_is_counted_and_named(tmp_path: Path, target: Path) -> None:
    """Only salvage may do without it."""
    forgery = Forgery()
    root, _ = forgery.folder([forgery.file("/a"), sub("folder", b"\7" * 32, 100)])
    backup = forgery.write(tmp_path / "lie.aeordb", root)
    before = target.read_bytes()
    for promote in (False, True):
        with aeordb.open(target) as db, pytest.raises(DamagedError) as caught:
            db.import_(backup, promote=promote, force=True)
        assert (caught.value.missing, caught.value.path) == (1, "/folder")
    assert target.read_bytes() == before


def test_the_builder_tells_the_truth_when_it_does_not_lie(tmp_path: Path, target: Path) -> None:
    """What is refused above is refused for its lie alone."""
    f = Forgery()
    raw = bytes(1_000_000)
    packed = f.file("/packed", raw, chunk=f.chunk(raw, stored=_unstated(raw)))
    stated = f.file("/stated", raw, chunk=packed and chunk_key(raw))
    tree = {
        "a": b"abc",
        "d": {"b": b"def", "e": {}, "f": {}, "deep": {"e": {}}},
        "packed": packed,
        "stated": stated,
        "link": f.symlink("/link", "d/b"),
        "empty": f.file("/empty", b""),
    }
    root, _ = f.tree(tree)
    backup = f.write(tmp_path / "true.aeordb", root)
    with aeordb.open(target) as db:
        report = db.import_(backup, promote=True)
        assert (db.head, report.version, report.promoted) == (root, root, True)
        assert db["/d/b"] == b"def"
        assert db["/packed"] == db["/stated"] == raw
        # The empty folders are one entry.
        assert (report.files, report.directories, report.chunks) == (5, 4, 3)
        assert report.entries == 5 + 4 + 3 + 1


def test_a_million_levels_are_refused_at_the_thousandth(tmp_path: Path, target: Path) -> None:
    f = Forgery()
    folder = f.folder([sub("end", *f.node(b""))])
    for _ in range(1_000_000):
        folder = f.folder([sub("d", *folder)])
    assert "levels deep" in refused(
        target, f.write(tmp_path / "deep.aeordb", folder[0]), DamagedError
    )


# -- the index and the header ----------------------------------------------------------------


def _honest(f: Forgery) -> bytes:
    return f.tree({"a": b"abc", "d": {"b": b"def"}})[0]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(1 << 63, 100), (1 << 40, 100), (0, 100), (600, 0xFFFF_FFFF), (66_048, 3)],
)
def test_an_index_that_points_elsewhere_is_refused(
    offset: int, length: int, tmp_path: Path, target: Path
) -> None:
    for which in range(6):
        f = Forgery()
        root = _honest(f)
        f.offsets[which], f.lengths[which] = offset, length
        refused(target, f.write(tmp_path / f"{which}.aeordb", root), DamagedError)


@pytest.mark.parametrize("which", range(6))
def test_an_index_that_exchanges_entries_is_refused(
    which: int, tmp_path: Path, target: Path
) -> None:
    f = Forgery()
    root = _honest(f)
    other = (which + 1) % 6
    f.offsets[which], f.lengths[which] = f.offsets[other], f.lengths[other]
    refused(target, f.write(tmp_path / "lie.aeordb", root), DamagedError)


def test_counts_of_four_billion_in_the_hot_tail_cost_no_memory(
    tmp_path: Path, target: Path
) -> None:
    """The index is made anew from the log then, as for AeorDB's crashes."""
    import zlib

    f = Forgery()
    root = _honest(f)
    for counts in ((0xFFFF_FFFF, 0), (0, 0xFFFF_FFFF), (0xFFFF_FFFF, 0xFFFF_FFFF)):
        head = HOT_TAIL.pack(c.HOT_TAIL_MAGIC, 1, *counts, 0)[:-4]
        tail = head + zlib.crc32(head).to_bytes(4, "little") + bytes(100)
        backup = f.write(tmp_path / "counts.aeordb", root, tail=tail)
        with aeordb.open(target) as db:
            assert db.import_(backup).version == root


def test_a_hot_tail_without_end_is_refused(tmp_path: Path, target: Path) -> None:
    f = Forgery()
    root = _honest(f)
    backup = f.write(tmp_path / "long.aeordb", root, tail=encode_hot_tail(b"", []))
    with open(backup, "r+b") as file:
        file.truncate(1 << 40)
    refused(target, backup, DamagedError)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"target": bytes(32)}, DamagedError),
        ({"base": b"\1" * 32}, DamagedError),
        ({"backup_type": 3}, DamagedError),
        ({"backup_type": 0}, aeordb.UsageError),
        ({"target": b"\1" * 32, "base": b"\1" * 32}, DamagedError),
        ({"kv_length": 1 << 62}, DamagedError),
        ({"kv_offset": 1 << 62}, DamagedError),
        ({"hot_tail_offset": 600}, None),
        ({"hot_tail_offset": (1 << 64) - 1}, None),
        ({"entry_count": (1 << 64) - 1}, None),
    ],
)
def test_headers_that_lie(
    fields: dict[str, object],
    error: type[aeordb.AeorDBError] | None,
    tmp_path: Path,
    target: Path,
) -> None:
    f = Forgery()
    root = _honest(f)
    backup = f.write(tmp_path / "header.aeordb", root, header=fields)
    if error is not None:
        # Salvage would make a version of its own of records under no root.
        refused(target, backup, error, salvage=False)
        return
    # Nothing depends on these: the index is made anew where it must be.
    with aeordb.open(target) as db:
        assert db.import_(backup).version == root


@pytest.mark.parametrize("what", ["missing", "empty", "folder", "text"])
def test_files_that_are_no_backups(what: str, tmp_path: Path, target: Path) -> None:
    path = tmp_path / "none.aeordb"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        path.write_bytes(b"" if what == "empty" else b"no backup at all" * 100)
    refused(target, path, NotADatabaseError)


def test_every_byte_of_small_backups_may_be_flipped(tmp_path: Path, target: Path) -> None:
    """Whatever is flipped: the version comes in whole, or it is refused."""
    f = Forgery()
    root = _honest(f)
    whole = f.write(tmp_path / "true.aeordb", root).read_bytes()
    backup = tmp_path / "flipped.aeordb"
    places = [*range(0, 256, 3), *range(f.start, len(whole), 7)]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 0x41
        backup.write_bytes(data)
        with aeordb.open(target) as db:
            try:
                report = db.import_(backup, dry_run=place % 2 == 0)
            except (DamagedError, NotADatabaseError):
                continue
            assert report.version == root
            if place % 2:
                view = db.at(root.hex())
                assert (view.read("/a"), view.read("/d/b")) == (b"abc", b"def")


_BOUNDED = """
import resource, sys
import aeordb
from aeordb.errors import DamagedError
resource.setrlimit(resource.RLIMIT_DATA, (300 << 20, 300 << 20))
with aeordb.open(sys.argv[1]) as db:
    for backup in sys.argv[2:]:
        try:
            db.import_(backup, force=True)
        except DamagedError:
            continue
        raise AssertionError(backup)
"""


def test_lies_fill_no_memory(tmp_path: Path, target: Path) -> None:
    """Each in a process that gets 300 MiB for all of its data."""
    backups = []
    for name in (
        "bomb_that_says_its_size",
        "bomb_that_does_not",
        "bomb_in_a_file_that_is_said_to_be_huge",
        "chunk_count_of_4_billion",
        "forty_levels_of_shared_folders",
        "internal_nodes_shared",
    ):
        f = Forgery()
        backups.append(f.write(tmp_path / f"{name}.aeordb", LIES[name][0](f)))
    for entry_type in (c.ENTRY_CHUNK, c.ENTRY_FILE, c.ENTRY_DIRECTORY):
        f = Forgery()
        root = _honest(f)
        which = f.kinds.index(c.KV_TYPE[entry_type])
        f.lengths[which] = 1 << 30
        path = f.write(tmp_path / f"long-{entry_type}.aeordb", root)
        with open(path, "r+b") as file:
            # All that is claimed is there, as a hole.
            file.truncate(2 << 30)
        backups.append(path)
    subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(target), *map(str, backups)],
        check=True,
        env=ENVIRONMENT,
        timeout=120,
    )
