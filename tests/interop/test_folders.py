"""The data makers give the same data everywhere, and nothing that a tree may not hold."""

from pathlib import Path

import zstandard

from tests.kit.folders import (
    edited,
    half,
    mixed_tree,
    noise,
    prose,
    read_folder,
    small_files,
    unicode_names,
    write_folder,
)
from tests.kit.layout import h


def digest_of(items: list[tuple[str, bytes]]) -> str:
    return h(*(h(path.encode(), data) for path, data in items)).hex()


def test_the_data_never_changes() -> None:
    assert digest_of(list(small_files(300, 20))) == (
        "7e5ede0b1a1041e5df3308ac0a150dcc696a0aee44da481a2b71a2b3def87a54"
    )
    assert h("\n".join(unicode_names(500)).encode()).hex() == (
        "94c1b6d8a56218231fec226f5321deec69656f74033b3d38ac428d1a7ccf3326"
    )


def test_sizes_and_folders_are_as_asked_for() -> None:
    items = list(small_files(3000, 2000))
    assert len({path for path, _ in items}) == 3000
    assert len({path.rsplit("/", 1)[0] for path, _ in items}) == 2000
    assert all(200 <= len(data) <= 20_000 for _, data in items)


def test_names_are_legal_and_wide() -> None:
    names = unicode_names(2000)
    assert len(set(names)) == 2000
    assert all(0 < len(name.encode()) <= 255 for name in names)
    assert not any("/" in name or "\0" in name or name in (".", "..") for name in names)
    letters = {letter for name in names for letter in name}
    assert max(map(ord, letters)) > 0x10FF00
    assert min(map(ord, letters)) < 0x20


def test_content_compresses_as_promised() -> None:
    ratio = {
        make.__name__: len(zstandard.compress(make(1, 1 << 20), 1)) / (1 << 20)
        for make in (noise, prose, half)
    }
    assert ratio["noise"] >= 1
    assert ratio["prose"] < 0.4
    assert 0.45 < ratio["half"] < 0.7


def test_a_folder_on_disk_reads_back(tmp_path: Path) -> None:
    tree = mixed_tree()
    write_folder(tmp_path / "tree", tree)
    assert read_folder(tmp_path / "tree") == tree


def test_an_edited_tree_differs_in_all_three_ways() -> None:
    before = mixed_tree()
    after = edited(before, changes=40)
    assert before == mixed_tree()
    assert after.keys() - before.keys()
    assert before.keys() - after.keys()
    assert any(before[path] != after[path] for path in before.keys() & after.keys())
