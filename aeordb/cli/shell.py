"""What every command has: the common options, the database, and one way to answer.

A command gets a `Shell`. It opens the database with `open`, says what is odd with `warn`, and ends
with exactly one of `answer`, `secret` and `items`: that is why `--json` prints one object.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from aeordb.cli.output import escape
from aeordb.database.plain import plain
from aeordb.errors import IncompleteError, quote

if TYPE_CHECKING:
    from aeordb import Database, GetReport, PutReport
    from aeordb.progress import Progress

DEFAULT_DATABASE = "data.aeordb"
EXITS = {
    0: "done, or nothing to do",
    1: "failed",
    2: "wrong flags or arguments",
    3: "done, but something was left out",
    10: "missing, not an AeorDB database, or of an unknown version",
    11: "another process is writing to the file",
    12: "wrong or missing root key",
    13: "the patch is for another base",
    14: "damaged: a hash, address or structure does not hold",
    15: "what was to be made exists already",
    16: "not safely on disk: disk full, or a sync failed",
    17: "the last backup is too old",
    20: "no such path, snapshot, fork or version",
    130: "interrupted with Ctrl-C",
}
READS = (0, 2, 10, 14, 20)
WRITES = (0, 2, 10, 11, 14, 16, 20)

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Shell:
    """One run of the command line."""

    database: str = DEFAULT_DATABASE
    json: bool = False
    quiet: bool = False
    command: str | None = None
    warnings: list[str] = field(default_factory=list)
    complete: bool = True

    def open(self, mode: Literal["r", "r+", "a", "x"] = "r", **options: Any) -> "Database":
        """Opens the database; `mode` as in `aeordb.open`. Close it with `with`."""
        import aeordb

        return aeordb.open(self.database, mode, **options)

    def progress(self) -> "Progress":
        """Where an operation says how far it is: a bar on a terminal, else nothing."""
        from aeordb.cli.bar import bar_for

        return bar_for(sys.stderr, wanted=not self.quiet)

    def warn(self, message: str) -> None:
        """Says what is odd, though the command goes on."""
        self.warnings.append(message)
        if not self.json and not self.quiet:
            click.echo(f"warning: {escape(message)}", err=True)

    def answer(self, result: Any, lines: Iterable[str] = (), *, code: str | None = None) -> None:
        """Ends the command: `result` for `--json`, `lines` for people.

        `code`: the result is bad news, which shows under `--quiet` too.
        """
        if self.json:
            ended = code or ("ok" if self.complete else IncompleteError.code)
            self._print("result", json.dumps(plain(result)), ended)
        elif code or not self.quiet:
            for line in lines:
                click.echo(line)

    def skipped(self, report: "GetReport | PutReport") -> None:
        """Warns of what an operation left out; if that is a loss, the exit code says so."""
        for left in report.skipped:
            self.warn(f"{quote(left.path)} is skipped: {left.reason}")
        self.complete = self.complete and report.complete

    def secret(self, result: Any, secret: str, lines: Iterable[str]) -> None:
        """As `answer`, but what is shown this one time alone shows under `--quiet` too."""
        if self.quiet and not self.json:
            click.echo(secret)
        else:
            self.answer(result, lines)

    def items(
        self, items: Iterable[Any], line: Callable[[Any], str], empty: str | None = None
    ) -> None:
        """Ends the command with a list, printed as it comes; `empty` says that it has no items."""
        if self.json:
            # As text: a million items as objects would take many times as much.
            texts = [json.dumps(plain(item)) for item in items]
            self._print("result", f'{{"items": [{", ".join(texts)}]}}')
            return
        none_yet = True
        for item in items:
            none_yet = False
            if not self.quiet:
                click.echo(line(item))
        if none_yet and empty and not self.quiet:
            click.echo(empty, err=True)

    def fail(self, error: dict[str, Any]) -> None:
        """Ends the command with an error: its code, message, perhaps a hint, and facts."""
        if self.json:
            self._print("error", json.dumps(plain(error), default=str), error["code"])
            return
        click.echo(f"error: {_lines(error['message'])}", err=True)
        if hint := error.get("hint"):
            click.echo(f"  {_lines(hint)}", err=True)

    def _print(self, name: str, value: str, code: str = "ok") -> None:
        head = json.dumps({"ok": code == "ok", "code": code, "command": self.command})
        click.echo(f'{head[:-1]}, "{name}": {value}, "warnings": {json.dumps(self.warnings)}}}')


def _lines(message: str) -> str:
    return "\n  ".join(escape(line) for line in message.split("\n"))


class Command(click.Command):
    """A command with the common options, whose help ends with examples and exit codes."""

    def __init__(
        self, *args: Any, examples: Sequence[str] = (), exits: Sequence[int] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()
        self.examples = examples
        self.exits = exits

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses, the command's name noted for the answer first."""
        ctx.ensure_object(Shell).command = command_name(ctx)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples and the exit codes."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        if self.exits:
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(code), EXITS[code]) for code in self.exits])


class Group(click.Group):
    """A command of several, as `snapshot`, with the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses, the group's name noted for the answer first."""
        ctx.ensure_object(Shell).command = command_name(ctx)
        return super().parse_args(ctx, args)


def command_name(ctx: click.Context) -> str:
    """What the user called, without the program: `ls`, `snapshot create`."""
    return ctx.command_path.partition(" ")[2]


def common_options(*, in_environment: bool = False) -> list[click.Parameter]:
    """The options that every command takes; they may also stand before the command's name.

    The environment is asked in that first place alone, so that the command line wins over it.
    """
    return [
        click.Option(
            ["-D", "--database"],
            metavar="FILE",
            expose_value=False,
            allow_from_autoenv=in_environment,
            callback=_keep("database"),
            help=f"The database.  [default: {DEFAULT_DATABASE}; env: AEORDB_DATABASE]",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            default=None,
            expose_value=False,
            allow_from_autoenv=in_environment,
            callback=_keep("json"),
            help="Print one JSON object, also for errors.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            default=None,
            expose_value=False,
            allow_from_autoenv=in_environment,
            callback=_keep("quiet"),
            help="Print nothing on success.",
        ),
    ]


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps a given option's value in the `Shell`: the last one given wins."""

    def keep(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        shell = ctx.ensure_object(Shell)
        if value is not None:
            setattr(shell, name, value)

    return keep


def at_option(function: Function) -> Function:
    """The option `--at VERSION` of commands that read."""
    return click.option(
        "--at",
        metavar="VERSION",
        default="HEAD",
        show_default=True,
        help="HEAD, a snapshot, a fork, or a version's hash or its first 8 digits or more.",
    )(function)


def output_option(*, required: bool, help: str) -> Callable[[Function], Function]:  # noqa: A002
    """The option `-o/--output FILE` of commands that write a backup."""
    return click.option("-o", "--output", metavar="FILE", required=required, help=help)


def root_key_option(help: str) -> Callable[[Function], Function]:  # noqa: A002
    """The option `--root-key KEY`; all commands share its variable."""
    return click.option(
        "--root-key",
        envvar="AEORDB_ROOT_KEY",
        show_envvar=True,
        metavar="KEY",
        help=help,
    )


def jobs_option(function: Function) -> Function:
    """The option `--jobs N`."""
    return click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many threads to use.  [default: one for each processor]",
    )(function)
