"""Clients that change files through a server, each those in a folder of its own."""

import random
import threading
from dataclasses import dataclass, field

import aeordb
from tests.kit.serving import Line

CLIENTS = 8
Files = dict[str, bytes]


@dataclass
class Client:
    """What a client put: `done` is acknowledged; `flying` may be there too, in whole."""

    folder: str
    done: Files = field(default_factory=dict)
    flying: Files | None = None

    def check(self, found: Files) -> None:
        """Raises AssertionError unless it is what was acknowledged, or one change more."""
        if found in (self.done, self.flying):
            return
        lost = [name for name, data in self.done.items() if found.get(name) != data]
        more = sorted(found.keys() - self.done.keys())
        raise AssertionError(f"{self.folder}: not as acknowledged {lost[:5]}, more {more[:5]}")


class Load:
    """Clients that put files, over older ones too, and delete some, until the server is gone.

    `reached` is set once so many changes were acknowledged, over all of them; `refused` holds the
    status of each other answer, after which a client gives up.

    Args:
        address: where the server listens.
        enough: how many changes that is.
        clients: what they put before, if they did.
        seed: of what they do.
    """

    def __init__(
        self,
        address: tuple[str, int],
        enough: int,
        *,
        clients: list[Client] | None = None,
        seed: object = 0,
    ) -> None:
        self.refused: list[int] = []
        self.clients = clients or [Client(f"/c{number}") for number in range(CLIENTS)]
        self.reached = threading.Event()
        self._address = address
        self._left = enough
        self._guard = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(client, random.Random(f"{seed} {number}")))
            for number, client in enumerate(self.clients)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until every client has given up."""
        for thread in self._threads:
            thread.join()

    def check(self, database: aeordb.Database) -> None:
        """Every change that was acknowledged is there; what else is, is now what was put."""
        found: dict[str, Files] = {client.folder: {} for client in self.clients}
        for stat in database.walk(hashes=False):
            if stat.kind == "file":
                folder = "/" + stat.path.split("/")[1]
                if folder in found:
                    found[folder][stat.path] = database[stat.path]
        for client in self.clients:
            client.check(found[client.folder])
            client.done, client.flying = found[client.folder], None

    def _work(self, client: Client, rng: random.Random) -> None:
        with Line(self._address) as ask:
            while True:
                name = f"{client.folder}/f{rng.randrange(60)}"
                after = dict(client.done)
                method, data = "PUT", b""
                if name in after and rng.random() < 0.3:
                    method = "DELETE"
                    del after[name]
                else:
                    # Now and then one that goes through the disk.
                    size = 1_500_000 if rng.random() < 0.04 else rng.randrange(4000)
                    data = after[name] = b"%d " % rng.getrandbits(60) * (size // 18 + 1)
                client.flying = after
                try:
                    answer = ask(method, f"/files{name}".encode(), {}, data)
                except Exception:
                    # Half an answer, or none: nothing was acknowledged.
                    return
                if answer.status not in (200, 201):
                    self.refused.append(answer.status)
                    return
                client.done, client.flying = after, None
                self._acknowledge()

    def _acknowledge(self) -> None:
        with self._guard:
            self._left -= 1
            if self._left <= 0:
                self.reached.set()
