"""The program `aeordb`: finds the command, runs it, and turns its end into an exit code.

Only click and the called command's own file are imported: `aeordb --version` is one of the things
that scripts do a thousand times.
"""

import errno
import importlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from keyword import iskeyword
from types import FrameType

import click
from click.exceptions import NoArgsIsHelpError

from aeordb.cli.shell import Shell, common_options
from aeordb.errors import (
    AeorDBError,
    ExistsError,
    IncompleteError,
    LockedError,
    NotADatabaseError,
    NotDurableError,
    NotFoundError,
    UsageError,
    quote,
)

# In the order of the help. Each is the command `command` in the module of its name.
COMMANDS = (
    "init",
    "put",
    "get",
    "cat",
    "ls",
    "rm",
    "mv",
    "ln",
    "log",
    "snapshot",
    "fork",
    "diff",
    "export",
    "import",
    "promote",
    "backup",
    "start",
    "info",
    "status",
    "verify",
    "gc",
    "emergency-reset",
)
INTERRUPTED = 130
TERMINATED = 143
TRUE_WORDS = ("1", "true", "t", "yes", "y", "on")


class Program(click.Group):
    """The group of all commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns one command; None: there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name)
        module = importlib.import_module(f"aeordb.cli.{name}")
        command: click.Command = module.command
        return command


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import aeordb

        click.echo(f"aeordb {aeordb.__version__}")
        ctx.exit()


@click.group(
    cls=Program,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "AEORDB",
        "max_content_width": 100,
    },
    epilog="Paths inside a database begin with '/'. Every option can be set in the environment "
    "too: AEORDB_DATABASE, AEORDB_JSON, AEORDB_QUIET, and AEORDB_COMMAND_OPTION for a command's "
    "own, as AEORDB_LS_AT=v1 does for 'ls --at v1'.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def program() -> None:
    """A versioned file store in one file.

    Start with 'aeordb init', then 'aeordb put -r FOLDER /' and 'aeordb snapshot create v1'.
    """


program.params += common_options(in_environment=True)


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; `args` is `sys.argv` without the name."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A local file's name need not be valid text; it leaves as the bytes that it came in as.
        sys.stdout.reconfigure(errors="surrogateescape")
    code = run(list(sys.argv[1:] if args is None else args))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more: the last flush, at exit, shall not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 1
    return code


def run(arguments: list[str]) -> int:
    """Runs one command line inside this process and returns its exit code."""
    shell = Shell(json=_wants_json(arguments))
    try:
        # The result is the code of a command that ended early, as `--help` does; else None.
        code = program.main(arguments, prog_name="aeordb", obj=shell, standalone_mode=False)
    except SystemExit as stop:  # the reader of our output is gone, or SIGTERM
        return stop.code if isinstance(stop.code, int) else 1
    except (KeyboardInterrupt, click.Abort):
        shell.fail({"code": "interrupted", "message": "interrupted"})
        return INTERRUPTED
    except click.UsageError as error:
        return _fail_usage(shell, error)
    except click.ClickException as error:
        return _fail(shell, AeorDBError(error.format_message()))
    except NotADatabaseError as error:
        if not error.hint and error.path == shell.database and not os.path.lexists(error.path):
            error.hint = f"Make it with: aeordb init -D {shlex.quote(error.path)}"
        return _fail(shell, error)
    except LockedError as error:
        from aeordb.cli.beside import point_to_server

        return _fail(shell, point_to_server(error, shell.command))
    except AeorDBError as error:
        return _fail(shell, error)
    except OSError as error:
        return _fail(shell, _from_system(error))
    except Exception as error:
        if os.environ.get("AEORDB_TRACEBACK"):
            raise
        return _fail(shell, _fault(error))
    if isinstance(code, int):
        return code
    return 0 if shell.complete else IncompleteError.exit_code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)  # so that what is half-done is taken away on the way out


def _wants_json(arguments: list[str]) -> bool:
    """Whether answers are JSON: asked before parsing, since a parsing error must know."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options or os.environ.get("AEORDB_JSON", "").lower() in TRUE_WORDS


def _fail(shell: Shell, error: AeorDBError) -> int:
    shell.fail(error.to_json())
    return error.exit_code


def _fail_usage(shell: Shell, error: click.UsageError) -> int:
    if isinstance(error, NoArgsIsHelpError):
        if not shell.json:
            click.echo(error.format_message(), err=True)
            return UsageError.exit_code
        message = "a command is missing"
    else:
        message = error.format_message()
    name = f"aeordb {shell.command}" if shell.command else "aeordb"
    return _fail(shell, UsageError(message, hint=f"See: {name} --help"))


def _from_system(error: OSError) -> AeorDBError:
    """The system's error as one of ours, by what it means to the user."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    reason = error.strerror or str(error)
    message = f"{quote(name)}: {reason}" if name else reason
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return NotDurableError(message, hint="Free some space, or check the disk, then try again.")
    if error.errno == errno.ENOENT and name:
        folder = os.path.dirname(name)
        if folder and not os.path.exists(folder):
            return NotFoundError(what="folder", name=folder)
        return NotFoundError(what="file", name=name)
    if error.errno == errno.EEXIST and name:
        return ExistsError(path=name)
    return AeorDBError(message)


def _fault(error: Exception) -> AeorDBError:
    """A fault in the program itself."""
    return AeorDBError(
        f"a fault in aeordb: {type(error).__name__}: {error}",
        hint="Please report it, with what AEORDB_TRACEBACK=1 in the environment makes it print.",
    )
