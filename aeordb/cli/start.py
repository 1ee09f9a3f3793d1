"""`aeordb start`: the server."""

import contextlib
import os
import sys
from typing import Literal

import click

from aeordb.cli.init import KEEP_IT
from aeordb.cli.output import headline, shown
from aeordb.cli.shell import Command, Shell
from aeordb.errors import AeorDBError, UsageError


@click.command(
    "start",
    cls=Command,
    short_help="Serve the database over HTTP.",
    examples=(
        "aeordb start",
        "aeordb start --port 7000 --backup-dir /var/backups/aeordb",
        "aeordb start --auth disabled",
    ),
    exits=(0, 1, 2, 10, 11, 14, 16),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=6830,
    show_default=True,
    help="Where to listen; 0 takes any that is free.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--auth",
    type=click.Choice(["self", "disabled"]),
    default="self",
    show_default=True,
    help="'self' wants keys of this database, 'disabled' none.",
)
@click.option(
    "--backup-dir",
    metavar="FOLDER",
    default="./backups",
    show_default=True,
    help="Where the backups lie that requests name.",
)
@click.option("--confine-backups", is_flag=True, help="Keep scheduled backups in that folder too.")
@click.option(
    "--insecure", is_flag=True, help="Allow '--auth disabled' on any address: anyone may write."
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Refuse larger files and backups.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How lines on standard error look.",
)
@click.pass_obj
def command(
    shell: Shell,
    port: int,
    host: str,
    auth: Literal["self", "disabled"],
    backup_dir: str,
    confine_backups: bool,
    insecure: bool,
    max_upload: int | None,
    log_format: Literal["text", "json"],
) -> None:
    """Serve the database over HTTP until SIGTERM or Ctrl-C.

    A database that does not exist is created. If it has no root key yet, one is made and printed
    this one time. While the server runs, commands that read work beside it; what writes goes
    through the server. On the way out, what was acknowledged is on disk, and requests that run may
    end.
    """
    try:
        from aeordb.server.priority import jobs
        from aeordb.server.run import Server, listen, url_of
        from aeordb.server.settings import Limits, Settings
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "aeordb":
            raise
        raise AeorDBError(
            f"the server needs the package {error.name}",
            hint="Install it with: pip install 'aeordb[server]'",
        ) from None
    settings = Settings(
        database=shell.database,
        host=host,
        port=port,
        backup_dir=backup_dir,
        confine_backups=confine_backups,
        auth=auth,
        insecure=insecure,
        log_format=log_format,
        limits=Limits(upload_bytes=max_upload),
    ).check()
    created = not os.path.lexists(shell.database)
    with listen(settings) as sock, shell.open("a", jobs=jobs()) as db:
        key = None
        if auth == "self":
            with contextlib.suppress(UsageError):  # it has one
                key = db.create_root_key()
        url = url_of(sock)
        db.say_served(url)

        def ready() -> None:
            result = {
                "url": url,
                "pid": os.getpid(),
                "database": shell.database,
                "created": created,
            }
            facts = {
                "Database": shown(shell.database),
                "Process": os.getpid(),
                "Root key": key,
                "Note": KEEP_IT if key is not None else None,
            }
            lines = headline(f"Serving on {url}", facts)
            if key is None:
                shell.answer(result, lines)
            else:
                shell.secret({**result, "root_key": key}, key, lines)
            sys.stdout.flush()

        Server(db, settings, sock, ready=ready).run()
