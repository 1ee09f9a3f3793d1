"""Test data with a fixed seed: the same bytes, names and folders on every machine.

Makers give (path, content) pairs, paths relative and `/`-separated; `write_folder` puts them on
disk. Content is `bytes`, or a `Link` for a symlink. Nothing here depends on Python's own random
generator staying as it is, save the order of `random.Random`, which it promises.
"""

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from blake3 import blake3

CHUNK_SIZE = 262_144
CHUNK_EDGES = (0, 1, 31, 32, 33, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE)
# 2026-01-02 03:04:05 UTC: files on disk get this time and later ones.
FIRST_TIME = 1_767_323_045


@dataclass(frozen=True)
class Link:
    """A symlink, by its target."""

    target: str


Content = bytes | Link
Item = tuple[str, Content]


def noise(seed: object, size: int) -> bytes:
    """Bytes that no compressor makes smaller."""
    return blake3(repr(seed).encode()).digest(length=size)


_WORDS = (
    "the a of and file folder version snapshot tree root chunk page index log entry key value "
    "write read commit sync open close walk diff backup night server disk power cut again "
    "never always sometimes small large first last old new true whole broken"
)


@cache
def _text(seed: int) -> bytes:
    rng = random.Random(seed)
    return " ".join(rng.choices(_WORDS.split(), k=200_000)).encode()


def prose(seed: object, size: int) -> bytes:
    """English-like text, to about a quarter of its size under zstd."""
    text = _text(1)
    start = int.from_bytes(blake3(repr(seed).encode()).digest(length=4), "little") % len(text)
    turned = text[start : start + size]
    while len(turned) < size:
        turned += text[: size - len(turned)]
    return turned


def half(seed: object, size: int) -> bytes:
    """Bytes of which about a half can be compressed: noise and text in turns of 4 KiB."""
    step = 4096
    parts = [(noise if i % 2 else prose)((seed, i), step) for i in range((size + step - 1) // step)]
    return b"".join(parts)[:size]


def small_files(
    count: int = 50_000,
    folders: int = 2_000,
    *,
    low: int = 200,
    high: int = 20_000,
    seed: int = 1,
) -> Iterator[tuple[str, bytes]]:
    """Small files spread over nested folders: half text, half noise, sizes evenly drawn.

    Yields:
        `count` pairs in path order of no particular kind; every folder gets at least one file
        when there are enough of them.
    """
    rng = random.Random(seed)
    places = folder_names(folders)
    for i in range(count):
        folder = places[i] if i < folders else places[rng.randrange(folders)]
        size = rng.randint(low, high)
        if rng.random() < 0.5:
            yield f"{folder}/note-{i:06}.txt", prose((seed, i), size)
        else:
            yield f"{folder}/data-{i:06}.bin", noise((seed, i), size)


def folder_names(count: int) -> list[str]:
    """Folders three levels deep, about thirteen to a level for two thousand."""
    width = 1
    while width**3 < count:
        width += 1
    return [
        f"area-{i // (width * width):03}/team-{i // width % width:03}/box-{i % width:03}"
        for i in range(count)
    ]


_ALPHABETS = (
    range(0x20, 0x7F),  # ASCII
    range(0x01, 0x20),  # control characters: legal in a stored name
    range(0xA1, 0x250),
    range(0x300, 0x370),  # combining marks: names that normalise differently
    range(0x370, 0x530),
    range(0x590, 0x700),  # right to left
    range(0x900, 0xE00),
    range(0x2000, 0x2070),  # spaces and joiners that do not show
    range(0x3040, 0x3100),
    range(0x4E00, 0x9FFF),
    range(0xAC00, 0xD7A4),
    range(0xE000, 0xE100),  # private use
    range(0xFF00, 0xFFF0),
    range(0x1F300, 0x1F650),
    range(0x20000, 0x20100),
    range(0x10FF00, 0x10FFFE),
)

AWKWARD_NAMES = (
    " ",
    "...",
    ". ",
    "-rf",
    "~",
    "%2F",
    "a\\b",
    "a\nb",
    "\t",
    "\x7f",
    "\ufeff",
    "\u200b",
    "\u202egpj.exe",
    "\u0065\u0301",
    "\u00e9",
    "CON",
    "con",
    "\U0010fffd",
    "\uffff",
    "😀👩\u200d👩\u200d👧",
    "名前",
    "שלום",
    "x" * 255,
    "é" * 127,
)


def unicode_names(count: int, *, seed: int = 1, longest: int = 255) -> list[str]:
    """Different legal names over all of Unicode, none longer than `longest` bytes.

    The awkward ones come first; none is hidden (`.aeordb-`), empty, `.`, `..`, or holds `/`.
    """
    rng = random.Random(seed)
    names = dict.fromkeys(n for n in AWKWARD_NAMES[:count] if len(n.encode()) <= longest)
    while len(names) < count:
        alphabets = rng.choices(_ALPHABETS, k=rng.randint(1, 3))
        room, drawn = min(longest, int(rng.paretovariate(0.7) * 6)), ""
        while True:
            letter = chr(rng.choice(rng.choice(alphabets)))
            if len((drawn + letter).encode()) > max(room, 4):
                break
            drawn += letter
        name = drawn.replace("/", "|")
        if name.strip(".") and not name.startswith(".aeordb-"):
            names[name] = None
    return list(names)


def mixed_tree(seed: int = 1, *, names: int = 40) -> dict[str, Content]:
    """A tree with a bit of everything: chunk edges, deep paths, odd names, symlinks, twins."""
    tree: dict[str, Content] = {}
    for size in CHUNK_EDGES:
        tree[f"sizes/{size}.bin"] = noise((seed, "size", size), size)
    tree["text/large.txt"] = prose((seed, "large"), 3 * CHUNK_SIZE + 17)
    tree["text/half.dat"] = half((seed, "half"), CHUNK_SIZE + 4711)
    tree["zeros.bin"] = bytes(2 * CHUNK_SIZE)
    twin = noise((seed, "twin"), 300_000)
    tree["twins/one.bin"] = tree["twins/two.bin"] = twin
    deep = "/".join(f"d{i}" for i in range(40))
    tree[f"deep/{deep}/leaf.txt"] = b"leaf\n"
    for i, name in enumerate(unicode_names(names, seed=seed)):
        tree[f"names/{name}"] = prose((seed, "name", i), 10 + i)
    tree["links/up"] = Link("../text/large.txt")
    tree["links/absolute"] = Link("/text/half.dat")
    tree["links/dangling"] = Link("/no/such/file")
    tree["links/ünïcode"] = Link("names/名前")
    return tree


def edited(tree: dict[str, Content], seed: int = 1, *, changes: int = 20) -> dict[str, Content]:
    """A copy of a tree with files changed, taken away and added, about a third each."""
    rng = random.Random(seed)
    after = dict(tree)
    for i in range(changes):
        what = rng.choice(("change", "delete", "add"))
        path = rng.choice(sorted(after)) if after else ""
        if what == "delete" and len(after) > 1:
            del after[path]
        elif what == "change" and path and isinstance(after[path], bytes):
            after[path] = prose((seed, "edit", i), rng.randint(0, 50_000))
        else:
            after[f"added/{seed}-{i}/new.txt"] = prose((seed, "new", i), rng.randint(0, 5_000))
    return after


def write_folder(folder: str | os.PathLike[str], items: Iterable[Item] | dict[str, Content]) -> int:
    """Writes items below a folder, which is made; returns the number of bytes in files.

    Each file and symlink gets a time of its own, a second apart, so that a copy can be compared.
    """
    top = Path(folder)
    top.mkdir(parents=True, exist_ok=True)
    pairs = items.items() if isinstance(items, dict) else items
    written, made = 0, {top}
    for i, (name, content) in enumerate(pairs):
        path = top / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        if isinstance(content, Link):
            path.symlink_to(content.target)
        else:
            path.write_bytes(content)
            written += len(content)
        stamp = FIRST_TIME + i
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    return written


def read_folder(folder: str | os.PathLike[str]) -> dict[str, Content]:
    """What `write_folder` wrote, read back; empty folders are not seen."""
    top, found = Path(folder), {}
    for path in top.rglob("*"):
        name = path.relative_to(top).as_posix()
        if path.is_symlink():
            found[name] = Link(os.readlink(path))
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
