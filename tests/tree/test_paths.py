"""Which paths and names are taken, and the reason for each that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeordb.errors import PathError
from aeordb.tree import paths
from aeordb.tree.paths import ROOT, TreePath, parse_name, parse_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", "/"),
        ("a", "/a"),
        ("a/b", "/a/b"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("a/", "/a"),
        ("/...", "/..."),
        ("/ ", "/ "),
        ("/a\nb", "/a\nb"),
        ("/\N{SNOWMAN}/\U0001f600", "/\N{SNOWMAN}/\U0001f600"),
        ("/.aeordb-indexes/x", "/.aeordb-indexes/x"),
        ("/" + "n" * 65_534, "/" + "n" * 65_534),
        ("/d" * 1_000, "/d" * 1_000),
    ],
)
def test_what_is_taken(text: str, path: str) -> None:
    assert parse_path(text) == path
    assert parse_path(parse_path(text)) == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("//", "empty part"),
        ("//a", "empty part"),
        ("/a//b", "empty part"),
        ("/a//", "empty part"),
        (".", "'.' is not allowed"),
        ("/a/./b", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("/a/../b", "'..' is not allowed"),
        ("/a/..", "'..' is not allowed"),
        ("/a\0b", "NUL"),
        ("/a\udc80", "character 2 is a lone surrogate"),
        ("/" + "n" * 65_535, "65,536 bytes, at most 65,535"),
        ("/" + "\N{SNOWMAN}" * 21_845, "65,536 bytes, at most 65,535"),
        ("/d" * 1_001, "1,001 parts, at most 1,000"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PathError, match=reason) as caught:
        parse_path(text)
    assert caught.value.path == text
    assert reason in caught.value.reason


def test_a_file_needs_a_name() -> None:
    assert parse_path("/a", file=True) == "/a"
    with pytest.raises(PathError, match="slash at the end"):
        parse_path("/a/", file=True)
    with pytest.raises(PathError, match="root"):
        parse_path("/", file=True)


def test_a_path_is_text() -> None:
    with pytest.raises(TypeError):
        parse_path(b"/a")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", "\ud800", "n" * 65_535])
def test_bad_names(name: str) -> None:
    with pytest.raises(PathError):
        parse_name(name)


def test_good_names() -> None:
    for name in ("a", "...", "n" * 65_534, "\N{SNOWMAN}"):
        assert parse_name(name) == name


def test_system_and_hidden() -> None:
    for text in ("/.aeordb-system", "/.aeordb-config", "/.aeordb-system/users/x"):
        path = parse_path(text)
        assert paths.is_system(path)
        with pytest.raises(PathError, match="system"):
            paths.check_writable(path)
    for text in ("/", "/.aeordb-systems", "/a/.aeordb-system", "/.aeordb-indexes", "/.aeordb-"):
        path = parse_path(text)
        assert not paths.is_system(path)
        assert paths.check_writable(path) == path
    assert paths.is_hidden(".aeordb-indexes")
    assert not paths.is_hidden(".aeordb")


def test_taking_paths_apart() -> None:
    path = parse_path("/a/b/c")
    assert paths.parts(path) == ["a", "b", "c"]
    assert paths.parts(ROOT) == []
    assert list(paths.ancestors(path)) == ["/", "/a", "/a/b"]
    assert list(paths.ancestors(parse_path("/a"))) == ["/"]
    assert paths.split(path) == ("/a/b", "c")
    assert paths.split(parse_path("/a")) == ("/", "a")
    assert paths.split(ROOT) == ("/", "")
    assert paths.is_within(path, parse_path("/a"))
    assert paths.is_within(path, path)
    assert paths.is_within(path, ROOT)
    assert not paths.is_within(parse_path("/ab"), parse_path("/a"))


names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1
).filter(lambda name: name not in (".", ".."))


@given(st.lists(names, min_size=1, max_size=5))
def test_what_is_joined_comes_apart(parts: list[str]) -> None:
    path = ROOT
    for part in parts:
        path = paths.join(path, part)
    assert parse_path(path) == path
    assert paths.parts(path) == parts
    assert paths.split(path)[1] == parts[-1]
    assert paths.stored_name_fault(parts[0]) == ""
    assert paths.stored_name_fault(path)


@given(st.text())
def test_any_text_gives_a_path_or_a_reason(text: str) -> None:
    try:
        path = parse_path(text)
    except PathError:
        return
    assert TreePath(path) == "/" + "/".join(paths.parts(path))
    assert all(part not in ("", ".", "..") for part in paths.parts(path))
