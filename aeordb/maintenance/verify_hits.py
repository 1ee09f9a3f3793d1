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
            self._folder(root.root, top, name, 0)

    def _folder(self, key: bytes, path: str, version: str, depth: int) -> bool:
        """Whether something was found at or below a folder."""
        if key in self._clean or depth > DEPTH_MAX or not self.complete:
            return False
        found = False
        folders: list[Child] = []
        nodes = [key]
        while nodes and self.complete:
            node = nodes.pop()
            self._left -= 1
            found |= self._check(node, path or "/", version)
            try:
                entry = self._view.read_as(node, c.ENTRY_DIRECTORY)
                value = decode_node(entry.value)
            except (DamagedError, FormatError):
                self._note(node, path or "/", version)
                found = True
                continue
            if isinstance(value, Internal):
                nodes += value.keys
            elif isinstance(value, Listing | Leaf):
                for child in value.children:
                    if child.kind == c.KIND_DIRECTORY:
                        folders.append(child)
                    else:
                        found |= self._leaf(child, f"{path}/{child.name}", version)
        for child in folders:
            found |= self._folder(child.hash, f"{path}/{child.name}", version, depth + 1)
        if not found and self.complete:
            self._clean.add(key)
        return found

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
