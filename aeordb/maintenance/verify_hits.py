"""Which files and versions a damaged entry hits: a slow walk, done only where damage was found."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from aeordb.errors import DamagedError
from aeordb.format import constants as c
from aeordb.format.errors import FormatError
from aeordb.format.nodes import Child, Internal, Leaf, Listing, decode_node
from aeordb.format.records import FileRecord
from aeordb.maintenance.reach import Root
from aeordb.storage.view import View
from aeordb.tree.paths import DEPTH_MAX

PATHS_MAX = 20
VERSIONS_MAX = 50
_VISITS_MAX = 200_000


@dataclass(slots=True)
class Hit:
    """What one key hits: the first paths and versions that were met."""

    paths: dict[str, None] = field(default_factory=dict)
    versions: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Folder:
    """A folder whose subfolders are gone through; `hit`: something was found at or below it."""

    key: bytes
    path: str
    below: list[Child] = field(default_factory=list)
    hit: bool = False


class Search:
    """Looks for keys in the trees of versions; gives up behind some number of entries."""

    def __init__(self, view: View, keys: Set[bytes], *, chunks: bool) -> None:
        """`chunks`: there may be chunks among the keys, so that each file's record is read."""
        self._view = view
        self._keys = keys
        self._chunks = chunks
        self._left = _VISITS_MAX
        # Folders below which nothing was found; most are shared by many versions.
        self._clean: set[bytes] = set()
        self.hits: dict[bytes, Hit] = {}

    @property
    def complete(self) -> bool:
        """Whether all places were looked at."""
        return self._left > 0

    def run(self, roots: Iterable[Root]) -> None:
        """Goes through these versions."""
        for root in roots:
            if root.root == c.ZERO_HASH or not self.complete:
                continue
            name = version_name(root)
            top = root.name if root.kind == "system" else ""
            if root.root not in self._clean:
                self._folders(root.root, top, name)

    def _folders(self, root: bytes, top: str, version: str) -> None:
        """Goes through the folders of a version; no call for each: they may nest 1,000 deep."""
        open_folders = [self._enter(root, top, version)]
        while open_folders:
            folder = open_folders[-1]
            if folder.below and self.complete:
                child = folder.below.pop()
                if child.hash not in self._clean and len(open_folders) <= DEPTH_MAX:
                    path = f"{folder.path}/{child.name}"
                    open_folders.append(self._enter(child.hash, path, version))
                continue
            open_folders.pop()
            if folder.hit and open_folders:
                open_folders[-1].hit = True
            elif not folder.hit and self.complete:
                self._clean.add(folder.key)

    def _enter(self, key: bytes, path: str, version: str) -> _Folder:
        """Looks at the nodes of a folder, and at its files and symlinks."""
        folder = _Folder(key, path)
        nodes = [key]
        while nodes and self.complete:
            node = nodes.pop()
            self._left -= 1
            folder.hit |= self._check(node, path or "/", version)
            try:
                entry = self._view.read_as(node, c.ENTRY_DIRECTORY)
                value = decode_node(entry.value)
            except (DamagedError, FormatError):
                self._note(node, path or "/", version)
                folder.hit = True
                continue
            if isinstance(value, Internal):
                nodes += value.keys
            elif isinstance(value, Listing | Leaf):
                for child in value.children:
                    if child.kind == c.KIND_DIRECTORY:
                        folder.below.append(child)
                    else:
                        folder.hit |= self._leaf(child, f"{path}/{child.name}", version)
        folder.below.reverse()
        return folder

    def _leaf(self, child: Child, path: str, version: str) -> bool:
        self._left -= 1
        found = self._check(child.hash, path, version)
        if not self._chunks or child.kind != c.KIND_FILE or not self.complete:
            return found
        try:
            entry = self._view.read_as(child.hash, c.ENTRY_FILE)
            for chunk in FileRecord.decode(entry.value, entry.version).chunks():
                found |= self._check(chunk, path, version)
        except (DamagedError, FormatError):
            self._note(child.hash, path, version)
            return True
        return found

    def _check(self, key: bytes, path: str, version: str) -> bool:
        if key not in self._keys:
            return False
        self._note(key, path, version)
        return True

    def _note(self, key: bytes, path: str, version: str) -> None:
        hit = self.hits.setdefault(key, Hit())
        if len(hit.paths) < PATHS_MAX:
            hit.paths[path] = None
        if len(hit.versions) < VERSIONS_MAX:
            hit.versions[version] = None


def version_name(root: Root) -> str:
    """How findings call a version: `HEAD`, `snapshot v1`, `fork f`, `system /.aeordb-system`."""
    return root.name if root.kind == "HEAD" else f"{root.kind} {root.name}"
