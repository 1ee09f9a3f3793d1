"""Verify, repair and gc of files whose every checksum is right, and that lie; found by fuzzing."""

from pathlib import Path

import pytest

import aeordb
from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.keys import file_content_key
from aeordb.format.nodes import encode_child
from aeordb.format.records import FileRecord
from aeordb.maintenance.findings import CONTENT, PATH_KEY, RECORD, TREE, Finding
from fuzz.python.kit.addresses import children_of
from fuzz.python.kit.draft import DIRECTORY, FILE, Draft
from fuzz.python.kit.recipes import file_bytes
from tests.kit.hostile import Forgery, raw_child, sub


def taken_apart(name: str = "history") -> Draft:
    return Draft.parse(file_bytes(name))


def in_the_tree(path: Path) -> list[Finding]:
    """What verify finds, but for path keys: forged exports have none."""
    return [finding for finding in aeordb.verify(path).findings if finding.kind != PATH_KEY]


def put_together(path: Path, draft: Draft) -> Path:
    path.write_bytes(draft.build())
    return path


def test_a_size_that_a_chunk_has_not(tmp_path: Path) -> None:
    """A file of one chunk whose record states less than the chunk has cannot be read, and verify
    passed it: it took the fault for one of the chunk, which is found by itself."""
    draft = taken_apart()
    for piece in draft.entries:
        if piece.type == FILE and b"/folder/deep/c.txt" in piece.value:
            record = FileRecord.decode(piece.value, 1)
            piece.value = piece.value.replace(
                record.size.to_bytes(8, "little"), (29).to_bytes(8, "little")
            )
    path = put_together(tmp_path / "f", draft)
    with aeordb.open(path, "r") as db, pytest.raises(DamagedError):
        db.get("/folder/deep/c.txt")
    findings = aeordb.verify(path, deep=True).findings
    assert {"/folder/deep/c.txt"} == {x.paths[0] for x in findings if x.kind == CONTENT}


def test_folders_without_end(tmp_path: Path) -> None:
    """A folder that holds itself, and damage to search for: verify went down call by call, and
    Python's own limit ended it with a RecursionError before that of the format was met."""
    draft = taken_apart()
    for piece in draft.entries:
        if piece.type == DIRECTORY and any(child.name == "folder" for child in children_of(piece)):
            for child in children_of(piece):
                if child.name == "folder":
                    piece.value = piece.value.replace(child.hash, piece.key)
    path = put_together(tmp_path / "f", draft)
    assert aeordb.verify(path, deep=True).findings


def test_a_record_that_is_none(tmp_path: Path) -> None:
    """An intact record with a content type that is no UTF-8, below a folder whose listing is lost:
    repair ended with an error of the codec."""
    draft = taken_apart("export")
    for piece in list(draft.entries):
        if piece.type == FILE:
            piece.value = piece.value.replace(b"text/plain", b"text/\xff\xffain")
        elif piece.type == DIRECTORY and len(piece.value) != 32:
            piece.value = b"\2"
    path = put_together(tmp_path / "f", draft)
    report = aeordb.repair(path)
    assert report.output is not None
    assert aeordb.verify(report.output).ok


def test_an_entry_in_the_wrong_page(tmp_path: Path) -> None:
    """gc met a page with a key of another one while it took garbage out: a plain fault of the
    helper, no error of ours."""
    draft = taken_apart("export")
    place = next(place for place in draft.places if place.page is not None)
    assert place.page is not None
    place.page = (place.page + 1) % 45
    path = put_together(tmp_path / "f", draft)
    with aeordb.open(path) as db, pytest.raises(DamagedError):
        db.gc()


@pytest.mark.parametrize(
    ("name", "content_type", "kind", "why"),
    [
        (b"good", b"", TREE, "twice"),
        (b"..", b"", TREE, "no path may hold"),
        (b"a/b", b"", TREE, "no path may hold"),
        (b"nul\0", b"", TREE, "no path may hold"),
        (b"\xff", b"", RECORD, "UTF-8"),
        (b"\xed\xa0\x80", b"", RECORD, "UTF-8"),
        (b"x", b"text/\xff", RECORD, "UTF-8"),
    ],
)
def test_names_that_reading_refuses(
    tmp_path: Path, name: bytes, content_type: bytes, kind: str, why: str
) -> None:
    """Each hash of the node is right, and verify passed what no listing could be made of."""
    f = Forgery()
    honest = f.file("/sub/good", b"is there")
    second = f.file("/sub/other", b"")
    listing = encode_child(*honest) + raw_child(c.KIND_FILE, second.hash, name, content_type)
    path = f.write(tmp_path / "f", f.folder([sub("sub", *f.node(listing))])[0])
    with aeordb.open(path, "r") as db, pytest.raises(DamagedError):
        list(db.walk())
    (finding,) = in_the_tree(path)
    assert (finding.kind, finding.paths) == (kind, ("/sub",))
    assert why in finding.reason
    report = aeordb.repair(path)
    assert report.output is not None
    assert aeordb.verify(report.output, deep=True).ok
    with aeordb.open(report.output, "r") as db:
        assert db["/sub/good"] == b"is there"


def test_a_path_of_a_record_that_is_no_text(tmp_path: Path) -> None:
    """Reading the record fails; its hash and its address are right."""
    f = Forgery()
    value = FileRecord("/a", "", 0, 1, 1, bytes(32)).encode().replace(b"/a", b"/\xff")
    key = f.entry(c.ENTRY_FILE, file_content_key(value), value, version=1)
    listing = raw_child(c.KIND_FILE, key, b"a")
    path = f.write(tmp_path / "f", f.node(listing)[0])
    with aeordb.open(path, "r") as db, pytest.raises(DamagedError):
        db.get("/a")
    (finding,) = in_the_tree(path)
    assert (finding.kind, finding.paths) == (RECORD, ("/a",))
