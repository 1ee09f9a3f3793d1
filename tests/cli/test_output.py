"""How results look."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from aeordb.cli import output
from aeordb.database.plain import plain


@dataclass(frozen=True)
class Stat:
    """As the library's."""

    path: str
    kind: str
    size: int = 0
    updated: int = 0
    target: str | None = None


def test_escape_disarms_what_a_terminal_obeys() -> None:
    assert output.escape("plain é 名") == "plain é 名"
    assert output.escape("a\x1b[2Jb\nc\x9b\u202e") == "a\\x1b[2Jb\\nc\\x9b\\u202e"


def test_names_are_escaped_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output.shown("a\nb") == "a\nb"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert output.shown("a\nb") == "a\\nb"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1024 (1.0 KiB)"),
        (5 << 30, "5368709120 (5.0 GiB)"),
        (3 << 50, "3377699720527872 (3072.0 TiB)"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert output.size(count) == text


def test_when_takes_any_signed_64_bit_time() -> None:
    assert output.when(1_700_000_000_000).startswith("2023-11-1")
    assert output.when(2**63 - 1) == f"{2**63 - 1} ms"
    assert output.when(-(2**63)) == f"{-(2**63)} ms"


def test_headline_indents_by_two_and_leaves_out_what_is_unknown() -> None:
    lines = list(output.headline("Done.", {"Files": 3, "Base": None, "Version": "ab"}))
    assert lines == ["Done.", "  Files: 3", "  Version: ab"]


def test_listing_lines_align_kind_size_and_time() -> None:
    stats = [
        Stat("/docs", "folder", 120),
        Stat("/a.txt", "file", 6),
        Stat("/l", "symlink", 0, target="a.txt"),
    ]
    lines = [output.listing_line(stat, stat.path[1:]) for stat in stats]
    time = output.when(0)
    assert lines == [
        f"folder              -  {time}  docs/",
        f"file                6  {time}  a.txt",
        f"symlink             -  {time}  l -> a.txt",
    ]


def test_plain_makes_json_of_results() -> None:
    stat = Stat("/a", "file", 1)
    told = plain({"hash": b"\x01\xff", "items": (stat,), "where": Path("x"), "none": None})
    assert told == {
        "hash": "01ff",
        "items": [{"path": "/a", "kind": "file", "size": 1, "updated": 0, "target": None}],
        "where": "x",
        "none": None,
    }
