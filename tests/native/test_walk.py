"""Walks against a plain one: on AeorDB's files, on trees made up to do harm, with any workers."""

import random
import threading
import time
from collections.abc import Callable

import pytest

import aeordb
from aeordb.format.errors import FormatError
from aeordb.format.nodes import Listing, decode_node, encode_internal
from aeordb.native.carry import Image, Plan
from aeordb.native.faults import PageFault, WalkFault
from aeordb.native.index import Index
from aeordb.native.map import Map
from aeordb.native.walk import PLACE, Marks, Walk, Walker, count_places, list_places
from aeordb.tree.paths import stored_name_fault
from tests.kit.backups import path_keys, reach
from tests.kit.fixtures import COMPLETE, fixture_path
from tests.kit.hostile import raw_child
from tests.kit.layout import DIRECTORY as KIND_DIRECTORY
from tests.kit.oracle import Oracle
from tests.native import bits
from tests.native.trees import CHUNK, DIRECTORY, FILE, SYMLINK, Forest, child


def walked(index: Index, root: bytes, workers: int = 1) -> tuple[Marks, Marks]:
    """Everything below a root, and the folders among it."""
    marks, folders = Marks(index), Marks(index)
    walk = Walk(index, marks, folders, workers=workers)
    walk.add(DIRECTORY, root)
    errors: list[BaseException] = []

    def work() -> None:
        walker = Walker(walk)
        try:
            while walker.run(7):
                pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return marks, folders


def keys_of(index: Index, marks: Marks) -> list[bytes]:
    """The keys behind the marks, in the order of their offsets."""
    plan, image = Plan(index, marks), Image()
    if not plan.count:
        return []
    plan.carry(plan.window(0, 1 << 40), image)
    return [key for key, _ in bits.split(bytes(image.index_records()))]


def fault(call: Callable[[], object]) -> tuple[int, bytes]:
    with pytest.raises(WalkFault) as caught:
        call()
    return caught.value.code, caught.value.key


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("name", COMPLETE)
def test_aeordbs_files(name: str, workers: int) -> None:
    oracle = Oracle(fixture_path(name))
    with aeordb.open(fixture_path(name), "r") as db:
        index = db.reader().index
        for root in (db.head, *oracle.snapshots.values()):
            marks, folders = walked(index, root, workers)
            found = keys_of(index, marks)
            assert set(found) == set(reach(oracle, root))
            assert len(found) == len(set(found)) == len(marks)
            places = path_keys(oracle, root)
            hashes = {hash_ for _, hash_ in places.values()}
            kinds = [oracle.need(key, oracle.entry(key).type).type for key in hashes]  # type: ignore[union-attr]
            assert len(folders) == kinds.count(KIND_DIRECTORY)


@pytest.mark.parametrize("name", COMPLETE)
def test_places(name: str) -> None:
    oracle = Oracle(fixture_path(name))
    with aeordb.open(fixture_path(name), "r") as db:
        index = db.reader().index
        expected = {
            key: hash_
            for key, (_, hash_) in path_keys(oracle, db.head).items()
            if oracle.need(hash_, oracle.entry(hash_).type).type == KIND_DIRECTORY  # type: ignore[union-attr]
        }
        rows = b"".join(list_places(index, db.head))
        count = len(rows) // PLACE
        assert count == count_places(index, db.head, limit=count) == len(expected)
        for at in range(0, len(rows), PLACE):
            key, hash_ = rows[at : at + 32], rows[at + 32 : at + 64]
            assert expected.pop(key) == hash_
            stamp = int.from_bytes(rows[at + 64 : at + PLACE], "little")
            assert stamp == oracle.need(hash_, KIND_DIRECTORY).time
        assert not expected
        assert fault(lambda: count_places(index, db.head, limit=count - 1))[0] == -55


def small() -> tuple[Forest, bytes]:
    f = Forest()
    chunks = [f.chunk(b"%d" % i) for i in range(5)]
    leaves = [
        f.leaf(*(child(FILE, f"{n}{i}", f.file(f"/t/{n}{i}", chunks[i])) for i in range(3)))
        for n in "abc"
    ]
    tree = f.internal(["b0", "c0"], leaves)
    inner = f.folder(child(SYMLINK, "s", f.symlink("/i/s")), child(FILE, "e", f.file("/i/e")))
    root = f.folder(child(DIRECTORY, "t", tree), child(DIRECTORY, "i", inner))
    f.chunk(b"not reached")
    f.file("/not/reached")
    return f, root


@pytest.mark.parametrize("pages", [0, 1, 3])
def test_made_up_tree(pages: int) -> None:
    f, root = small()
    index = f.index(pages)
    marks, folders = walked(index, root)
    # 2 of the 5 chunks are in no file.
    assert len(marks) == len(f.entries) - 4
    assert len(folders) == 3
    assert len(keys_of(index, marks)) == len(marks)


def outcome(index: Index, root: bytes) -> tuple[int, bytes] | None:
    try:
        walked(index, root)
    except WalkFault as caught:
        return caught.code, caught.key
    return None


@pytest.mark.parametrize("pages", [0, 2])
def test_what_is_missing_or_of_another_type(pages: int) -> None:
    reached = set(keys_of(small()[0].index(), walked(small()[0].index(), small()[1])[0]))
    for key in small()[0].entries:
        f, root = small()
        kind = f.kinds[key]
        del f.entries[key]
        assert outcome(f.index(pages), root) == ((-50, key) if key in reached else None)
        f.put(7, b"", key)
        assert outcome(f.index(pages), root) == ((-51, key) if key in reached else None)
        # The index says what it should be, the entry does not; of chunks the walk reads nothing.
        f.kinds[key] = kind
        read = key in reached and kind != bits.KV_TYPE[CHUNK]
        assert outcome(f.index(pages), root) == ((-51, key) if read else None)


def test_a_flipped_bit_in_a_node_or_record() -> None:
    f, root = small()
    reached = set(keys_of(f.index(), walked(f.index(), root)[0]))
    for key, entry in list(f.entries.items()):
        if key not in reached or f.kinds[key] == bits.KV_TYPE[CHUNK]:
            continue
        f.entries[key] = entry[:-1] + bytes([entry[-1] ^ 1])
        assert fault(lambda: walked(f.index(2), root, 2)) == (-26, key)
        f.entries[key] = entry


def test_shared_folders_are_walked_once() -> None:
    """40 levels of two names for one folder are 2^40 places, and 41 entries."""
    f = Forest()
    key = f.folder()
    for _ in range(40):
        key = f.folder(child(DIRECTORY, "a", key), child(DIRECTORY, "b", key))
    index = f.index()
    assert [len(marks) for marks in walked(index, key, 3)] == [41, 41]
    assert fault(lambda: count_places(index, key, limit=50_000))[0] == -55


def test_loops_end() -> None:
    f = Forest()
    one, two, tree = (bits.key_of(name) for name in ("one", "two", "tree"))
    f.folder(child(DIRECTORY, "n" * 60_000, two), key=one)
    f.folder(child(DIRECTORY, "b", one), child(DIRECTORY, "t", tree), key=two)
    f.internal([], [tree], key=tree)
    index = f.index()
    assert len(walked(index, one)[0]) == 3
    assert fault(lambda: count_places(index, one, limit=1 << 40))[0] in (-52, -53, -54)
    assert fault(lambda: count_places(index, tree, limit=1 << 40))[0] in (-52, -53)


def test_depth_is_limited() -> None:
    f = Forest()
    roots = [f.folder()]
    for _ in range(1_001):
        roots.append(f.folder(child(DIRECTORY, "d", roots[-1])))
    index = f.index()
    assert len(walked(index, roots[1_000], 2)[0]) == 1_001
    assert count_places(index, roots[1_000], limit=2_000) == 1_001
    assert fault(lambda: walked(index, roots[1_001]))[0] == -52
    assert fault(lambda: count_places(index, roots[1_001], limit=2_000))[0] == -52


def test_heights_and_forms_of_b_trees() -> None:
    f = Forest()
    leaf = f.leaf(child(SYMLINK, "a", f.symlink("/a")))
    trees = [leaf]
    for _ in range(33):
        trees.append(f.internal([], [trees[-1]]))
    flat = f.internal(["x"], [leaf, f.folder(child(SYMLINK, "y", f.symlink("/y")))])
    index = f.index()
    assert len(walked(index, trees[32])[0]) == 34
    assert count_places(index, trees[32], limit=9) == 1
    for root in (trees[33], flat):
        assert fault(lambda root=root: walked(index, root))[0] == -53  # type: ignore[misc]
        assert fault(lambda root=root: count_places(index, root, limit=9))[0] == -53  # type: ignore[misc]


def test_names_that_no_path_may_hold() -> None:
    f = Forest()
    empty = f.folder()
    for name in ("", ".", "..", "a/b", "a\0b"):
        root = f.folder(child(DIRECTORY, name, empty))
        assert fault(lambda root=root: count_places(f.index(), root, limit=9)) == (-54, root)  # type: ignore[misc]
    long = f.folder(child(DIRECTORY, "n" * 40_000, f.folder(child(DIRECTORY, "n" * 40_000, empty))))
    assert fault(lambda: count_places(f.index(), long, limit=9))[0] == -54


def strict(index: Index, root: bytes) -> Walk:
    walk = Walk(index, Marks(index), strict=True)
    walk.add(DIRECTORY, root)
    walk.run()
    return walk


def reading_refuses(value: bytes) -> int:
    """The code for what the readers in Python say of a listing."""
    try:
        node = decode_node(value)
    except FormatError as error:
        return -54 if "empty name" in str(error) else -57
    assert isinstance(node, Listing)
    names = [child.name for child in node.children]
    if any(map(stored_name_fault, names)):
        return -54
    return -58 if len(set(names)) < len(names) else 0


@pytest.mark.parametrize("seed", range(20))
def test_a_strict_walk_refuses_what_reading_refuses(seed: int) -> None:
    """Also the odd ends of UTF-8: longer than need be, surrogates, behind the last character."""
    rng = random.Random(seed)
    two_or_three = "c080 c1bf e09fbf ed9fbf eda080 ee8080 c2 e180 c39f e180c0"
    four_or_none = "f08fbfbf f0908080 f48fbfbf f4908080 f5 f18080 80 ff"
    odd = [bytes.fromhex(text) for text in f"{two_or_three} {four_or_none}".split()]
    odd += [b"", b".", b"..", b"...", b"a/b", b"a\0"]
    f = Forest()
    empty = f.folder()
    seen = set()
    for _ in range(60):
        texts = [b"%d" % rng.randrange(40) for _ in range(rng.randrange(1, 12))]
        kinds = [b""] * len(texts)
        at, choice = rng.randrange(len(texts)), rng.random()
        if choice < 0.6:
            texts[at] = rng.choice(odd) + rng.choice([b"", b"x"])
        elif choice < 0.7:
            kinds[at] = rng.choice(odd)
        rows = zip(texts, kinds, strict=True)
        value = b"".join(raw_child(DIRECTORY, empty, name, kind) for name, kind in rows)
        root = f.put(DIRECTORY, value)
        expected = reading_refuses(value)
        seen.add(expected)
        if expected:
            assert fault(lambda root=root: strict(f.index(), root)) == (expected, root)  # type: ignore[misc]
        else:
            strict(f.index(), root)
        assert len(walked(f.index(), root)[0]) == 2, "else it is none of the walk's business"
    assert seen == {0, -54, -57, -58}


def test_texts_of_separators_and_records() -> None:
    f = Forest()
    leaf = f.leaf(child(SYMLINK, "a", f.symlink("/a")))
    separated = f.put(DIRECTORY, encode_internal(["m"], [leaf, leaf]).replace(b"m", b"\xff"))
    assert fault(lambda: strict(f.index(), separated)) == (-57, separated)
    for kind, key in (
        (FILE, f.put(FILE, b"\2\0/\xff" + bytes(2 + 24 + 32 + 8), version=1)),
        (FILE, f.put(FILE, b"\1\0/" + b"\1\0\xff" + bytes(24 + 32 + 8), version=1)),
        (SYMLINK, f.put(SYMLINK, b"\1\0/" + b"\1\0\xff" + bytes(16))),
    ):
        root = f.folder(child(kind, "a", key))
        walked(f.index(), root)
        assert fault(lambda root=root: strict(f.index(), root)) == (-57, key)  # type: ignore[misc]


def test_malformed_values_are_faults() -> None:
    f = Forest()
    for value in (b"\2", b"\x05" + bytes(80), b"\0\1\0", b"\1\xff\xff", bytes(32)):
        key = f.put(DIRECTORY, value)
        assert fault(lambda key=key: walked(f.index(), key))[1] == key  # type: ignore[misc]
        assert fault(lambda key=key: count_places(f.index(), key, limit=9))[1] == key  # type: ignore[misc]
    record = f.put(FILE, b"\xff\xff" + bytes(70), version=1)
    counts = f.put(FILE, bytes(2 + 2 + 24 + 32 + 4) + b"\xff\xff\xff\xff", version=1)
    for key in (record, counts):
        root = f.folder(child(FILE, "f", key))
        assert fault(lambda root=root: walked(f.index(), root))[1] == key  # type: ignore[misc]


def test_roots_alone_and_of_other_types() -> None:
    f, root = small()
    index = f.index(1)
    marks = Marks(index)
    walk = Walk(index, marks)
    walk.add(DIRECTORY, root, alone=True)
    walk.run()
    assert keys_of(index, marks) == [root]
    records = Walk(index, marks)
    records.add(FILE, f.file("/t/a0", f.chunk(b"0")) * 2)
    records.run()
    assert len(marks) == 3
    with pytest.raises(ValueError, match="32 bytes"):
        walk.add(FILE, b"short")


def test_marks_as_sets() -> None:
    f, root = small()
    index = f.index(2)
    marks, folders = walked(index, root)
    rest = Marks(index)
    rest.add(marks)
    rest.remove(folders)
    assert len(rest) == len(marks) - len(folders)
    both = Marks(index)
    both.add(rest)
    both.add(folders)
    assert len(both) == len(marks)
    both.keep(folders)
    assert len(both) == 3


def test_a_walk_can_be_stopped() -> None:
    """One worker waits for another that never comes; stopping it lets it return."""
    f, root = small()
    walk = Walk(f.index(), Marks(f.index()), workers=2)
    walk.add(DIRECTORY, root)
    done = []

    def work() -> None:
        walker = Walker(walk)
        while walker.run():
            pass
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    assert not done
    walk.stop()
    thread.join(10)
    assert done


def test_a_torn_page_is_read_again() -> None:
    f, root = small()
    index = f.index(1)
    raw = bytearray(index._alive[0])  # type: ignore[arg-type]
    good = bytes(raw)
    raw[10:600] = bytes(590)
    torn = Index(Map(raw), 0, 1, index.tables)

    def mend() -> None:
        time.sleep(0.02)
        raw[: len(good)] = good

    with pytest.raises(PageFault):
        walked(torn, root)
    thread = threading.Thread(target=mend)
    thread.start()
    assert len(walked(torn, root)[0]) == len(walked(index, root)[0])
    thread.join()
