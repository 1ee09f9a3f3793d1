"""What the strategies make is legal, reproducible, and not tame."""

from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from aeordb.errors import PathError
from aeordb.testing import operations, strategies
from aeordb.testing.model import Model
from aeordb.testing.operations import Operation
from aeordb.testing.strategies import Content, content
from aeordb.testing.tree import FOLDER, Tree, parent
from aeordb.tree.paths import check_writable, parse_name, parse_path
from aeordb.versions.names import check_new_name

QUICK = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
FIND = settings(QUICK, max_examples=2000, phases=(Phase.generate,), report_multiple_bugs=False)


@QUICK
@given(strategies.names(), strategies.paths(), strategies.version_names())
def test_names_and_paths_are_legal(name: str, path: str, label: str) -> None:
    assert parse_name(name) == name
    assert check_writable(parse_path(path, file=True)) == path
    assert check_new_name(label) == label


def test_names_are_of_all_of_unicode() -> None:
    for is_wanted in (
        lambda name: ord(name[0]) > 0xFFFF,
        lambda name: ord(name[0]) < 32,
        lambda name: name.startswith(".aeordb-"),
        lambda name: "\\" in name,
    ):
        assert find(strategies.names(), is_wanted, settings=FIND)


@QUICK
@given(strategies.contents(1))
def test_a_contents_repr_makes_it_again(data: bytes) -> None:
    assert eval(repr(data), {"content": content}) == data  # noqa: S307
    assert len(repr(data)) < 400


def test_contents_lie_around_the_borders() -> None:
    for size in (0, 500, 262_143, 262_144, 262_145):
        found = find(
            strategies.contents(1), lambda data, size=size: len(data) == size, settings=FIND
        )
        assert len(found) == size
    assert isinstance(content("text", 10), Content)
    assert content("noise", 100, 1) != content("noise", 100, 2)


@QUICK
@given(strategies.trees())
def test_trees_have_the_folders_of_all_their_paths(tree: Tree) -> None:
    for path in tree:
        assert not parent(path) or tree[parent(path)] == FOLDER


@QUICK
@given(strategies.histories())
def test_histories_run_and_read_as_they_are_written(history: list[Operation]) -> None:
    model = Model()
    for operation in history:
        operation.on(model)
    names = {"content": content, **vars(operations)}
    assert eval(repr(history), names) == history  # noqa: S307


def test_paths_can_be_made_of_given_names() -> None:
    made = find(strategies.paths(st.sampled_from(["a", "b"])), lambda path: len(path) > 4)
    assert set(made.split("/")[1:]) <= {"a", "b"}


def test_system_folders_are_not_among_the_paths() -> None:
    names = st.sampled_from([".aeordb-system", ".aeordb-config", "a"])

    @QUICK
    @given(strategies.paths(names))
    def check(path: str) -> None:
        try:
            check_writable(parse_path(path))
        except PathError as error:
            raise AssertionError(path) from error

    check()
