"""FORMAT.md against the code: every table of bytes, every number, and the C defines."""

import dataclasses
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format import entry, header, hottail, nodes, page, records
from tests.format import values
from tests.format.document import Reader, table, tables

NATIVE = Path(__file__).resolve().parents[2] / "native"
# What the C helper parses, it must define itself under these names.
C_MINIMUM = {
    "AEOR_HASH",
    "AEOR_ALGORITHM_BLAKE3",
    "AEOR_ENTRY_MAGIC",
    "AEOR_ENTRY_START",
    "AEOR_ENTRY_LIMIT",
    "AEOR_TYPE_CHUNK",
    "AEOR_TYPE_DIRECTORY",
    "AEOR_TYPE_DELETION",
    "AEOR_TYPE_VOID",
    "AEOR_PAGE",
    "AEOR_PAGE_MAGIC",
    "AEOR_PAGE_HEADER",
    "AEOR_PAGE_ENTRY",
    "AEOR_PAGE_ENTRIES",
    "AEOR_RECORD",
    "AEOR_TAIL_HEADER",
    "AEOR_VOID_RECORD",
    "AEOR_KV_TYPE",
    "AEOR_KV_DELETED",
}


def fields_of(layout: struct.Struct, names: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """(offset, size, name) of each member of a packed struct."""
    members = re.findall(r"(\d*)([a-zA-Z])", layout.format.lstrip("<"))
    assert len(members) == len(names), (layout.format, names)
    rows, offset = [], 0
    for (count, code), name in zip(members, names, strict=True):
        size = struct.calcsize(f"<{count}{code}")
        rows.append((offset, size, name))
        offset += size
    assert offset == layout.size
    return rows


@pytest.mark.parametrize(
    ("before", "layout", "names"),
    [
        ("slot A with sequence 1", header.HEADER, header.HEADER_FIELDS),
        ("Ours marks its slots here", header.SPARE, header.SPARE_FIELDS),
        ("## 3. Entries", entry.ENTRY, entry.ENTRY_FIELDS),
        ("4.1 Page header", page.PAGE, page.PAGE_FIELDS),
        ("4.2 Page entry", page.PAGE_ENTRY, page.PAGE_ENTRY_FIELDS),
        ("18 + 46", hottail.HOT_TAIL, hottail.HOT_TAIL_FIELDS),
        ("### Write record", hottail.HOT_TAIL_RECORD, hottail.HOT_TAIL_RECORD_FIELDS),
        ("### Void record", hottail.HOT_TAIL_VOID, hottail.HOT_TAIL_VOID_FIELDS),
    ],
)
def test_offsets_and_sizes_are_the_structs(
    before: str, layout: struct.Struct, names: tuple[str, ...]
) -> None:
    rows = table(before, "offset", "size", "field")
    assert [(int(row[0]), int(row[1]), row[2]) for row in rows] == fields_of(layout, names)


def test_every_table_of_offsets_is_compared() -> None:
    assert sum(head[:3] == ("offset", "size", "field") for _, head, _ in tables()) == 8
    assert sum(head[:2] == ("type", "field") for _, head, _ in tables()) == 8


def test_magics_and_versions() -> None:
    def value(before: str, field: str) -> str:
        return next(row[3] for row in table(before, "offset", "size") if row[2] == field)

    def magic(before: str) -> bytes:
        found = re.search(r"[0-9A-F]{2}( [0-9A-F]{2}){3,}", value(before, "magic"))
        assert found is not None
        return bytes.fromhex(found[0])

    assert magic("slot A with sequence 1") == c.HEADER_MAGIC == b"AEOR"
    assert magic("Ours marks its slots here") == c.SPARE_MAGIC == b"aepy"
    assert magic("## 3. Entries") == c.ENTRY_MAGIC
    assert magic("18 + 46") == c.HOT_TAIL_MAGIC
    assert magic("4.1 Page header") == struct.pack("<I", c.PAGE_MAGIC)
    assert value("slot A with sequence 1", "header version") == str(c.HEADER_VERSION)
    assert value("slot A with sequence 1", "KV block offset") == str(c.HEADERS_LENGTH)
    assert value("slot A with sequence 1", "KV block version") == str(c.KV_BLOCK_VERSION)
    assert value("slot A with sequence 1", "NVT version") == str(c.NVT_VERSION)
    assert value("Ours marks its slots here", "version").startswith(f"{c.SPARE_VERSION};")
    assert value("18 + 46", "format version") == str(c.HOT_TAIL_VERSION)


def test_entry_types_and_their_kv_types() -> None:
    rows = table("in the file means nothing.", "type", "name", "KV type")
    assert {int(row[0]): row[1] for row in rows} == c.ENTRY_NAMES
    assert {int(row[0]): int(row[2]) for row in rows} == c.KV_TYPE
    assert list(c.ENTRY_TYPES) == sorted(c.ENTRY_NAMES)


def test_flags_of_the_spare_bytes() -> None:
    rows = table("", "bit", "flag", "meaning")
    assert {row[1]: int(row[0]) for row in rows} == {
        "checkpoint": c.SPARE_CHECKPOINT,
        "growth": c.SPARE_GROWTH,
        "clean": c.SPARE_CLEAN,
        "drops": c.SPARE_DROPS,
        "dead pages": c.SPARE_DEAD_PAGES,
    }


def test_stages() -> None:
    rows = table("rest of the block is zero", "stage", "block length", "pages")
    assert [int(row[0]) for row in rows] == list(range(len(c.STAGE_LENGTHS)))
    for stage, length, pages in rows:
        assert page.block_length(int(stage)) == int(length)
        assert page.pages(int(stage)) == int(pages)


def test_numbers() -> None:
    for name, _, value in table("## 8. Numbers", "name", "C name", "value"):
        assert getattr(c, name.strip("`")) == int(value), name


def c_defines() -> dict[str, int]:
    """Every AEOR_ define and enumerator in native/*.h that is a whole number."""
    found: dict[str, str] = {}
    for path in sorted(NATIVE.glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found |= re.findall(r"#define (AEOR_\w+)[ \t]+(\S.*)", text)
        found |= re.findall(r"^\s*(AEOR_\w+) = ([^,\n]+),?", text, flags=re.MULTILINE)
    values: dict[str, int] = {}
    for _ in found:  # a define may use one that comes later
        for name, text in found.items():
            words = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text.strip())
            words = re.sub(r"AEOR_\w+", lambda m: str(values.get(m[0], m[0])), words)
            if re.fullmatch(r"[0-9a-fA-FxX()+<* -]+", words):
                values[name] = _sum(words)
    return values


def _sum(words: str) -> int:
    """The value of a literal, a sum or a shift: all that the defines of the format need."""
    plain = words.replace("(", "").replace(")", "")
    if "<<" in plain:
        left, right = plain.split("<<")
        return int(left, 0) << int(right, 0)
    if "*" in plain:
        left, right = plain.split("*")
        return int(left, 0) * int(right, 0)
    return sum(int(part, 0) for part in plain.split("+"))


def test_the_c_helper_agrees() -> None:
    """The C side writes the layout down a second time; here both are held together."""
    if not NATIVE.is_dir():
        pytest.skip("no sources of the C helper beside an installed package")
    defines = c_defines()
    assert set(defines) >= C_MINIMUM
    assert defines["AEOR_ENTRY_MAGIC"] == int.from_bytes(c.ENTRY_MAGIC, "little")
    for _, c_name, value in table("## 8. Numbers", "name", "C name", "value"):
        if c_name:
            assert defines[c_name.strip("`")] == int(value), c_name
    names = {row[1].strip("`") for row in table("## 8. Numbers", "name", "C name")}
    assert names | {"AEOR_ENTRY_MAGIC"} >= C_MINIMUM


@settings(max_examples=30)
@given(values.files)
def test_file_record_by_its_table(record: records.FileRecord) -> None:
    rows = table("Version 1:", "type", "field")
    reader = Reader(record.encode())
    found = reader.rows(rows)
    assert reader.offset == len(reader.raw)
    expected = dataclasses.asdict(record) | {"chunk_keys": list(record.chunks())}
    assert found == {name.replace("_", " "): value for name, value in expected.items()}


@pytest.mark.parametrize(
    ("before", "strategy"),
    [
        ("### 3.3", values.symlinks),
        ("Deletion:", values.deletions),
        ("Snapshot:", values.snapshots),
        ("Fork:", values.forks),
    ],
)
@settings(max_examples=30)
@given(data=st.data())
def test_other_records_by_their_tables(
    before: str, strategy: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    record = data.draw(strategy)
    reader = Reader(record.encode())
    fields = reader.rows(table(before, "type", "field"))
    assert reader.offset == len(reader.raw)
    expected = dataclasses.asdict(record)
    assert fields == {name.replace("_", " "): value for name, value in expected.items()}


@settings(max_examples=30)
@given(values.children, values.children)
def test_nodes_by_their_tables(one: nodes.Child, two: nodes.Child) -> None:
    children = tuple({child.name: child for child in (one, two)}.values())
    children = tuple(sorted(children, key=lambda child: child.name))
    reader = Reader(nodes.Leaf(children).encode())
    leaf = reader.rows(table("Leaf:", "type", "field"))
    assert reader.offset == len(reader.raw)
    assert leaf["node type"] == c.NODE_LEAF
    assert leaf["children"] == [
        {name.replace("_", " "): value for name, value in child._asdict().items()}
        for child in children
    ]
    node = nodes.Internal(
        tuple(child.name for child in children), (bytes(32),) * (len(children) + 1)
    )
    reader = Reader(node.encode())
    internal = reader.rows(table("Internal node:", "type", "field"))
    assert reader.offset == len(reader.raw)
    assert internal == {
        "node type": c.NODE_INTERNAL,
        "names": list(node.names),
        "keys": list(node.keys),
    }
