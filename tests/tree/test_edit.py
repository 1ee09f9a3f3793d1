"""TreeEdit against a dict of paths, and the entries under path keys against the log's rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.errors import (
    AeorDBError,
    DamagedError,
    ExistsError,
    NotFoundError,
    PathError,
    UsageError,
)
from aeordb.format import constants as c
from aeordb.format.keys import file_identity_key
from aeordb.format.nodes import Child
from aeordb.format.records import FileRecord, SymlinkRecord
from aeordb.tree.directory import EMPTY, list_children
from aeordb.tree.edit import TreeEdit
from aeordb.tree.paths import TreePath, parse_path
from aeordb.tree.relocate import read_symlink
from aeordb.tree.walk import find, walk
from tests.kit.layout import h
from tests.kit.values import deletion_record, path_key, raw_key
from tests.tree.fake import FakeEntry, FakeWriter

FILE, FOLDER, SYMLINK = c.KIND_FILE, c.KIND_DIRECTORY, c.KIND_SYMLINK


def put(edit: TreeEdit, writer: FakeWriter, path: str, content: bytes = b"1") -> Child:
    """What a put does: the record under its identity key, then the tree."""
    place = parse_path(path, file=True)
    old = edit.check_put(place)
    now = writer.now()
    chunks = h(b"chunk:", content) if content else b""
    created = now if old is None else old.created
    record = FileRecord(place, "text/plain", len(content), created, now, h(content), b"", chunks)
    key = file_identity_key(place, "text/plain", chunks)
    writer.append(c.ENTRY_FILE, key, record.encode(), version=1)
    name = place.rpartition("/")[2]
    child = Child(FILE, key, len(content), created, now, name, "text/plain", now)
    edit.put_child(place, child, record.encode())
    return child


def tree(writer: FakeWriter, root: bytes) -> dict[str, object]:
    """What the tree holds: path to (kind, content hash or target)."""
    found: dict[str, object] = {}
    for path, child in walk(writer, root, hidden=True):
        if child.kind == FILE:
            entry = writer.read_as(child.hash, c.ENTRY_FILE)
            record = FileRecord.decode(entry.value, entry.version)
            assert record.path == path
            assert file_identity_key(path, "text/plain", record.chunk_keys) == child.hash
            found[path] = (FILE, record.content_hash)
        elif child.kind == SYMLINK:
            found[path] = (SYMLINK, read_symlink(writer, child, path).target)
        else:
            entry = writer.read_as(child.hash, c.ENTRY_DIRECTORY)
            assert len(entry.value) == child.size
            found[path] = (FOLDER, None)
    return found


def check_path_keys(writer: FakeWriter, root: bytes) -> None:
    """The path keys are those of this root, in the index and in one rebuilt from the log."""
    wanted = {path_key(FOLDER, "/"): root}
    for path, child in walk(writer, root, hidden=True):
        wanted[path_key(child.kind, path)] = child.hash
    rebuilt: dict[bytes, FakeEntry] = {}
    for key, entry in writer.log:
        if entry.type == c.ENTRY_DELETION:
            record = deletion_record(entry.value)
            assert key == raw_key(f"del:{record.path}:{record.deleted}")
            for kind in (FILE, FOLDER, SYMLINK):
                rebuilt.pop(path_key(kind, record.path), None)
        else:
            rebuilt[key] = entry
    for index in (rebuilt, writer.live):
        found = {}
        for key, entry in index.items():
            identity = _path_entry(key, entry)
            if identity is not None:
                found[key] = identity
        assert found == wanted


def _path_entry(key: bytes, entry: FakeEntry) -> bytes | None:
    """What the entry under a path key leads to; None for an entry under another key."""
    if entry.type == c.ENTRY_DIRECTORY:
        return entry.value if len(entry.value) == c.HASH_LENGTH else None
    if entry.type == c.ENTRY_FILE:
        file = FileRecord.decode(entry.value, entry.version)
        if key == raw_key(f"file:{file.path}"):
            return file_identity_key(file.path, file.content_type, file.chunk_keys)
    if entry.type == c.ENTRY_SYMLINK:
        link = SymlinkRecord.decode(entry.value)
        if key == raw_key(f"symlink:{link.path}"):
            return h(f"symlinkid:{link.path}\0{link.target}".encode())
    return None


def path(text: str) -> TreePath:
    return parse_path(text)


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


@pytest.fixture
def base(writer: FakeWriter) -> bytes:
    """/a/b/one, /a/b/two, /a/three, /link, /empty"""
    edit = TreeEdit(writer, c.ZERO_HASH)
    for name in ("/a/b/one", "/a/b/two", "/a/three"):
        put(edit, writer, name, name.encode())
    edit.symlink(path("/link"), "a/three")
    edit.mkdir(path("/empty"))
    return edit.finish()


def test_a_new_tree_has_an_empty_root(writer: FakeWriter) -> None:
    edit = TreeEdit(writer, c.ZERO_HASH)
    assert list(edit.children(path("/"))) == []
    root = edit.finish()
    assert root == EMPTY
    assert writer.live[path_key(FOLDER, "/")].value == EMPTY


def test_an_empty_transaction_gives_the_same_root(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    appends = len(writer.log)
    edit.mkdir(path("/a/b"))
    assert edit.lookup(path("/a/b/one"))
    assert edit.finish() == base
    assert len(writer.log) == appends


def test_each_changed_folder_is_written_once(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    appends = len(writer.log)
    for number in range(200):
        put(edit, writer, f"/a/b/n{number}")
    root = edit.finish()
    check_path_keys(writer, root)
    new = [entry for _, entry in writer.log[appends:] if entry.type == c.ENTRY_DIRECTORY]
    assert len(new) == 2 * 3  # /a/b, /a and /: a listing and a link each
    names = [child.name for child in list_children(writer, root)]
    assert names == ["a", "empty", "link"]


def test_the_times_of_parents(writer: FakeWriter, base: bytes) -> None:
    """A change below sets `updated` up to the root; when a folder was made does not change."""
    before = dict(walk(writer, base))
    writer.clock = 5_000
    edit = TreeEdit(writer, base)
    put(edit, writer, "/a/b/one", b"changed")
    root = edit.finish()
    after = dict(walk(writer, root))
    for place in ("/a", "/a/b"):
        old, new = before[path(place)], after[path(place)]
        assert new.created == old.created < 5_000 < new.updated == new.virtual_time
    assert after[path("/a/b/one")].created == before[path("/a/b/one")].created
    for place in ("/a/b/two", "/a/three", "/empty", "/link"):
        assert before[path(place)] == after[path(place)]


def test_mkdir_can_set_times(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    edit.mkdir(path("/new/folder"), created=7, updated=8)
    edit.mkdir(path("/a"), updated=9)
    put(edit, writer, "/new/folder/x")
    root = edit.finish()
    child = find(writer, root, path("/new/folder"))
    assert child is not None
    assert (child.created, child.updated) == (7, 8)
    child = find(writer, root, path("/a"))
    assert child is not None
    assert child.updated == 9
    assert child.created > 1_000


def test_setting_the_times_that_are_there_changes_nothing(writer: FakeWriter, base: bytes) -> None:
    """A second put of the same folder sets the same times again: it must not make a version."""
    edit = TreeEdit(writer, base)
    child = edit.lookup(path("/a/b"))
    assert child is not None
    edit.mkdir(path("/a/b"), created=child.created, updated=child.updated)
    assert edit.finish() == base
    edit.mkdir(path("/a/b"), updated=9)
    changed = edit.finish()
    assert changed != base
    after = find(writer, changed, path("/a/b"))
    assert after == child._replace(updated=9, virtual_time=after.virtual_time if after else 0)


def test_all_folders_above_a_change_get_one_time(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    put(edit, writer, "/a/b/c/d/e")
    root = edit.finish()
    above = [find(writer, root, path(text)) for text in ("/a", "/a/b", "/a/b/c", "/a/b/c/d")]
    assert len({(child.updated, child.virtual_time) for child in above if child}) == 1


def test_a_record_without_a_content_hash_gets_one_when_it_moves(writer: FakeWriter) -> None:
    """Version 0 of file records lacks it (FORMAT.md 3.1), and version 1 cannot be without."""
    chunk = h(b"chunk:", b"old")
    writer.append(c.ENTRY_CHUNK, chunk, b"old")
    new = FileRecord("/old", "text/plain", 3, 1, 2, h(b"old"), b"{}", chunk)
    # Version 0 is version 1 less the 32 bytes behind the times.
    at = len(new.encode()) - 32 - 4 - 2 - 4 - 32
    value = new.encode()[:at] + new.encode()[at + 32 :]
    key = file_identity_key("/old", "text/plain", chunk)
    assert FileRecord.decode(value, 0).content_hash is None
    writer.append(c.ENTRY_FILE, key, value, version=0)
    edit = TreeEdit(writer, c.ZERO_HASH)
    edit.put_child(path("/old"), Child(FILE, key, 3, 1, 2, "old", "text/plain"))
    edit.move(path("/old"), path("/new"))
    child = find(writer, edit.finish(), path("/new"))
    assert child is not None
    entry = writer.read_as(child.hash, c.ENTRY_FILE)
    moved = FileRecord.decode(entry.value, entry.version)
    assert moved == FileRecord("/new", "text/plain", 3, 1, 2, h(b"old"), b"{}", chunk)


def test_a_damaged_folder_is_never_half_written(writer: FakeWriter, base: bytes) -> None:
    """A seal that fails leaves the folder open: no commit can hold its place without a hash."""
    child = find(writer, base, path("/a/b"))
    assert child is not None
    edit = TreeEdit(writer, base)
    put(edit, writer, "/a/b/new/file")
    # With a second edit the listing that was looked at before is read again.
    put(edit, writer, "/a/b/other")
    lost = writer.live.pop(child.hash)
    for call in (lambda: edit.seal(path("/a")), edit.finish, edit.finish):
        with pytest.raises(DamagedError) as caught:
            call()
        assert caught.value.path == "/a/b"
    writer.live[child.hash] = lost
    root = edit.finish()
    check_path_keys(writer, root)
    assert "/a/b/new/file" in tree(writer, root)


def test_a_damaged_record_stays_where_it_is(writer: FakeWriter, base: bytes) -> None:
    for name, entry_type in (("/a/b/one", c.ENTRY_FILE), ("/link", c.ENTRY_SYMLINK)):
        child = find(writer, base, path(name))
        assert child is not None
        writer.append(entry_type, child.hash, b"nonsense", version=entry_type == c.ENTRY_FILE)
        edit = TreeEdit(writer, base)
        with pytest.raises(DamagedError) as caught:
            edit.move(path(name), path("/x"))
        assert caught.value.path == name
        assert caught.value.key == child.hash
        assert edit.finish() == base


def test_lookup_sees_the_edits(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    child = put(edit, writer, "/a/b/new")
    assert edit.lookup(path("/a/b/new")) == child
    edit.delete(path("/a/b/one"))
    assert edit.lookup(path("/a/b/one")) is None
    assert edit.lookup(path("/a/b/one/below")) is None
    assert edit.lookup(path("/a/three/below")) is None
    assert edit.lookup(path("/link/three")) is None
    put(edit, writer, "/x/y/z")
    folder = edit.lookup(path("/x/y"))
    assert folder is not None
    assert folder.kind == FOLDER
    names = [child.name for child in edit.children(path("/a/b"))]
    assert names == ["new", "two"]
    assert [child.name for child in edit.children(path("/"))] == ["a", "empty", "link", "x"]
    with pytest.raises(NotFoundError):
        list(edit.children(path("/nowhere")))
    with pytest.raises(PathError):
        list(edit.children(path("/link")))


def test_what_a_put_refuses(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    with pytest.raises(ExistsError):
        put(edit, writer, "/a/b")
    for place in ("/a/three/x", "/a/three/x/y", "/link/x"):
        with pytest.raises(PathError, match="not a folder"):
            put(edit, writer, place)
        with pytest.raises(PathError, match="not a folder"):
            edit.mkdir(path(place))
    for place in ("/.aeordb-system", "/.aeordb-config/x", "/.aeordb-system/users/y"):
        with pytest.raises(PathError, match="system"):
            edit.symlink(path(place), "x")
        with pytest.raises(PathError, match="system"):
            edit.mkdir(path(place))
        with pytest.raises(PathError, match="system"):
            edit.delete(path(place), recursive=True)
    with pytest.raises(ExistsError):
        edit.mkdir(path("/a/three"))
    for target in ("", "a\0b", "\udc80", "x" * 65_536):
        with pytest.raises(PathError):
            edit.symlink(path("/l"), target)
    with pytest.raises(ValueError, match="no file or symlink"):
        edit.put_child(path("/q"), Child(FILE, b"k" * 32, 0, 0, 0, "other"))
    put(edit, writer, "/a/.aeordb-config/indexes.json")  # below the root: an ordinary path
    edit.delete(path("/a/.aeordb-config"), recursive=True)
    assert tree(writer, edit.finish()) == tree(writer, base)


def test_what_a_delete_refuses(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    with pytest.raises(NotFoundError):
        edit.delete(path("/nowhere"))
    with pytest.raises(NotFoundError):
        edit.delete(path("/a/three/x"))
    with pytest.raises(UsageError, match="not empty"):
        edit.delete(path("/a"))
    with pytest.raises(PathError):
        edit.delete(path("/"), recursive=True)
    assert edit.finish() == base
    assert edit.delete(path("/empty")) == 1
    put(edit, writer, "/a/.aeordb-indexes/x")
    edit.delete(path("/a/three"))
    edit.delete(path("/a/b/one"))
    edit.delete(path("/a/b/two"))
    edit.delete(path("/a/b"))
    assert edit.delete(path("/a")) == 3  # nothing but hidden names was left in it
    root = edit.finish()
    assert [str(place) for place, _ in walk(writer, root)] == ["/link"]
    check_path_keys(writer, root)


def test_a_deleted_folder_leaves_a_deletion_for_each_path(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    put(edit, writer, "/a/b/late")
    appends = len(writer.log)
    assert edit.delete(path("/a"), recursive=True) == 6
    gone = [
        deletion_record(entry.value).path
        for _, entry in writer.log[appends:]
        if entry.type == c.ENTRY_DELETION
    ]
    assert sorted(gone) == ["/a", "/a/b", "/a/b/late", "/a/b/one", "/a/b/two", "/a/three"]
    put(edit, writer, "/a/b/one", b"again")
    root = edit.finish()
    check_path_keys(writer, root)
    assert set(tree(writer, root)) == {"/a", "/a/b", "/a/b/one", "/empty", "/link"}


def test_kinds_may_change(writer: FakeWriter, base: bytes) -> None:
    """A file takes a symlink's place and back; a folder's place only once that is gone."""
    edit = TreeEdit(writer, base)
    put(edit, writer, "/link", b"file now")
    edit.symlink(path("/a/three"), "b")
    edit.delete(path("/a/b"), recursive=True)
    put(edit, writer, "/a/b", b"file now")
    edit.delete(path("/a/b"))
    put(edit, writer, "/a/b/c", b"folder again")
    edit.delete(path("/empty"))
    edit.symlink(path("/empty"), "/a")
    root = edit.finish()
    check_path_keys(writer, root)
    assert tree(writer, root) == {
        "/a": (FOLDER, None),
        "/a/b": (FOLDER, None),
        "/a/b/c": (FILE, h(b"folder again")),
        "/a/three": (SYMLINK, "b"),
        "/empty": (SYMLINK, "/a"),
        "/link": (FILE, h(b"file now")),
    }


def test_a_file_stored_before_its_put_outlives_the_deletion_of_a_symlink(
    writer: FakeWriter, base: bytes
) -> None:
    """The bulk path appends both records first; the deletion that follows must not hide them."""
    edit = TreeEdit(writer, base)
    record = FileRecord("/link", "text/plain", 0, 1, 1, h(b""), b"", b"")
    key = file_identity_key("/link", "text/plain", b"")
    for each in (key, path_key(FILE, "/link")):
        writer.append(c.ENTRY_FILE, each, record.encode(), version=1)
    edit.put_child(path("/link"), Child(FILE, key, 0, 1, 1, "link", "text/plain"))
    check_path_keys(writer, edit.finish())


def test_a_move_rewrites_every_path(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    put(edit, writer, "/a/b/late", b"late")
    edit.symlink(path("/a/b/down"), "one")
    before = {child.name: child for child in edit.children(path("/a/b"))}
    edit.move(path("/a"), path("/far/away/z"))
    edit.move(path("/link"), path("/a"))
    root = edit.finish()
    check_path_keys(writer, root)
    assert tree(writer, root) == {
        "/a": (SYMLINK, "a/three"),
        "/empty": (FOLDER, None),
        "/far": (FOLDER, None),
        "/far/away": (FOLDER, None),
        "/far/away/z": (FOLDER, None),
        "/far/away/z/b": (FOLDER, None),
        "/far/away/z/b/down": (SYMLINK, "one"),
        "/far/away/z/b/late": (FILE, h(b"late")),
        "/far/away/z/b/one": (FILE, h(b"/a/b/one")),
        "/far/away/z/b/two": (FILE, h(b"/a/b/two")),
        "/far/away/z/three": (FILE, h(b"/a/three")),
    }
    for place, child in walk(writer, root, path("/far/away/z/b")):
        old = before[child.name]
        assert (child.created, child.updated) == (old.created, old.updated), place


def test_what_a_move_refuses_and_replaces(writer: FakeWriter, base: bytes) -> None:
    edit = TreeEdit(writer, base)
    with pytest.raises(NotFoundError):
        edit.move(path("/nowhere"), path("/x"))
    with pytest.raises(PathError, match="inside"):
        edit.move(path("/a"), path("/a/b/c"))
    with pytest.raises(PathError):
        edit.move(path("/"), path("/x"))
    with pytest.raises(ExistsError):
        edit.move(path("/a/b"), path("/empty"))
    with pytest.raises(ExistsError):
        edit.move(path("/link"), path("/empty"))
    with pytest.raises(PathError, match="not a folder"):
        edit.move(path("/empty"), path("/link/x"))
    with pytest.raises(PathError, match="system"):
        edit.move(path("/a"), path("/.aeordb-config/x"))
    deep = path("/d" * 999)
    with pytest.raises(PathError, match="parts"):
        edit.move(path("/a"), deep)
    with pytest.raises(PathError, match="bytes"):
        edit.move(path("/a"), path("/" + "n" * 65_530))
    edit.move(path("/a"), path("/a"))
    assert edit.finish() == base
    edit.move(path("/a/b/one"), path("/link"))
    root = edit.finish()
    check_path_keys(writer, root)
    assert tree(writer, root)["/link"] == (FILE, h(b"/a/b/one"))


def test_a_damaged_move_spoils_the_transaction(writer: FakeWriter, base: bytes) -> None:
    child = find(writer, base, path("/a/b/two"))
    assert child is not None
    del writer.live[child.hash]
    edit = TreeEdit(writer, base)
    with pytest.raises(DamagedError) as caught:
        edit.move(path("/a"), path("/z"))
    assert caught.value.path == "/a/b/two"
    with pytest.raises(UsageError):
        edit.finish()


def test_sealing_keeps_only_the_open_branch(writer: FakeWriter, base: bytes) -> None:
    plain, sealed = TreeEdit(writer, base), TreeEdit(writer, base)
    for number in range(300):
        writer.clock = 10_000
        put(plain, writer, f"/a/d{number}/x/y")
        put(sealed, writer, f"/a/d{number}/x/y")
        sealed.seal(path(f"/a/d{number}"))
        assert len(sealed._tree.open) == 2
    writer.clock = 10_000
    root = sealed.finish()
    check_path_keys(writer, root)
    assert tree(writer, root) == tree(writer, plain.finish())
    put(sealed, writer, "/a/d7/x/z")
    sealed.seal(path("/a"))
    put(sealed, writer, "/a/d7/x/zz")
    sealed.seal(path("/"))
    assert len(sealed._tree.open) == 1
    sealed.seal(path("/nowhere"))
    root = sealed.finish()
    assert {"/a/d7/x/y", "/a/d7/x/z", "/a/d7/x/zz"} <= set(tree(writer, root))


def test_the_deepest_path(writer: FakeWriter) -> None:
    edit = TreeEdit(writer, c.ZERO_HASH)
    deep = "/d" * 999
    put(edit, writer, deep + "/file")
    edit.mkdir(path("/e" * 1_000))
    root = edit.finish()
    assert sum(1 for _ in walk(writer, root)) == 2_000
    edit.move(path("/d/d"), path("/f"))
    edit.delete(path("/e"), recursive=True)
    root = edit.finish()
    check_path_keys(writer, root)
    assert find(writer, root, path("/f" + "/d" * 997 + "/file"))


@dataclass
class Model:
    """Paths to (kind, content hash or target); the root is not in it."""

    paths: dict[str, tuple[int, object]] = field(default_factory=dict)

    def parent_fault(self, place: str) -> bool:
        above = place.rpartition("/")[0]
        while above:
            if above in self.paths:
                return self.paths[above][0] != FOLDER
            above = above.rpartition("/")[0]
        return False

    def parents(self, place: str) -> None:
        above = place.rpartition("/")[0]
        while above:
            self.paths.setdefault(above, (FOLDER, None))
            above = above.rpartition("/")[0]

    def below(self, place: str) -> list[str]:
        return [key for key in self.paths if key == place or key.startswith(place + "/")]

    def kind(self, place: str) -> int | None:
        return self.paths[place][0] if place in self.paths else None

    def put(self, place: str, value: tuple[int, object]) -> bool:
        if self.parent_fault(place) or self.kind(place) == FOLDER:
            return False
        self.parents(place)
        self.paths[place] = value
        return True

    def mkdir(self, place: str) -> bool:
        if self.parent_fault(place) or self.kind(place) not in (None, FOLDER):
            return False
        self.parents(place + "/")
        return True

    def delete(self, place: str, recursive: bool) -> bool:
        below = self.below(place)
        if not below or (len(below) > 1 and not recursive):
            return False
        for key in below:
            del self.paths[key]
        return True

    def move(self, source: str, target: str) -> bool:
        if source not in self.paths:
            return False
        if source == target:
            return True
        folder = self.kind(source) == FOLDER
        taken = self.kind(target)
        if target.startswith(source + "/") or self.parent_fault(target) or taken == FOLDER:
            return False
        if folder and taken is not None:
            return False
        moved = {target + key[len(source) :]: self.paths[key] for key in self.below(source)}
        self.delete(source, True)
        self.parents(target)
        self.paths.update(moved)
        return True


places = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(
    lambda names: "/" + "/".join(names)
)
steps = st.one_of(
    st.tuples(st.just("put"), places, st.binary(max_size=2)),
    st.tuples(st.just("symlink"), places, st.sampled_from(["a", "/b"])),
    st.tuples(st.just("mkdir"), places, st.none()),
    st.tuples(st.just("delete"), places, st.booleans()),
    st.tuples(st.just("move"), places, places),
    st.tuples(st.just("seal"), places, st.none()),
    st.tuples(st.just("finish"), st.none(), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=30))
def test_any_verbs_are_like_a_dict_of_paths(script: list[tuple[str, str, object]]) -> None:
    writer, model = FakeWriter(), Model()
    edit = TreeEdit(writer, c.ZERO_HASH)
    for verb, place, what in [*script, ("finish", "", None)]:
        if verb == "finish":
            root = edit.finish()
            assert tree(writer, root) == model.paths
            check_path_keys(writer, root)
            assert edit.finish() == root
            continue
        try:
            if verb == "put":
                put(edit, writer, place, what)
            elif verb == "symlink":
                edit.symlink(path(place), what)
            elif verb == "mkdir":
                edit.mkdir(path(place))
            elif verb == "delete":
                edit.delete(path(place), recursive=what)
            elif verb == "move":
                edit.move(path(place), path(what))
            else:
                edit.seal(path(place))
            done = True
        except AeorDBError:
            done = False
        if verb == "put":
            assert done == model.put(place, (FILE, h(what)))
        elif verb == "symlink":
            assert done == model.put(place, (SYMLINK, what))
        elif verb == "mkdir":
            assert done == model.mkdir(place)
        elif verb == "delete":
            assert done == model.delete(place, what)
        elif verb == "move":
            assert done == model.move(place, what)
        for known in {place, place.rpartition("/")[0] or "/a"}:
            child = edit.lookup(path(known))
            assert (None if child is None else child.kind) == model.kind(known)
