"""Scanning the log and rebuilding the index from it, against a plain rebuild in Python."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.native.faults import MapFault
from aeordb.native.log import GAP, LogEntry, Rebuilt, rebuild_index, scan_log
from aeordb.native.map import Map

from . import bits

PATHS = ["/", "/a", "/a/b"]
KEYS = {
    f"{kind}:{path}": bits.key_of(f"{kind}:{path}")
    for kind in ("file", "dir", "symlink")
    for path in PATHS
}
KEYS["snap:v"] = bits.key_of("snap:v")
KEYS["::aeordb:fork:f"] = bits.key_of("::aeordb:fork:f")
TYPES = {"file": 2, "dir": 3, "symlink": 8, "snap": 5, "": 7}
MAGIC = bytes.fromhex("DB12E00A")


def scan(data: bytes, start: int = 0, batch: int = 3) -> list[LogEntry]:
    return [entry for part in scan_log(Map(data), start, len(data), batch) for entry in part]


def rebuild(data: bytes) -> Rebuilt:
    return rebuild_index(Map(data), 0, len(data))


def spans(data: bytes) -> list[tuple[int, int, int]]:
    return [(entry.type, entry.offset, entry.length) for entry in scan(data)]


def test_scan() -> None:
    first, second = bits.entry(1, KEYS["file:/"], b"abc", 5), bits.entry(6, b"", bytes(9), 6)
    found = scan(first + second)
    assert found == [
        LogEntry(0, 1, 0, 5, len(first), KEYS["file:/"], 0, 0, 3),
        LogEntry(len(first), 6, 0, 6, len(second), b"", 0, 0, 9),
    ]
    assert scan(first + second, len(first)) == found[1:]
    assert scan(b"") == []


@pytest.mark.parametrize(
    "junk",
    [b"x", b"\xdb" * 70, MAGIC, MAGIC * 40, bytes(3 << 20), bits.entry(1, bytes(32), b"y")[:-1]],
    ids=["one byte", "first bytes", "magic", "magics", "3 MiB", "cut entry"],
)
def test_gaps(junk: bytes) -> None:
    """However long: AeorDB gives up after 1 MiB, we do not."""
    entry = bits.entry(1, bytes(32), b"z" * 50)
    size, gap = len(entry), len(junk)
    data = junk + entry + entry + junk + entry + junk
    assert spans(data) == [
        (GAP, 0, gap),
        (1, gap, size),
        (1, gap + size, size),
        (GAP, gap + 2 * size, gap),
        (1, 2 * gap + 2 * size, size),
        (GAP, 2 * gap + 3 * size, gap),
    ]
    rebuilt = rebuild(data)
    assert (rebuilt.end, rebuilt.entries, rebuilt.gaps) == (len(data) - gap, 3, 3)


def test_a_false_header_in_a_gap_is_not_believed() -> None:
    """Its lengths add up, but nothing follows where it ends, and its hash is wrong."""
    entry = bits.entry(1, bytes(32), b"z" * 50)
    false = bytearray(bits.entry(1, bytes(32), b"y" * 200))
    false[40] ^= 1
    data = b"junk" + bytes(false[:90]) + entry + bytes(1000) + entry
    assert spans(data) == [
        (GAP, 0, 94),
        (1, 94, len(entry)),
        (GAP, 94 + len(entry), 1000),
        (1, 1094 + len(entry), len(entry)),
    ]


def test_many_false_headers_take_no_quadratic_time() -> None:
    """Each claims all the rest of the file; to hash each time would take hours."""
    step = struct.pack("<IBBBHBB", 0x0AE012DB, 0, 1, 0, 1, 0, 0)
    count, size = 30_000, 64
    data = b"".join(
        (step + struct.pack("<IIqI", 32, left, 0, 95 + left)).ljust(size, b"\0")
        for left in (size * (count - i) - 200 for i in range(count - 4))
    )
    data = b"x" + data.ljust(size * count + 300, b"\0")
    assert spans(data) == [(GAP, 0, len(data))]


def test_the_end_is_the_file_s() -> None:
    entry = bits.entry(1, bytes(32), b"z")
    with pytest.raises(MapFault):
        list(scan_log(Map(entry), 0, len(entry) + 1))
    with pytest.raises(MapFault):
        rebuild_index(Map(entry), 0, len(entry) + 1)
    assert rebuild_index(Map(entry), 0, len(entry) - 1).entries == 0


Step = tuple[str, str, int, bytes, bool]


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """(what, name, time, value, damaged) in any order of times."""
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(["put", "put", "delete", "void", "junk", "chunk"]),
                st.sampled_from(sorted(KEYS)),
                st.integers(1, 9),
                st.sampled_from([b"", b"value", b"other"]),
                st.integers(0, 5).map(lambda chance: chance == 0),
            ),
            max_size=25,
        )
    )


def image(step: Step) -> bytes:
    what, name, time, value, damaged = step
    kind, _, path = name.rpartition(":") if name.startswith("::") else name.partition(":")
    if what == "void":
        return bits.entry(6, b"", bytes(20), time)
    if what == "junk":
        return b"junk" + value
    if what == "delete":
        made = bits.deletion(path if path.startswith("/") else name, time)
    elif what == "chunk":
        made = bits.entry(1, bits.key_of("chunk:" + name), b"c" * 80, time)
    else:
        made = bits.entry(TYPES.get(kind, 7), KEYS[name], value, time)
    return made[:-1] + bytes([made[-1] ^ 1]) if damaged else made


def plain_rebuild(rows: list[Step]) -> tuple[dict[bytes, bits.Location], int, int]:
    best: dict[bytes, tuple[tuple[object, ...], int, bits.Location]] = {}
    deletions, at, end, latest = [], 0, 0, 0
    for step, after in zip(rows, [*rows, None][1:], strict=True):
        data = image(step)
        what, _, time, value, damaged = step
        offset, at = at, at + len(data)
        if what == "junk" or (what != "void" and damaged and after and after[0] == "junk"):
            continue
        end, latest = at, max(latest, time)
        if what == "void":
            continue
        kind, key = data[5], data[63:95]
        if what == "delete" and not damaged:
            deletions.append((time, data[97 : 97 + struct.unpack_from("<H", data, 95)[0]]))
        content = what != "put" or kind != 3 or value != b""
        rank = (not (damaged and kind != 1), content, time, offset)
        if key in best and kind == 1 and damaged:
            continue  # a copy that is bad never takes the first one's place
        if key not in best or rank > best[key][0]:
            best[key] = rank, time, (bits.KV_TYPE[kind], offset, len(data))
    found = {key: where for key, (_, _, where) in best.items()}
    for time, path in deletions:
        names = [b"file:" + path, b"dir:" + path, b"symlink:" + path, path]
        for key in (bits.key_of(name.decode()) for name in names):
            if key in best and best[key][1] < time:
                kv, offset, length = found[key]
                found[key] = kv | bits.DELETED, offset, length
    return found, end, latest


@settings(max_examples=300)
@given(steps())
def test_rebuild(rows: list[Step]) -> None:
    rebuilt = rebuild(b"".join(map(image, rows)))
    found, end, latest = plain_rebuild(rows)
    assert dict(bits.split(rebuilt.table.records())) == found
    assert (rebuilt.end, rebuilt.latest) == (end, latest)


def test_rebuild_of_a_patch_keeps_its_deletions() -> None:
    """In a patch a deletion's key is the deleted path's: it must not delete itself."""
    key = KEYS["file:/a"]
    value = struct.pack("<H2sqH", 2, b"/a", 7, 0)
    rebuilt = rebuild(bits.entry(4, key, value, 7))
    assert rebuilt.table.get(key) == (3, 0, 95 + len(value))


def test_rebuild_leaves_voids_and_unknown_types_out() -> None:
    data = bits.entry(6, bytes(32), b"x") + bits.entry(9, bytes(32), b"x")
    data += bits.entry(2, b"k" * 31, b"x") + bits.entry(2, b"k" * 33, b"x")
    rebuilt = rebuild(data)
    assert (len(rebuilt.table), rebuilt.entries, rebuilt.end) == (0, 4, len(data))


def test_deletions_that_are_cut() -> None:
    key = KEYS["file:/a"]
    data = bits.entry(2, key, b"value", 1)
    for value in (b"", b"\2", b"\3\0/a", b"\xff\xff/a"):
        data += bits.entry(4, bits.key_of(repr(value)), value, 5)
    assert rebuild(data).table.get(key) == (1, 0, 100)


def test_rebuild_of_many() -> None:
    noise = random.Random(5)
    reached: list[int] = []
    images = [bits.entry(1, noise.randbytes(32), b"") for _ in range(70_000)]
    data = b"".join(images)
    rebuilt = rebuild_index(Map(data), 0, len(data), reached.append)
    assert len(rebuilt.table) == rebuilt.entries == 70_000
    assert reached == [65_536 * 95, len(data)]
