"""`aeordb mv`: other names and places, in one commit."""

import click

from aeordb.cli.output import plural
from aeordb.cli.places import inside, is_folder, name_of
from aeordb.cli.shell import WRITES, Command, Shell


@click.command(
    "mv",
    cls=Command,
    short_help="Move files and folders.",
    examples=("aeordb mv /draft.txt /docs/final.txt", "aeordb mv /a.txt /b.txt /docs/"),
    exits=(*WRITES[:-1], 15, WRITES[-1]),
)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("dest", metavar="DEST")
@click.pass_obj
def command(shell: Shell, sources: tuple[str, ...], dest: str) -> None:
    """Move files, symlinks and folders inside the database, in one commit.

    SRC becomes DEST, or goes into it where DEST is a folder or ends with '/'; so do several SRC.
    """
    moved = []
    with shell.open("r+") as db:
        with db.transaction() as tx:
            into = len(sources) > 1 or is_folder(tx, dest)
            for source in sources:
                target = inside(dest, name_of(source)) if into else dest
                tx.move(source, target)
                moved.append({"from": source, "to": target})
        result = {"moved": moved, "version": db.head}
    shell.answer(result, [f"Moved {plural(len(moved), 'path')}."])
