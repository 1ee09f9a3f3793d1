"""What to do beside a running server: it alone writes, so it is asked over HTTP."""

import json

from aeordb.errors import LockedError, quote
from aeordb.storage.locks import read_note

# The request that does what a command does. Where there is none, the server must be stopped first.
REQUESTS = {
    "put": "curl -T FILE {url}/files/PATH",
    "rm": "curl -X DELETE {url}/files/PATH",
    "snapshot create": 'curl {url}/versions/snapshots -d \'{{"name": "NAME"}}\'',
    "snapshot delete": "curl -X DELETE {url}/versions/snapshots/NAME",
    "snapshot restore": 'curl {url}/versions/restore -d \'{{"name": "NAME"}}\'',
    "import": "curl {url}/versions/import -T BACKUP -X POST"
    " -H 'Content-Type: application/octet-stream'",
    "promote": 'curl {url}/versions/promote -d \'{{"hash": "HASH"}}\'',
    "backup": "curl -X POST {url}/system/tasks/backup",
    "gc": "curl -X POST {url}/system/tasks/gc",
}
KEY = ' -H "Authorization: Bearer $API_KEY"'


def point_to_server(error: LockedError, command: str | None) -> LockedError:
    """The same error; if a server holds the lock, its hint has the request to send instead."""
    if error.path is None or error.pid is None:
        return error
    try:
        note = json.loads(read_note(error.path))
        url = note["url"]
        if note["pid"] != error.pid or not isinstance(url, str):
            return error
    except (ValueError, TypeError, KeyError):
        return error
    error.facts["url"] = url
    error.message = f"{quote(error.path)} is locked: the server {url} (process {error.pid}) has it"
    request = REQUESTS.get(command or "")
    if request is None:
        error.hint = "Stop the server first; it has no request for this."
    else:
        error.hint = f"Ask the server: {request.format(url=url)}{KEY}"
    return error
