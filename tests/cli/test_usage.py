"""The frame of all commands: help, options, environment, wrong use, faults."""

import json

import click
import pytest

from aeordb import errors
from aeordb.cli import main
from tests.cli.conftest import Cli

GROUPS = ("snapshot", "fork")
NAMES = [
    *(name for name in main.COMMANDS if name not in GROUPS),
    *(f"snapshot {name}" for name in ("create", "list", "delete", "restore", "rename")),
    *(f"fork {name}" for name in ("create", "list", "promote", "delete")),
]


@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples_exit_codes_and_the_common_options(cli: Cli, name: str) -> None:
    ran = cli(*name.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"\n  aeordb {name}" in ran.out.partition("Examples:")[2]
    assert "  0  " in ran.out.partition("Exit codes:")[2]
    for option in ("--database", "--json", "--quiet"):
        assert option in ran.out


def test_help_of_the_program_shows_each_command_with_a_whole_sentence(cli: Cli) -> None:
    ran = cli("--help")
    assert ran.code == 0
    listed = ran.out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(main.COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


def test_without_a_command_help_goes_to_standard_error(cli: Cli) -> None:
    for arguments in ((), ("snapshot",)):
        ran = cli(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "Commands:" in ran.err


WRONG = [
    ((), None),
    (("nonsense",), None),
    (("snapshot",), "snapshot"),
    (("snapshot", "create"), "snapshot create"),
    (("ls", "--nonsense"), "ls"),
    (("ls", "/a", "/b"), "ls"),
    (("ls", "-D"), "ls"),
    (("init", "--expect-entries", "-1"), "init"),
    (("init", "--expect-entries", "many"), "init"),
    (("diff", "--from", "v1"), "diff"),
    (("diff", "--from", "v1", "--stat", "--name-status"), "diff"),
    (("put", "x", "/x", "--delete"), "put"),
    (("put", "x", "y", "/x", "--content-type", "a/b"), "put"),
]


@pytest.mark.parametrize(("arguments", "command"), WRONG)
def test_wrong_use_is_exit_2_and_one_json_object(
    cli: Cli, arguments: tuple[str, ...], command: str | None
) -> None:
    for line in (("--json", *arguments), (*arguments[:1], "--json", *arguments[1:])):
        ran = cli(*line)
        assert (ran.code, ran.err) == (2, "")
        assert ran.out.count("\n") == 1
        told = ran.json
        assert list(told) == ["ok", "code", "command", "error", "warnings"]
        assert (told["ok"], told["code"], told["command"]) == (False, "usage", command)
        assert told["error"]["message"]


def test_json_behind_two_dashes_is_a_name(cli: Cli) -> None:
    ran = cli("ls", "--", "--json", "x")
    assert (ran.code, ran.out) == (2, "")


def test_wrong_use_says_where_help_is(cli: Cli) -> None:
    ran = cli("ls", "--nonsense")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: No such option")
    assert "aeordb ls --help" in ran.err


@pytest.mark.parametrize("word", ["1", "true", "YES"])
def test_json_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("AEORDB_JSON", word)
    assert cli("diff").json["code"] == "usage"


def open_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("aeordb.open", fail)


ENDS = [
    (errors.LockedError(path="x", pid=7), 11, "locked"),
    (errors.DamagedError(key=b"\xab" * 32, offset=512), 14, "damaged"),
    (errors.NotFoundError(name="/a"), 20, "not_found"),
    (OSError(28, "No space left on device"), 16, "not_durable"),
    (FileNotFoundError(2, "No such file", "a\nb"), 20, "not_found"),
    (FileExistsError(17, "File exists", "x"), 15, "exists"),
    (PermissionError(13, "Permission denied", "x"), 1, "failed"),
    (RuntimeError("oh"), 1, "failed"),
    (KeyboardInterrupt(), 130, "interrupted"),
]


@pytest.mark.parametrize(("error", "exit_code", "code"), ENDS)
def test_errors_become_exit_codes(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int, code: str
) -> None:
    open_raises(monkeypatch, error)
    ran = cli("ls")
    assert (ran.code, ran.out) == (exit_code, "")
    assert "Traceback" not in ran.err
    assert ran.err.strip().startswith("error: ")
    ran = cli("ls", "--json")
    assert ran.code == exit_code
    told = json.loads(ran.out)
    assert (told["ok"], told["code"], told["error"]["code"]) == (False, code, code)
    assert told["command"] == "ls"


def test_messages_cannot_command_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    open_raises(monkeypatch, errors.AeorDBError("a\x1b[2J", hint="b\x07"))
    assert cli("ls").err == "error: a\\x1b[2J\n  b\\x07\n"


def test_a_fault_shows_where_when_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    open_raises(monkeypatch, RuntimeError("oh"))
    monkeypatch.setenv("AEORDB_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="oh"):
        cli("ls")


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        ({}, ("ls",), "data.aeordb"),
        ({"AEORDB_DATABASE": "e"}, ("ls",), "e"),
        ({"AEORDB_DATABASE": "e"}, ("-D", "a", "ls"), "a"),
        ({"AEORDB_DATABASE": "e"}, ("ls", "-D", "b"), "b"),
        ({"AEORDB_LS_DATABASE": "e"}, ("-D", "a", "ls"), "a"),
        ({}, ("-D", "a", "ls", "--database", "b"), "b"),
        ({}, ("snapshot", "-D", "a", "list"), "a"),
    ],
)
def test_the_database_is_what_was_said_last(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: tuple[str, ...],
    expected: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    opened = []

    def note(path: str, *_args: object, **_options: object) -> None:
        opened.append(path)
        raise errors.NotADatabaseError(path=path)

    monkeypatch.setattr("aeordb.open", note)
    assert cli(*arguments).code == 10
    assert opened == [expected]


def all_commands() -> list[tuple[str, click.Command]]:
    """Every command with its whole name."""
    context = click.Context(main.program)
    found = []
    for name in main.COMMANDS:
        command = main.program.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", sub) for below, sub in command.commands.items()]
        else:
            found.append((name, command))
    return found


def test_every_option_has_its_twin_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    common = {"database", "json", "quiet", "help"}
    for name, command in all_commands():
        prefix = "AEORDB_" + name.upper().replace(" ", "_").replace("-", "_")
        context = click.Context(command, auto_envvar_prefix=prefix)
        for option in command.get_params(context):
            flag = max(option.opts, key=len)
            if not isinstance(option, click.Option) or flag[2:] in common:
                continue
            twin = f"{prefix}_{flag[2:].upper().replace('-', '_')}"
            monkeypatch.setenv(twin, "1")
            assert option.resolve_envvar_value(context) == "1", twin
