"""Hypothesis strategies: names, paths, contents, trees, edits and whole histories.

All of it is legal by the rules of the format (FORMAT.md 3.1), and none of it tame: names are of all
of Unicode, contents lie around the borders at which they are cut and compressed. Sizes are kept
small unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

from aeordb.format.constants import CHUNK_LENGTH, SYSTEM_ROOTS
from aeordb.native.hashing import blake3
from aeordb.testing import operations
from aeordb.testing.operations import Operation
from aeordb.testing.tree import FOLDER, File, Symlink, Tree, parent
from aeordb.tree.chunking import COMPRESS_FROM
from aeordb.versions.names import NAME_MAX

Strings = st.SearchStrategy[str]

# Legal, and each a trap for somebody: a pattern, an option, a hidden name, signs that combine
# (of two forms of one letter both are names), what sorts otherwise as UTF-16, or looks like a hash.
_ODD_NAMES = (
    *("a", "b", "...", ".a", " ", "-r", "--", "*", "[a]", "?", "~", "a\\b", "con", "a\nb", "\x7f"),
    *(".aeordb-mine", "ä", "a\u0308", "\uffff", "\U0001f600", "\u202e", "a.txt", "a.gz", "0" * 64),
)
_CONTENT_TYPES = (None, None, None, "text/plain", "image/png", "")
_PATTERN = blake3(b"aeordb.testing")


class Content(bytes):
    """Bytes whose repr is the call that made them, however many they are."""

    how: str

    def __repr__(self) -> str:
        return self.how


def content(kind: str, size: int, seed: int = 0) -> Content:
    """So many bytes of a kind: "zeros", "text" (it can be compressed), "noise" (it cannot)."""
    start = seed.to_bytes(8, "little")
    if kind == "zeros":
        data = bytes(size)
    elif kind == "text":
        line = start.hex().encode() + b" all work and no play\n"
        data = (line * (size // len(line) + 1))[:size]
    else:
        blocks = (blake3(_PATTERN + start + i.to_bytes(8, "little")) for i in range(size // 32 + 1))
        data = b"".join(blocks)[:size]
    made = Content(data)
    made.how = f"content({kind!r}, {size}, {seed})"
    return made


@cache
def names(max_size: int = 12) -> Strings:
    """Names of files and folders, of all that Unicode has; `max_size` in characters."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
    made = st.text(characters, min_size=1, max_size=max_size)
    return st.one_of(st.sampled_from(_ODD_NAMES), made).filter(lambda name: name not in (".", ".."))


def paths(parts: Strings | None = None, *, max_depth: int = 3) -> Strings:
    """Paths of files and folders, `/a/b`, out of `parts` (:func:`names`); never a system root."""
    return _any_paths(max_depth) if parts is None else _paths(parts, max_depth)


@cache
def _any_paths(max_depth: int) -> Strings:
    return _paths(names(), max_depth)


def _paths(parts: Strings, max_depth: int) -> Strings:
    found = st.lists(parts, min_size=1, max_size=max_depth)
    return found.map(lambda each: "/" + "/".join(each)).filter(_is_free)


def _is_free(path: str) -> bool:
    return not any(path == root or path.startswith(root + "/") for root in SYSTEM_ROOTS)


@cache
def version_names(max_size: int = 12) -> Strings:
    """Names that a new snapshot or fork may have: 1 to 255 bytes, also such as look like hashes."""
    characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/")
    made = st.text(characters, min_size=1, max_size=max_size)
    odd = st.sampled_from(
        ("v1", "v2", "-", " ", "0123456789abcdef", "n" * NAME_MAX, "ä", "imported-")
    )
    return st.one_of(odd, made).filter(
        lambda name: name.upper() != "HEAD" and len(name.encode()) <= NAME_MAX
    )


@cache
def sizes(max_chunks: int = 0) -> st.SearchStrategy[int]:
    """Sizes in bytes: empty, tiny, around what compression begins at, and, with `max_chunks`,
    around the borders of so many chunks."""
    borders = [0, 1, COMPRESS_FROM - 1, COMPRESS_FROM, COMPRESS_FROM + 1, 4096]
    for count in range(1, max_chunks + 1):
        borders += [count * CHUNK_LENGTH + more for more in (-1, 0, 1)]
    return st.one_of(st.sampled_from(borders), st.integers(0, 2000))


@cache
def contents(max_chunks: int = 0) -> st.SearchStrategy[bytes]:
    """What files hold: bytes as Hypothesis has them, and longer ones that compress or do not."""
    kinds = st.sampled_from(("zeros", "text", "noise"))
    longer: st.SearchStrategy[bytes] = st.builds(
        content, kinds, sizes(max_chunks), st.integers(0, 9)
    )
    return st.one_of(st.binary(max_size=40), longer)


@st.composite
def trees(draw: st.DrawFn, *, max_paths: int = 8, max_chunks: int = 0) -> Tree:
    """A version as a dict from path to File, Symlink or Folder, the folders above included."""
    found = draw(st.lists(paths(), max_size=max_paths, unique=True))
    tree: Tree = {}
    for path in found:
        above = parent(path)
        folders = []
        while above:
            folders.append(above)
            above = parent(above)
        if path in tree or any(tree.get(folder, FOLDER) != FOLDER for folder in folders):
            continue
        tree.update(dict.fromkeys(folders, FOLDER))
        match draw(st.sampled_from(("file", "file", "file", "symlink", "folder"))):
            case "file":
                tree[path] = File(draw(contents(max_chunks)))
            case "symlink":
                tree[path] = Symlink(draw(targets(found)))
            case _:
                tree[path] = FOLDER
    return tree


def targets(known: Sequence[str] = ()) -> Strings:
    """What symlinks point to: a known path, a relative one, or anything."""
    wild = ("..", "../a", ".", "nowhere", "/", "a/../b")
    return st.one_of(st.sampled_from((*known, *wild)), paths().map(lambda path: path[1:]))


def edits(
    where: Strings | None = None, data: st.SearchStrategy[bytes] | None = None
) -> st.SearchStrategy[Operation]:
    """Changes of a tree: put, symlink, mkdir, delete, move, at the paths of `where`."""
    place = paths() if where is None else where
    return st.one_of(
        st.builds(
            operations.put,
            place,
            contents() if data is None else data,
            st.sampled_from(_CONTENT_TYPES),
        ),
        st.builds(operations.move, place, place),
        st.builds(operations.delete, place, st.booleans()),
        st.builds(operations.symlink, st.one_of(place, targets()), place),
        st.builds(operations.mkdir, place),
    )


def versions(labels: Strings) -> st.SearchStrategy[Operation]:
    """Changes of the names of versions, and of HEAD by them."""
    at = st.one_of(st.just("HEAD"), labels)
    return st.one_of(
        st.builds(operations.snapshots_create, labels, at),
        st.builds(operations.forks_create, labels, at),
        st.builds(operations.snapshots_restore, labels),
        st.builds(operations.forks_promote, labels),
        st.builds(operations.snapshots_rename, labels, labels),
        st.builds(operations.snapshots_delete, labels),
        st.builds(operations.forks_delete, labels),
    )


@st.composite
def histories(
    draw: st.DrawFn,
    *,
    max_size: int = 12,
    max_chunks: int = 0,
    with_transactions: bool = True,
    with_gc: bool = True,
) -> list[Operation]:
    """What happens to a database: operations over a few names, so that they meet each other."""
    where, labels = draw(few_paths()), st.sampled_from(draw(few_labels()))
    edit = edits(where, contents(max_chunks))
    each = [edit, edit, versions(labels)]
    if with_transactions:
        several = st.lists(edit, min_size=1, max_size=4)
        each.append(st.builds(operations.transaction, several, st.booleans()))
    if with_gc:
        each.append(st.builds(operations.gc, st.booleans()))
    return draw(st.lists(st.one_of(each), min_size=1, max_size=max_size))


def few_paths(max_depth: int = 3) -> st.SearchStrategy[Strings]:
    """A strategy of paths over two to four names."""
    few = st.lists(names(), min_size=2, max_size=4, unique=True)
    return few.map(lambda found: paths(st.sampled_from(found), max_depth=max_depth))


def few_labels() -> st.SearchStrategy[list[str]]:
    """Two to four names of versions."""
    return st.lists(version_names(), min_size=2, max_size=4, unique=True)
