"""Free ranges against a model of bytes: disjoint, best fit, and exactly covered by void entries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.storage.voids import VoidMap, clip_extents
from tests.kit.layout import VOID, MalformedError, read_entry

LEAST = c.VOID_MIN_LENGTH
BASE = 512


class Disk:
    """The bytes of a log and what each of them is: in use, or free (and what stands there)."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(b"\xdb" * size)
        self.free = bytearray(size)

    def write_pending(self, voids: VoidMap) -> None:
        for offset, header, zeros in voids.pending_writes():
            for at, length in zeros:
                assert all(self.free[at : at + length]), "zeros over bytes in use"
                self.data[at : at + length] = bytes(length)
            assert all(self.free[offset : offset + len(header)])
            self.data[offset : offset + len(header)] = header

    def check(self, voids: VoidMap) -> None:
        """The list is the model's free bytes; each range is one intact void entry."""
        listed = bytearray(len(self.free))
        last = -1
        for offset, length in voids.extents():
            assert offset >= last, "ranges overlap or are out of order"
            assert not any(listed[offset : offset + length])
            assert length >= LEAST
            listed[offset : offset + length] = b"\1" * length
            last = offset + length
        assert listed == self.free
        assert voids.total() == sum(self.free)
        for offset, length in voids.extents():
            entry = read_entry(bytes(self.data), offset)
            assert (entry.type, entry.total) == (VOID, length)
            assert entry.intact
            assert not any(entry.value)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 40), st.integers(LEAST, 900)),
        st.tuples(st.just("take"), st.just(0), st.integers(1, 700)),
        st.tuples(st.just("write"), st.just(0), st.just(0)),
        st.tuples(st.just("clip"), st.integers(0, 40), st.just(0)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(steps, st.booleans())
def test_free_ranges_are_what_a_model_of_bytes_says(
    steps: list[tuple[str, int, int]], merge: bool
) -> None:
    disk = Disk(BASE + 41_000)
    voids = VoidMap()
    floor = BASE
    for what, place, length in steps:
        if what == "add":
            start = BASE + place * 1000
            length = min(length, 1000)
            if start < floor or any(disk.free[start : start + length]):
                continue
            disk.free[start : start + length] = b"\1" * length
            voids.add(start, length, merge=merge)
        elif what == "take":
            before = voids.extents()
            at = voids.take(length)
            fits = [
                (size, offset)
                for offset, size in before
                if size == length or size >= length + LEAST
            ]
            exact = [offset for size, offset in fits if size == length]
            if at is None:
                assert not fits
                continue
            best = exact or [o for size, o in fits if size == min(fits)[0]]
            assert at in best
            assert all(disk.free[at : at + length])
            disk.free[at : at + length] = bytes(length)
            disk.data[at : at + length] = b"\xaa" * length
            assert (at, length) in voids.taken
        elif what == "write":
            disk.write_pending(voids)
            assert list(voids.pending_writes()) == []
            disk.check(voids)
        else:
            floor = max(floor, BASE + place * 1000 + 500)
            # A growth leaves room for a void entry in front of the first entry that stays.
            cut = [o for o, size in voids.extents() if o < floor < o + size]
            if any(voids_end - floor < LEAST for voids_end in _ends(voids, cut)):
                continue
            disk.free[:floor] = bytes(floor)
            voids.clip(floor)
    disk.write_pending(voids)
    disk.check(voids)


def _ends(voids: VoidMap, starts: list[int]) -> list[int]:
    return [offset + size for offset, size in voids.extents() if offset in starts]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 300_000), max_size=30))
def test_a_huge_range_is_taken_piece_by_piece(lengths: list[int]) -> None:
    """It is halved first, so that its hash is made once; nothing of it gets lost."""
    size = 3 << 20
    voids = VoidMap([(BASE, size)])
    got = []
    for length in lengths:
        at = voids.take(length)
        if at is not None:
            got.append((at, length))
    ranges = sorted(got + voids.extents())
    assert sum(length for _, length in ranges) == size
    end = BASE
    for offset, length in ranges:
        assert offset == end
        end += length
    assert all(length >= LEAST for _, length in voids.extents())


def test_what_an_abandoned_transaction_wrote_over_is_written_anew() -> None:
    disk = Disk(BASE + 5000)
    voids = VoidMap()
    for start, length in ((BASE, 1000), (BASE + 2000, 500), (BASE + 4000, 700)):
        disk.free[start : start + length] = b"\1" * length
        voids.add(start, length)
    disk.write_pending(voids)
    committed = voids.extents()
    at = voids.take(300)
    disk.data[at : at + 300] = b"\xaa" * 300
    unsettled = voids.unsettled()
    again = VoidMap(committed)
    again.unsettle(unsettled)
    disk.write_pending(again)
    disk.check(again)
    assert disk.data.count(b"\xaa") == 0


def test_ranges_of_unknown_bytes_are_all_written() -> None:
    disk = Disk(BASE + 1000)
    disk.free[BASE : BASE + 300] = b"\1" * 300
    known, unknown = VoidMap([(BASE, 300)]), VoidMap([(BASE, 300)], dirty=True)
    assert list(known.pending_writes()) == []
    disk.write_pending(unknown)
    disk.check(unknown)


def test_small_ranges_leave_the_list_once_they_are_void_entries() -> None:
    voids = VoidMap()
    voids.add(BASE, 100)
    voids.add(BASE + 1000, 5000)
    for i in range(10):
        voids.add(BASE + 10_000 + 1000 * i, 300 + i)
    voids.keep_largest(4)
    assert len(voids) == 12, "nothing else would make them void entries"
    list(voids.pending_writes())
    voids.keep_largest(4)
    assert sorted(length for _, length in voids.extents()) == [307, 308, 309, 5000]


def test_neighbours_merge_only_up_to_what_a_commit_can_rewrite() -> None:
    voids = VoidMap()
    voids.add(BASE, 200 << 10)
    voids.add(BASE + (200 << 10), 100 << 10)
    assert len(voids) == 2
    voids.add(BASE + (300 << 10), 63)
    assert len(voids) == 2
    assert voids.ending_at(BASE + (300 << 10) + 63) == (BASE + (200 << 10), (100 << 10) + 63)
    voids.add(BASE + (400 << 10), 100, merge=False)
    voids.add(BASE + (400 << 10) + 100, 100, merge=False)
    assert len(voids) == 4


def test_removing_what_is_not_listed_is_a_fault() -> None:
    with pytest.raises(KeyError):
        VoidMap([(BASE, 100)]).remove(BASE + 1)


def test_a_range_is_cut_where_the_block_will_end() -> None:
    extents = [(1000, 500), (2000, 500), (3000, 500)]
    assert list(clip_extents(extents, 2100)) == [(2100, 400), (3000, 500)]
    with pytest.raises(MalformedError):
        read_entry(bytes(2000), 600)
