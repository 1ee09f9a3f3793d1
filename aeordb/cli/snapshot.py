"""`aeordb snapshot`: names for versions that stay."""

from typing import TYPE_CHECKING

import click

from aeordb.cli.output import SHORT_HASH, headline, shown, when
from aeordb.cli.shell import READS, WRITES, Command, Group, Shell, at_option

if TYPE_CHECKING:
    from aeordb import Fork, Snapshot

WRITES_NEW = (0, 2, 10, 11, 14, 15, 16, 20)


@click.group("snapshot", cls=Group, short_help="Fixed names for versions.")
def command() -> None:
    """Name versions, so that they stay and can be read, compared and restored."""


@command.command("create", cls=Command, examples=("aeordb snapshot create v1",), exits=WRITES_NEW)
@click.argument("name")
@at_option
@click.pass_obj
def create(shell: Shell, name: str, at: str) -> None:
    """Give a version (HEAD, unless --at) the fixed name NAME."""
    with shell.open("r+") as db:
        made = db.snapshots.create(name, at=at)
    shell.answer(made, named("Snapshot created.", made))


@command.command("list", cls=Command, examples=("aeordb snapshot list --json",), exits=READS[:-1])
@click.pass_obj
def list_(shell: Shell) -> None:
    """List all snapshots: time, first digits of the version's hash, name."""
    with shell.open() as db:
        shell.items(db.snapshots.list(), line, empty="no snapshots yet")


@command.command("delete", cls=Command, examples=("aeordb snapshot delete v1",), exits=WRITES)
@click.argument("name")
@click.pass_obj
def delete(shell: Shell, name: str) -> None:
    """Delete the snapshot NAME; gc then frees what it alone held."""
    with shell.open("r+") as db:
        db.snapshots.delete(name)
    shell.answer({"name": name}, [f"Snapshot {shown(name)} deleted."])


@command.command("restore", cls=Command, examples=("aeordb snapshot restore v1",), exits=WRITES)
@click.argument("name")
@click.pass_obj
def restore(shell: Shell, name: str) -> None:
    """Make HEAD what the snapshot NAME is."""
    with shell.open("r+") as db:
        db.snapshots.restore(name)
        head = db.head
    fields = {"Name": shown(name), "Version": head.hex()}
    shell.answer({"name": name, "version": head}, headline("Snapshot restored.", fields))


@command.command(
    "rename", cls=Command, examples=("aeordb snapshot rename v1 first",), exits=WRITES_NEW
)
@click.argument("name")
@click.argument("new_name")
@click.pass_obj
def rename(shell: Shell, name: str, new_name: str) -> None:
    """Rename the snapshot NAME to NEW_NAME."""
    with shell.open("r+") as db:
        made = db.snapshots.rename(name, new_name)
    shell.answer(made, named("Snapshot renamed.", made))


def named(title: str, made: "Snapshot | Fork") -> list[str]:
    """A new name and its version, for people."""
    return list(headline(title, {"Name": shown(made.name), "Version": made.root.hex()}))


def line(item: "Snapshot | Fork") -> str:
    """One named version, for people."""
    return f"{when(item.created)}  {item.root.hex()[:SHORT_HASH]}  {shown(item.name)}"
