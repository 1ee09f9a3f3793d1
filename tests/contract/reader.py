"""A reader in a process of its own: reads every version that it meets, to the last byte.

Run with the path of a database whose files say what they hold: `/turn/...` names, and content
made from the path (tests.contract.test_readers.content). Stops when `/done` is there; prints how
many versions it read. Anything wrong is an exception.
"""

import sys

import aeordb
from tests.contract.test_readers import content
from tests.kit.layout import h


def main() -> None:
    seen = 0
    points = 0
    with aeordb.open(sys.argv[1], "r") as db:
        print("reading", flush=True)
        last = b""
        while True:
            head = db.refresh()
            assert db.head == head
            if head != last:
                seen += 1
                last = head
                files = {s.path: s for s in db.walk() if s.kind == "file"}
                turns = {int(path.split("/")[1]) for path in files if path != "/done"}
                assert turns == set(range(len(turns))), "a version with holes"
                for path, stat in files.items():
                    data = db[path]
                    assert data == content(path), path
                    assert stat.hash == h(data).hex()
                for snapshot in db.snapshots.list():
                    assert snapshot.name.startswith("turn-")
                    # Names change in place: these are the ones that the writer takes away.
                    if int(snapshot.name[5:]) % 15 != 10:
                        assert db.resolve(snapshot.name) == snapshot.root
                if "/done" in files:
                    break
            else:
                for path in list(files)[points % 7 :: 50]:
                    assert db[path] == content(path)
                points += 1
    print(seen, flush=True)


if __name__ == "__main__":
    main()
