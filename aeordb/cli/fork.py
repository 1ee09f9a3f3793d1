"""`aeordb fork`: names for versions that may become HEAD."""

import click

from aeordb.cli.output import headline, shown
from aeordb.cli.shell import READS, WRITES, Command, Group, Shell, at_option
from aeordb.cli.snapshot import WRITES_NEW, line, named


@click.group("fork", cls=Group, short_help="Versions kept beside HEAD.")
def command() -> None:
    """Keep versions beside HEAD under a name, and make one of them HEAD."""


@command.command("create", cls=Command, examples=("aeordb fork create trial",), exits=WRITES_NEW)
@click.argument("name")
@at_option
@click.pass_obj
def create(shell: Shell, name: str, at: str) -> None:
    """Keep a version (HEAD, unless --at) as the fork NAME."""
    with shell.open("r+") as db:
        made = db.forks.create(name, at=at)
    shell.answer(made, named("Fork created.", made))


@command.command("list", cls=Command, examples=("aeordb fork list",), exits=READS[:-1])
@click.pass_obj
def list_(shell: Shell) -> None:
    """List all forks: time, first digits of the version's hash, name."""
    with shell.open() as db:
        shell.items(db.forks.list(), line, empty="no forks yet")


@command.command("promote", cls=Command, examples=("aeordb fork promote trial",), exits=WRITES)
@click.argument("name")
@click.pass_obj
def promote(shell: Shell, name: str) -> None:
    """Make HEAD what the fork NAME is."""
    with shell.open("r+") as db:
        db.forks.promote(name)
        head = db.head
    fields = {"Name": shown(name), "Version": head.hex()}
    shell.answer({"name": name, "version": head}, headline("Fork promoted.", fields))


@command.command("delete", cls=Command, examples=("aeordb fork delete trial",), exits=WRITES)
@click.argument("name")
@click.pass_obj
def delete(shell: Shell, name: str) -> None:
    """Delete the fork NAME; gc then frees what it alone held."""
    with shell.open("r+") as db:
        db.forks.delete(name)
    shell.answer({"name": name}, [f"Fork {shown(name)} deleted."])
