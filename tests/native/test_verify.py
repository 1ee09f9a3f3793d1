"""Verification against a plain one (scenes.py), and what no made-up log has."""

from collections import Counter
from mmap import ACCESS_READ, mmap
from pathlib import Path

import pytest

from aeordb.format.nodes import encode_listing
from aeordb.format.records import encode_file_record
from aeordb.native import verify as v
from aeordb.native.faults import PageFault
from aeordb.native.index import ALL, Index
from aeordb.native.map import Map
from aeordb.native.table import Table
from aeordb.native.verify import Faults, Row, Sums, Verification, check_pages, log_windows
from aeordb.native.walk import Marks, Walk, list_places
from tests.native import bits
from tests.native.scenes import LATEST, NODE_KIND, Found, Scene
from tests.native.trees import CHUNK, DIRECTORY, FILE, SYMLINK, Forest, child


def count(rows: list[Row]) -> Found:
    return Counter((row.code, row.offset, row.key) for row in rows)


@pytest.mark.parametrize("most", [1, 700, 1 << 30])
def test_made_up_logs(most: int) -> None:
    met: set[int] = set()
    for seed in range(60):
        scene = Scene(seed)
        verification = scene.verification()
        rows: list[Row] = []
        sums, at = Sums(), scene.start
        for window in log_windows(scene.map, at, scene.end, most):
            assert window.start == at
            at = window.end
            found, part = verification.window(window)
            rows, sums = rows + found, sums.plus(part)
        assert at == scene.end
        expected, totals = scene.log_rows()
        assert count(rows) == expected, seed
        assert sums == totals, seed
        rows, live = [], 0
        ranges = [verification.pages(first) for first in verification.page_ranges()]
        for found, part in [*ranges, verification.tables()]:
            rows, live = rows + found, live + part.entries
        assert (count(rows), live) == scene.index_rows(), seed
        met |= {code for code, _, _ in expected} | {row.code for row in rows}
        assert check_pages(scene.index) == []
    assert met >= {*range(v.OVERLAP, v.GAP + 1), v.COMPRESSED, v.FILE} - {v.MISPLACED, v.PAGE}
    assert all(Row(code, 0, 0, 0, 0, 0, b"").reason[:5] != "code " for code in met if code < 0)


def verify_log(verification: Verification, log: Map, start: int = 0) -> tuple[list[Row], Sums]:
    rows, sums = [], Sums()
    for window in log_windows(log, start, len(log), 1 << 20):
        found, part = verification.window(window)
        rows, sums = rows + found, sums.plus(part)
    return rows, sums


def over(log: bytes, rows: dict[bytes, bits.Location]) -> tuple[Map, Index, Marks]:
    """An index over a log, and marks of all that it has."""
    source = Map(log)
    index = Index(source, 0, 0, Table.from_records(bits.records(rows)), b"", ALL)
    marks = Marks(index)
    marks.add_keys(index, b"".join(rows))
    return source, index, marks


def test_all_that_can_be_wrong_with_one_entry() -> None:
    """No row is lost, however many an entry has."""
    value = encode_file_record("/a", "", 0, 1, 1, bytes(32), b"", b"")
    key = bits.key_of("fileid:/a\0\0")
    image = bytearray(bits.entry(FILE, key, value, LATEST + 1, 1))
    image[6] = 2
    source, index, marks = over(bytes(image), {key: (1, 0, len(image) + 1)})
    verification = Verification(index, head=marks, reached=marks, latest=LATEST, files=True)
    rows, sums = verify_log(verification, source)
    assert {row.code for row in rows} == {v.FIELDS, v.TIME, v.KIND, v.PATH, v.FILE}
    assert sums.rows == len(rows) == 5


@pytest.mark.parametrize("kind", [0x0F, 0x80, 0xFF])
def test_an_unknown_type_in_the_index(kind: int) -> None:
    key = bits.key_of("key")
    image = bits.entry(kind, key, b"value")
    for kv in (0, 6, 15):
        source, index, marks = over(image, {key: (kv, 0, len(image))})
        verification = Verification(index, head=None, reached=marks, latest=LATEST)
        rows, _ = verify_log(verification, source)
        assert {row.code for row in rows} == {v.KIND, NODE_KIND}


def chunks(count: int) -> tuple[bytes, dict[bytes, bits.Location]]:
    log, rows = b"", {}
    for number in range(count):
        value = b"%d" % number * 20
        key = bits.key_of("chunk:" + value.decode())
        image = bits.entry(CHUNK, key, value)
        rows[key] = 0, len(log), len(image)
        log += image
    return log, rows


def test_what_is_skipped_or_not_in_the_sample_is_not_hashed() -> None:
    log, rows = chunks(400)
    source, index, marks = over(log, rows)
    first = Marks(index)
    first.add_keys(index, b"".join(list(rows)[:100]))
    skipped = sum(length for _, _, length in list(rows.values())[:100])
    verification = Verification(index, head=None, reached=marks, skip=first, latest=LATEST)
    assert verify_log(verification, source)[1].hashed == len(log) - skipped
    assert len(verification.seen) == 400
    for sample, low, high in ((0.0, 0, 0), (0.5, 0.3, 0.7), (1.0, 1, 1)):
        hashed = []
        for seed in (1, 1, 2):
            verification = Verification(
                index, head=None, reached=marks, latest=LATEST, sample=sample, seed=seed
            )
            hashed.append(verify_log(verification, source)[1].hashed)
        assert low <= hashed[0] / len(log) <= high
        assert hashed[0] == hashed[1]
        assert (hashed[0] == hashed[2]) == (sample != 0.5)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A cut file: the entries before are verified, each of the others is a finding."""
    log, rows = chunks(3000)
    path = tmp_path / "log"
    path.write_bytes(log)
    with open(path, "r+b") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        source = Map(mapped)
        index = Index(source, 0, 0, Table.from_records(bits.records(rows)), b"", ALL)
        (window,) = log_windows(source, 0, len(log), 1 << 30)
        verification = Verification(index, head=None, reached=Marks(index), latest=LATEST)
        left = len(log) // 8192 * 4096
        file.truncate(left)
        found, sums = verification.window(window)
        lost = {key for key, (_, offset, length) in rows.items() if offset + length > left}
        assert {row.key for row in found} == lost
        assert {row.code for row in found} == {v.UNREADABLE}
        assert (sums.entries, sums.bytes) == (3000, len(log))
        del window, verification, index, source


def test_pages() -> None:
    """Keys in the wrong page or twice, bytes in an empty page, pages that do not hold."""
    pages = 4
    keys: list[list[bytes]] = [[] for _ in range(pages)]
    for number in range(40):
        key = bits.key_of(str(number))
        keys[bits.page_of(key, pages)].append(key)
    here, there = (0, 9000, 100), (0, 9100, 100)
    wrong, twice = keys[3][0], keys[0][0]
    images = [
        bits.page([(keys[0][0], here), (twice, there), (wrong, there)]),
        bits.page([(keys[1][0], here)]),
        bytes(20) + b"\1" + bytes(bits.PAGE - 21),
        bytes(bits.PAGE),
    ]
    index = Index(Map(b"".join(images)), 0, pages)
    verification = Verification(index, head=None, reached=Marks(index), latest=LATEST)
    rows, sums = verification.pages(0)
    assert count(rows) == {
        (v.LOST, 9000, keys[0][0]): 1,
        (v.MISPLACED, 9100, twice): 1,
        (v.MISPLACED, 9100, wrong): 1,
        (v.LOST, 9000, keys[1][0]): 1,
        (v.PAGE, 2 * bits.PAGE, bytes(32)): 1,
    }
    assert (sums.entries, sums.bytes) == (2, 200)
    assert check_pages(index) == []
    for number in (0, 1):
        images[number] = images[number][:-1] + b"\1"
    index = Index(Map(b"".join(images)), 0, pages)
    assert check_pages(index) == [0, 1]
    verification = Verification(index, head=None, reached=Marks(index), latest=LATEST)
    with pytest.raises(PageFault):
        verification.pages(0)


@pytest.mark.parametrize("pages", [0, 2])
def test_faults_of_a_tree(pages: int) -> None:
    """A walk that goes on meets all of them, and marks what is left."""
    forest = Forest()
    chunk_key, gone, lost = forest.chunk(b"c"), bits.key_of("gone"), bits.key_of("lost")
    good = forest.file("/d/good", chunk_key)
    bad = forest.file("/d/bad", gone)
    below = forest.folder(child(FILE, "good", good), child(FILE, "bad", bad))
    cut = forest.put(DIRECTORY, b"\2cut")
    children = [
        child(DIRECTORY, "d", below),
        child(FILE, "lost", lost),
        child(DIRECTORY, "cut", cut),
        child(SYMLINK, "file", good),
    ]
    root = forest.folder(*children)
    index = forest.index(pages)
    marks = Marks(index)
    walk = Walk(index, marks)
    faults = Faults(walk, 2)
    walk.add(DIRECTORY, root)
    walk.run()
    assert len(faults) == 4
    assert len(list(faults)) == 2
    assert {one.key for one in faults} < {gone, lost, cut, good}
    whole = Walk(index, again := Marks(index))
    more = Faults(whole, 100)
    whole.add(DIRECTORY, root)
    whole.run()
    assert {one.key for one in more} == {gone, lost, cut, good}
    assert again.bits() == marks.bits()
    assert len(marks) == len(forest.entries)
    with pytest.raises(ValueError, match="do not fit"):
        Faults(Walk(index, Marks(index), Marks(index)), 3)


def test_path_keys_of_folders() -> None:
    """Each leads to its folder, by a link or as a copy of it; a finding says which does not."""
    forest = Forest()

    def folder(*children: bytes) -> bytes:
        value = encode_listing(children)
        return forest.put(DIRECTORY, value, bits.blake3(b"dirc:" + value).digest())

    folders = {}
    for name in ("link", "copy", "other", "missing"):
        folders[name] = folder(child(FILE, "f", forest.file(f"/{name}/f")))
    root = folder(*(child(DIRECTORY, name, key) for name, key in folders.items()))
    forest.put(DIRECTORY, root, bits.key_of("dir:/"))
    forest.put(DIRECTORY, folders["link"], bits.key_of("dir:/link"))
    copied = forest.entries[folders["copy"]][95:]
    forest.put(DIRECTORY, copied, bits.key_of("dir:/copy"))
    forest.put(DIRECTORY, folders["link"], bits.key_of("dir:/other"))
    index = forest.index()
    verification = Verification(index, head=None, reached=Marks(index), latest=LATEST)
    rows = [row for places in list_places(index, root) for row in verification.places(places)]
    wrong = {bits.key_of(f"dir:/{name}") for name in ("other", "missing")}
    assert {row.key for row in rows} == wrong
    assert {row.code for row in rows} == {v.PATH}
    assert len(verification.paths) == 3
