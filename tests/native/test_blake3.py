"""The native BLAKE3 against the ``blake3`` package, at every SIMD level that this CPU has."""

import mmap
import random
from array import array
from collections.abc import Iterator

import blake3 as oracle
import pytest

from aeordb.native import hashing

NOISE = random.Random(3).randbytes(3 << 20)
EDGES = [n * 1024 + d for n in (1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 255, 256) for d in (-1, 0, 1)]
LONG = [256 * 1024 + 6, 511 * 1024, 512 * 1024, 512 * 1024 + 1, 1023 * 1024 + 5, len(NOISE)]


def expected(data: bytes) -> bytes:
    return oracle.blake3(data).digest()


@pytest.fixture(params=hashing.SIMD_NAMES, autouse=True)
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    before = hashing.simd_name()
    try:
        hashing.set_simd(request.param)
    except ValueError:
        pytest.skip(f"this CPU has no {request.param}")
    assert hashing.simd_name() == request.param
    yield request.param
    hashing.set_simd(before)


def test_every_short_length() -> None:
    for length in range(4097):
        assert hashing.blake3(NOISE[:length]) == expected(NOISE[:length]), length


@pytest.mark.parametrize("length", EDGES + LONG)
def test_edges_and_long_inputs(length: int) -> None:
    assert hashing.blake3(NOISE[:length]) == expected(NOISE[:length])


def test_any_buffer() -> None:
    data = NOISE[:5000]
    with mmap.mmap(-1, len(data)) as mapped:
        mapped[:] = data
        buffers = (bytearray(data), memoryview(data), memoryview(b"x" + data)[1:], mapped)
        assert [hashing.blake3(buffer) for buffer in buffers] == [expected(data)] * 4


def test_many_inputs_of_every_length() -> None:
    inputs = [NOISE[length : 2 * length] for length in range(2300)]
    random.Random(5).shuffle(inputs)
    assert hashing.blake3_many(inputs) == [expected(data) for data in inputs]


@pytest.mark.parametrize("length", [0, 1, 63, 64, 200, 1024, 1025])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 16, 17, 31, 513])
def test_many_inputs_of_one_length(count: int, length: int) -> None:
    inputs = [NOISE[at : at + length] for at in range(count)]
    assert hashing.blake3_many(inputs) == [expected(data) for data in inputs]


@pytest.mark.parametrize("prefix", [b"x", b"chunk:", NOISE[:63], NOISE[:64]])
def test_prefix(prefix: bytes) -> None:
    lengths = [*range(0, 2200, 3), *EDGES, *(n - len(prefix) for n in EDGES), *LONG]
    inputs = [NOISE[len(NOISE) - length :] for length in lengths]
    random.Random(7).shuffle(inputs)
    assert hashing.blake3_many(inputs, prefix) == [expected(prefix + data) for data in inputs]


def test_slices_may_overlap() -> None:
    rng = random.Random(11)
    pairs = [(rng.randrange(1 << 20), int(rng.expovariate(1 / 900))) for _ in range(3000)]
    offsets, lengths = (array("Q", numbers) for numbers in zip(*pairs, strict=True))
    hashes = b"".join(expected(b"filec:" + NOISE[at : at + n]) for at, n in pairs)
    assert hashing.blake3_slices(NOISE, offsets, lengths, b"filec:") == hashes


@pytest.mark.parametrize("seed", range(12))
def test_stream_in_random_pieces(seed: int) -> None:
    rng = random.Random(seed)
    mean = 10 ** rng.uniform(1.5, 6)
    ours, theirs = hashing.Hasher(), oracle.blake3()
    at = 0
    while at < len(NOISE) and at < 2000 * mean:
        piece = NOISE[at : at + int(rng.expovariate(1 / mean))]
        at += len(piece)
        ours.update(piece)
        theirs.update(piece)
        if rng.random() < 0.02:
            assert ours.digest() == theirs.digest(), at
    assert ours.digest() == theirs.digest()


def test_stream_of_whole_chunks() -> None:
    for chunks in (1, 2, 7, 8, 256, 300):
        ours = hashing.Hasher(b"")
        for _ in range(3):
            ours.update(NOISE[: chunks * 1024])
        assert ours.digest() == expected(NOISE[: chunks * 1024] * 3), chunks


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at most 64"):
        hashing.blake3_many([b"x"], b"p" * 65)
    for offset, length in ((0, 5), (5, 0), (4, 1), (2**64 - 1, 2)):
        with pytest.raises(ValueError, match="leaves its buffer"):
            hashing.blake3_slices(b"1234", array("Q", [offset]), array("Q", [length]))
    with pytest.raises(ValueError, match="2 offsets"):
        hashing.blake3_slices(b"1234", array("Q", [0, 0]), array("Q", [0]))
    with pytest.raises(ValueError, match="'Q'"):
        hashing.blake3_slices(b"1234", array("I", [0]), array("I", [0]))
    with pytest.raises(ValueError, match="no SIMD level"):
        hashing.set_simd("abacus")
