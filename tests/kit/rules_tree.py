"""Rules of keys and trees: addresses hold, versions are whole, path keys say what HEAD says."""

from collections.abc import Iterator

from tests.kit.layout import (
    CHUNK,
    DELETION,
    DIRECTORY,
    FILE,
    FORK,
    KV_TYPE,
    SNAPSHOT,
    SYMLINK,
    TYPE_NAME,
    VOID,
    ZERO,
    Entry,
    MalformedError,
    h,
)
from tests.kit.oracle import SYSTEM_ROOTS, Place
from tests.kit.subject import Subject
from tests.kit.values import (
    Child,
    Node,
    chunk_bytes,
    deletion_record,
    directory_node,
    file_record,
    fork_key,
    fork_record,
    is_task_record,
    path_key,
    raw_key,
    snapshot_key,
    snapshot_record,
    symlink_record,
)

FLAT_LIMIT, LEAF_LIMIT, INTERNAL_LIMIT = 255, 40, 77


def tree_rules(s: Subject) -> Iterator[str]:
    """All rules of the live index and of what it makes reachable."""
    yield from _entry_rules(s)
    checked = _Checked()
    roots = {"HEAD": s.oracle.head}
    roots |= {f"snapshot {name}": root for name, root in s.oracle.snapshots.items()}
    roots |= {f"fork {name}": root for name, root in s.oracle.forks.items()}
    for version, root in roots.items():
        if root != ZERO:
            for finding in _directory_rules(s, root, "/", None, checked):
                yield f"{version}: {finding}"
    for path, root in s.oracle.system_roots.items():
        for finding in _directory_rules(s, root, path, None, checked):
            yield f"system data: {finding}"
    yield from _path_key_rules(s)
    yield from _rebuild_rules(s)


# -- entries -------------------------------------------------------------------------------


def _entry_rules(s: Subject) -> Iterator[str]:
    """Each live index entry leads to an intact entry under an address that its content gives."""
    assert s.tail
    for location in s.oracle.index.values():
        if location.offset < s.slot.log_start or location.end > s.tail.offset:
            yield f"{location.key.hex()} lies outside the log, at {location.offset}"
            continue
        try:
            entry = s.oracle.entry_at(location)
            said = address_finding(entry)
        except MalformedError as error:
            yield f"{location.key.hex()}: {error}"
            continue
        if said:
            yield f"{TYPE_NAME[entry.type]} at {entry.offset}: {said}"


def address_finding(entry: Entry) -> str | None:
    """What is wrong with an entry's key; directories under path keys are left to later rules."""
    value, key = entry.value, entry.key
    if entry.compression and entry.type != CHUNK:
        return "compressed"
    if entry.type == CHUNK:
        chunk_bytes(entry)
        return None
    if is_task_record(entry.type, entry.version, value):
        return None
    if entry.type == FILE:
        record = file_record(value, entry.version)
        right = [record.identity_key, path_key(FILE, record.path), h(b"filec:", value)]
    elif entry.type == SYMLINK:
        link = symlink_record(value)
        right = [link.identity_key, path_key(SYMLINK, link.path), h(b"symlinkc:", value)]
    elif entry.type == DELETION:
        deletion = deletion_record(value)
        right = [raw_key(f"del:{deletion.path}:{deletion.deleted}")]
    elif entry.type == SNAPSHOT:
        right = [snapshot_key(snapshot_record(value).name)]
    elif entry.type == FORK:
        right = [fork_key(fork_record(value).name)]
    else:
        return None
    return None if key in right else f"{key.hex()} is not the address of its content"


def is_content_directory(entry: Entry) -> bool:
    """Whether a directory entry stands under its content's address."""
    if entry.key == h(b"dirc:", entry.value):
        return len(entry.value) != 32
    return entry.value[:1] in (b"\0", b"\1") and entry.key == h(b"btree:", entry.value)


# -- trees ---------------------------------------------------------------------------------


class _Checked:
    """What was looked at already: versions share most of their trees."""

    def __init__(self) -> None:
        self.directories: set[tuple[bytes, str]] = set()
        self.files: set[tuple[bytes, str]] = set()


def _directory_rules(
    s: Subject, key: bytes, path: str, child: Child | None, checked: _Checked
) -> Iterator[str]:
    if (key, path) in checked.directories:
        return
    checked.directories.add((key, path))
    entry = s.oracle.need(key, DIRECTORY, f"at {path}")
    if not is_content_directory(entry) and path not in SYSTEM_ROOTS:
        yield f"{path}: its hash is not the address of its content"
    if child is not None and child.size != len(entry.value):
        yield f"{path}: listed with {child.size} bytes, has {len(entry.value)}"
    node = s.oracle.node(key, f"at {path}")
    children = list(_node_rules(s, node, path, checked))
    found = [item for item in children if isinstance(item, Child)]
    yield from (item for item in children if isinstance(item, str))
    if node.form == "flat" and len(found) > FLAT_LIMIT:
        yield f"{path}: a flat listing of {len(found)}"
    if node.form != "flat" and not found:
        yield f"{path}: an empty B-tree"
    names = [item.name for item in found]
    if len(set(names)) != len(names):
        yield f"{path}: a name stands twice"
    for item in found:
        yield from _child_rules(s, item, path.rstrip("/") + "/" + item.name, checked)


def _node_rules(s: Subject, node: Node, path: str, checked: _Checked) -> Iterator[Child | str]:
    """The children of a directory in their order, and what is wrong with its B-tree's shape."""
    if node.form == "flat":
        yield from node.children
        return
    depths: set[int] = set()
    stack: list[tuple[Node, int, str | None, str | None]] = [(node, 0, None, None)]
    while stack:
        here, depth, low, high = stack.pop()
        names = [c.name for c in here.children] if here.form == "leaf" else here.names
        raw = [name.encode() for name in names]
        if raw != sorted(set(raw)):
            yield f"{path}: a B-tree node is not sorted"
        if (low is not None and raw and raw[0] < low.encode()) or (
            high is not None and raw and raw[-1] >= high.encode()
        ):
            yield f"{path}: a B-tree node reaches over its separators"
        if here.form == "leaf":
            depths.add(depth)
            if not 1 <= len(names) <= LEAF_LIMIT:
                yield f"{path}: a leaf of {len(names)}"
            yield from here.children
            continue
        if len(names) > INTERNAL_LIMIT:
            yield f"{path}: an internal node of {len(names)} keys"
        edges = [low, *names, high]
        below = []
        for i, key in enumerate(here.nodes):
            entry = s.oracle.need(key, DIRECTORY, f"below {path}")
            if entry.key != h(b"btree:", entry.value) or len(entry.value) == 32:
                yield f"{path}: a B-tree node's key is not its address"
            inner = directory_node(entry.value)
            if inner.form == "flat":
                yield f"{path}: a flat listing inside a B-tree"
            below.append((inner, depth + 1, edges[i], edges[i + 1]))
        stack.extend(reversed(below))
    if len(depths) > 1:
        yield f"{path}: leaves at the depths {sorted(depths)}"


def _child_rules(s: Subject, child: Child, path: str, checked: _Checked) -> Iterator[str]:
    name = child.name
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        yield f"{path}: illegal name {name!r}"
    if path in SYSTEM_ROOTS[:2]:
        yield f"{path}: system data in a listing"
    if child.type == DIRECTORY:
        yield from _directory_rules(s, child.hash, path, child, checked)
        return
    if (child.hash, path) in checked.files:
        return
    checked.files.add((child.hash, path))
    if child.type == SYMLINK:
        link = s.oracle.symlink_record(child.hash, path)
        if link.path != path or link.identity_key != child.hash:
            yield f"{path}: holds the symlink record of {link.path}"
        return
    record = s.oracle.file_record(child.hash, path)
    if record.path != path or record.identity_key != child.hash:
        yield f"{path}: holds the record of {record.path}"
    if record.size != child.size or record.content_type != child.content_type:
        yield f"{path}: size or content type are not the record's"
    if s.ours and not s.taken_over and record.content_hash is None:
        yield f"{path}: a record without a content hash"
    s.oracle.content(record)


# -- path keys -----------------------------------------------------------------------------


def _path_key_rules(s: Subject) -> Iterator[str]:
    """A path key is live for each path at HEAD, says the same, and for no other path."""
    known: dict[bytes, str] = {path_key(DIRECTORY, path): path for path in ("/", *SYSTEM_ROOTS)}
    for top, root in s.oracle.system_roots.items():
        for place in s.oracle.walk(root, top):
            known[path_key(place.child.type, place.path)] = place.path
    if s.oracle.head != ZERO:
        said = _link_finding(s, "/", s.oracle.head)
        if said:
            yield said
        for place in s.oracle.walk(s.oracle.head):
            known[path_key(place.child.type, place.path)] = place.path
            said = _place_finding(s, place)
            if said:
                yield said
    for location in s.oracle.index.values():
        entry = s.oracle.entry_at(location)
        if is_path_entry(entry) and entry.key not in known:
            yield f"live path key without a path at HEAD: {_describe(entry)}"


def is_path_entry(entry: Entry) -> bool:
    """Whether an entry stands under a path key."""
    if entry.type == FILE:
        if is_task_record(entry.type, entry.version, entry.value):
            return False
        return entry.key == path_key(FILE, file_record(entry.value, entry.version).path)
    if entry.type == SYMLINK:
        return entry.key == path_key(SYMLINK, symlink_record(entry.value).path)
    return entry.type == DIRECTORY and not is_content_directory(entry)


def _describe(entry: Entry) -> str:
    if entry.type == FILE:
        return f"file {file_record(entry.value, entry.version).path}"
    if entry.type == SYMLINK:
        return f"symlink {symlink_record(entry.value).path}"
    return f"{TYPE_NAME[entry.type]} {entry.key.hex()} at {entry.offset}"


def _place_finding(s: Subject, place: Place) -> str | None:
    child, path = place.child, place.path
    if child.type == DIRECTORY:
        return _link_finding(s, path, child.hash)
    entry = s.oracle.entry(path_key(child.type, path))
    if entry is None or entry.type != child.type:
        return f"{path}: no path key"
    identity = s.oracle.need(child.hash, child.type, f"at {path}")
    if entry.value == identity.value:
        return None
    if child.type == SYMLINK:
        live = symlink_record(entry.value)
        same = live.identity_key == child.hash
    else:
        live = file_record(entry.value, entry.version)
        same = live.content == file_record(identity.value, identity.version).content
    # A touch rewrites the record under both keys; of an older version the listing's times count.
    if not same or (live.created, live.updated) != (child.created, child.updated):
        return f"{path}: the record under its path key is another one"
    return None


def _link_finding(s: Subject, path: str, key: bytes) -> str | None:
    """`dir:` holds a link to the content key, or (AeorDB's exports) a copy of the listing."""
    entry = s.oracle.entry(path_key(DIRECTORY, path))
    if entry is None or entry.type != DIRECTORY:
        return f"{path}: no path key"
    if entry.value == key or entry.value == s.oracle.need(key, DIRECTORY).value:
        return None
    return f"{path}: its path key leads to another directory"


# -- a scan says the same ------------------------------------------------------------------


def _rebuild_rules(s: Subject) -> Iterator[str]:
    """The index that AeorDB would rebuild from the log answers like the one that is kept."""
    assert s.tail
    kept, rebuilt = s.oracle.index, s.oracle.rebuild(s.tail.offset)
    for key, location in kept.items():
        if key not in rebuilt:
            yield f"{key.hex()} at {location.offset} is lost by a scan"
        elif rebuilt[key].offset != location.offset:
            one, two = s.oracle.entry_at(location), s.oracle.entry_at(rebuilt[key])
            if (one.type, one.value, one.compression) != (two.type, two.value, two.compression):
                yield f"{key.hex()}: a scan finds {two.offset}, the index {location.offset}"
    for key, location in rebuilt.items():
        if key in kept or location.kv & 15 in (KV_TYPE[VOID], KV_TYPE[CHUNK], KV_TYPE[DELETION]):
            continue
        entry = s.oracle.entry_at(location)
        if entry.type in (SNAPSHOT, FORK):
            yield f"a scan brings back the {TYPE_NAME[entry.type]} at {entry.offset}"
        elif is_path_entry(entry):
            yield f"a scan brings back {_describe(entry)}"
