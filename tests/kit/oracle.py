"""An independent reader of whole files: what the package's answers are compared with.

It reads the file at once, follows FORMAT.md word by word, keeps plain dictionaries and checks
every entry it hands out. It is slow and sure; nothing here comes from the package.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from tests.kit.layout import (
    DELETED,
    DELETION,
    DIRECTORY,
    ENTRY_MAGIC,
    FILE,
    FLAG_CHECKPOINT,
    FLAG_GROWTH,
    FORK,
    HEADER_LENGTH,
    KV_TYPE,
    PAGE_LENGTH,
    SLOT_LENGTH,
    SNAPSHOT,
    SYMLINK,
    TYPE_NAME,
    VOID,
    Entry,
    HotTail,
    Location,
    MalformedError,
    Slot,
    h,
    page_of,
    read_entry,
    read_hot_tail,
    read_page,
    read_slot,
)
from tests.kit.values import (
    Child,
    FileRecord,
    NamedRoot,
    Node,
    SymlinkRecord,
    chunk_bytes,
    deletion_record,
    directory_node,
    file_record,
    fork_record,
    path_key,
    path_keys_of_deletion,
    snapshot_record,
    symlink_record,
)

SYSTEM_ROOTS = (
    "/.aeordb-system",
    "/.aeordb-config",
    "/.aeordb-system/users",
    "/.aeordb-system/groups",
    "/.aeordb-system/config",
    "/.aeordb-system/snapshots",
)

Row = list[object]
Index = dict[bytes, Location]


@dataclass(frozen=True)
class Place:
    """One path of a version."""

    path: str
    child: Child

    @property
    def hidden(self) -> bool:
        return any(part.startswith(".aeordb-") for part in self.path.split("/"))


class Oracle:
    """A file as it stands on disk.

    Args:
        source: a path, or the file's bytes.
        rebuild: True builds the index from the log as AeorDB would after a crash, False never
            does, None does where the format asks for it.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, rebuild: bool | None = None) -> None:
        if isinstance(source, bytes):
            self.data = source
        else:
            with open(source, "rb") as file:
                self.data = file.read()
        self.slots = self._read_slots()
        valid = [slot for slot in self.slots if slot is not None]
        if not valid:
            raise MalformedError("not a database: no header slot is good")
        self.slot: Slot = max(valid, key=lambda slot: slot.sequence)
        self.other = self.slots[1] if self.slot is self.slots[0] else self.slots[0]
        self.head = self.slot.head
        self.is_patch = self.slot.backup_type == 2
        self.tail: HotTail | None = None
        self.rebuilt = False
        self._index: Index | None = None
        self._rebuild = rebuild

    # -- header and index ------------------------------------------------------------------

    def _read_slots(self) -> list[Slot | None]:
        slots: list[Slot | None] = []
        for offset in (0, SLOT_LENGTH):
            try:
                slots.append(read_slot(self.data[offset : offset + SLOT_LENGTH]))
            except MalformedError:
                slots.append(None)
        return slots

    @property
    def index(self) -> Index:
        """Every live key and its place."""
        if self._index is None:
            self._index = self._load_index()
        return self._index

    def _load_index(self) -> Index:
        marker = self.slot.ours
        if self._rebuild or (self.slot.kv_offset == 0 and self._rebuild is None):
            self.rebuilt = True
            return self.rebuild(self.slot.hot_tail if marker else None)
        try:
            if marker:
                self._check_tail_hash()
            self.tail = read_hot_tail(self.data, self.slot.hot_tail)
            return self.kept_index(self.tail)
        except MalformedError:
            if marker or self._rebuild is False:
                raise
            self.rebuilt = True
            return self.rebuild(None)

    def _check_tail_hash(self) -> None:
        marker = self.slot.ours
        assert marker
        start = self.slot.hot_tail
        region = self.data[start : start + marker.tail_length]
        if len(region) != marker.tail_length or h(region) != marker.tail_hash:
            raise MalformedError("the hot tail does not match its hash in the header")

    def page(self, number: int) -> list[Location]:
        start = self.slot.kv_offset + number * PAGE_LENGTH
        page = self.data[start : start + PAGE_LENGTH]
        if len(page) != PAGE_LENGTH:
            raise MalformedError("the file ends inside the index")
        return read_page(page)

    def covered_pages(self, tail: HotTail) -> set[int]:
        """The pages that an unfinished batch of ours answers for in the hot tail."""
        marker = self.slot.ours
        if marker and marker.flags & FLAG_GROWTH:
            return set(range(self.slot.pages))
        if marker and marker.flags & FLAG_CHECKPOINT:
            return {page_of(w.key, self.slot.pages) for w in tail.writes[: marker.batch]}
        return set()

    def kept_index(self, tail: HotTail) -> Index:
        """Pages, overlaid by the write records, less what is deleted or lies in a void."""
        covered = self.covered_pages(tail)
        dead = Ranges(tail.voids)
        index = {}
        for number in range(self.slot.pages):
            if number in covered:
                continue
            for location in self.page(number):
                if not dead.meets(location.offset, location.end):
                    index[location.key] = location
        for location in tail.writes:
            index[location.key] = location
        return {
            key: location
            for key, location in index.items()
            if not location.kv & DELETED and location.kv & 15 != KV_TYPE[VOID]
        }

    # -- log -------------------------------------------------------------------------------

    def scan(self, start: int | None = None, end: int | None = None) -> Iterator[Entry]:
        """The log's entries in file order; a bad header is skipped to the next believable one."""
        offset = self.slot.log_start if start is None else start
        end = len(self.data) if end is None else end
        if self.slot.kv_offset > 512:
            end = min(end, self.slot.kv_offset)
        while offset + HEADER_LENGTH <= end:
            try:
                entry = read_entry(self.data, offset, end)
            except MalformedError:
                offset = self.data.find(ENTRY_MAGIC, offset + 1, end)
                if offset < 0:
                    return
                continue
            yield entry
            offset = entry.end

    def rebuild(self, end: int | None) -> Index:
        """The index that a scan of the log up to `end` gives (None: to the end of the file)."""
        newest: dict[bytes, tuple[bool, int, int]] = {}
        index: Index = {}
        deletions = []
        for entry in self.scan(end=end):
            if entry.type == VOID or not entry.intact:
                continue
            if entry.type == DELETION:
                deletions.append(entry)
            full = entry.type != DIRECTORY or bool(entry.value)
            rank = (full, entry.time, entry.offset)
            if entry.key not in newest or newest[entry.key] < rank:
                newest[entry.key] = rank
                kv = KV_TYPE[entry.type]
                index[entry.key] = Location(entry.key, kv, entry.offset, entry.total)
        for deletion in deletions:
            for key in path_keys_of_deletion(deletion_record(deletion.value)):
                if key in index and newest[key][1] < deletion.time:
                    del index[key]
        return index

    # -- entries ---------------------------------------------------------------------------

    def entry(self, key: bytes) -> Entry | None:
        """The live entry of a key, checked; None where the index has none."""
        location = self.index.get(key)
        return None if location is None else self.entry_at(location)

    def entry_at(self, location: Location) -> Entry:
        entry = read_entry(self.data, location.offset)
        if entry.key != location.key or entry.total != location.length:
            raise MalformedError(f"the entry at {location.offset} is not the one the index names")
        if KV_TYPE[entry.type] != location.kv & 15:
            raise MalformedError(f"the entry at {location.offset} is a {TYPE_NAME[entry.type]}")
        if not entry.intact:
            raise MalformedError(f"the entry at {location.offset}: integrity hash")
        return entry

    def need(self, key: bytes, type_: int, what: str = "") -> Entry:
        entry = self.entry(key)
        if entry is None:
            raise MalformedError(f"{TYPE_NAME[type_]} {key.hex()} is missing {what}".rstrip())
        if entry.type != type_:
            raise MalformedError(f"{key.hex()} is a {TYPE_NAME[entry.type]} {what}".rstrip())
        return entry

    # -- versions --------------------------------------------------------------------------

    def _named(self, type_: int) -> dict[str, NamedRoot]:
        decode = snapshot_record if type_ == SNAPSHOT else fork_record
        found = {}
        for location in self.index.values():
            if location.kv & 15 == KV_TYPE[type_]:
                record = decode(self.entry_at(location).value)
                found[record.name] = record
        return dict(sorted(found.items()))

    @property
    def snapshot_records(self) -> dict[str, NamedRoot]:
        return self._named(SNAPSHOT)

    @property
    def snapshots(self) -> dict[str, bytes]:
        """Each snapshot's root, AeorDB's automatic ones included."""
        return {name: record.root for name, record in self._named(SNAPSHOT).items()}

    @property
    def forks(self) -> dict[str, bytes]:
        return {name: record.root for name, record in self._named(FORK).items()}

    @property
    def system_roots(self) -> dict[str, bytes]:
        """The directories of system data, by path, as their path keys say."""
        found = {}
        for path in SYSTEM_ROOTS:
            entry = self.entry(path_key(DIRECTORY, path))
            if entry is not None:
                found[path] = entry.value if len(entry.value) == 32 else entry.key
        return found

    # -- trees -----------------------------------------------------------------------------

    def node(self, key: bytes, what: str = "") -> Node:
        """A directory or B-tree node; a path key's link is followed once."""
        value = self.need(key, DIRECTORY, what).value
        if len(value) == 32:
            value = self.need(value, DIRECTORY, what).value
        return directory_node(value)

    def children(self, key: bytes, path: str = "") -> list[Child]:
        """A directory's children in name order, whatever its form."""
        node = self.node(key, f"at {path}")
        if node.form != "internal":
            return sorted(node.children, key=lambda child: child.name.encode())
        return [child for key in node.nodes for child in self.children(key, path)]

    def walk(self, root: bytes, path: str = "/") -> Iterator[Place]:
        """Every path under a root, parents first, in name order."""
        if root == bytes(32):
            return
        for child in self.children(root, path):
            place = Place(path.rstrip("/") + "/" + child.name, child)
            yield place
            if child.type == DIRECTORY:
                yield from self.walk(child.hash, place.path)

    def file_record(self, key: bytes, path: str = "") -> FileRecord:
        entry = self.need(key, FILE, path and f"at {path}")
        return file_record(entry.value, entry.version)

    def symlink_record(self, key: bytes, path: str = "") -> SymlinkRecord:
        return symlink_record(self.need(key, SYMLINK, path and f"at {path}").value)

    def content(self, record: FileRecord) -> bytes:
        """A file's bytes, checked chunk by chunk and against the content hash."""
        raw = b"".join(chunk_bytes(self.need(key, 1, record.path)) for key in record.chunks)
        if len(raw) != record.size:
            raise MalformedError(f"{record.path}: {len(raw)} bytes in chunks, {record.size} stated")
        if record.content_hash is not None and h(raw) != record.content_hash:
            raise MalformedError(f"{record.path}: content hash")
        return raw

    def tree(self, root: bytes | None = None, *, folders: bool = False, hidden: bool = False):
        """Rows [path, kind, size, BLAKE3 hex or target], sorted, as the manifests have them."""
        rows: list[Row] = []
        for place in self.walk(self.head if root is None else root):
            child = place.child
            if place.hidden and not hidden:
                continue
            if child.type == FILE:
                raw = self.content(self.file_record(child.hash, place.path))
                rows.append([place.path, "file", len(raw), h(raw).hex()])
            elif child.type == SYMLINK:
                target = self.symlink_record(child.hash, place.path).target
                rows.append([place.path, "symlink", 0, target])
            elif folders:
                rows.append([place.path, "folder", 0, ""])
        return sorted(rows)

    def find(self, path: str, root: bytes | None = None) -> Child | None:
        """The child at a path, None where there is nothing."""
        key, found = self.head if root is None else root, None
        for name in path.strip("/").split("/"):
            if found is not None and found.type != DIRECTORY:
                return None
            found = next((c for c in self.children(key, path) if c.name == name), None)
            if found is None:
                return None
            key = found.hash
        return found

    def read(self, path: str, root: bytes | None = None) -> bytes:
        """A file's content at a root (HEAD by default)."""
        child = self.find(path, root)
        if child is None or child.type != FILE:
            raise KeyError(path)
        return self.content(self.file_record(child.hash, path))

    def system_tree(self) -> dict[str, bytes]:
        """The files of the system data, by path."""
        found = {}
        for top, root in self.system_roots.items():
            for place in self.walk(root, top):
                if place.child.type == FILE:
                    record = self.file_record(place.child.hash, place.path)
                    found[place.path] = self.content(record)
        return found


class Ranges:
    """Sorted (start, end) ranges that can be asked whether something meets them."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self.ranges = sorted(ranges)

    def meets(self, start: int, end: int) -> bool:
        low, high = 0, len(self.ranges)
        while low < high:
            middle = (low + high) // 2
            if self.ranges[middle][1] <= start:
                low = middle + 1
            else:
                high = middle
        return low < len(self.ranges) and self.ranges[low][0] < end
