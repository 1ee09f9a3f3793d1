"""Files over HTTP: what is put comes back, in whole and in part, from every version."""

import hashlib
import http.client
import random
from pathlib import Path

import aeordb
from tests.kit.serving import Line, Serving

BLOCK = bytes(range(256)) * 4096  # 1 MiB


def put(ask: Line, path: str, body: bytes, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask("PUT", f"/files{path}".encode(), named, body).status


def names(ask: Line, target: bytes) -> list[str]:
    answer = ask("GET", target)
    assert answer.status == 200, answer
    return [item["path"] for item in answer.json()["items"]]


def test_put_get_head_delete(ask: Line) -> None:
    answer = ask("PUT", b"/files/docs/a%20b.txt", {}, b"hello")
    assert answer.status == 201
    made = answer.json()
    assert (made["path"], made["kind"], made["size"]) == ("/docs/a b.txt", "file", 5)
    assert made["content_type"] == "text/plain"
    assert answer.headers["etag"] == f'"{made["hash"]}"'
    assert put(ask, "/docs/a%20b.txt", b"hello again") == 200
    found = ask("GET", b"/files/docs/a%20b.txt")
    assert (found.status, found.body) == (200, b"hello again")
    assert found.headers["content-type"] == "text/plain"
    assert found.headers["accept-ranges"] == "bytes"
    assert found.headers["x-content-type-options"] == "nosniff"
    head = ask("HEAD", b"/files/docs/a%20b.txt")
    assert (head.status, head.body) == (200, b"")
    same = ("content-length", "content-type", "etag", "last-modified", "accept-ranges")
    assert [head.headers[name] for name in same] == [found.headers[name] for name in same]
    gone = ask("DELETE", b"/files/docs/a%20b.txt")
    assert (gone.status, gone.json()) == (200, {"path": "/docs/a b.txt", "deleted": 1})
    for method in ("GET", "HEAD", "DELETE"):
        assert ask(method, b"/files/docs/a%20b.txt").status == 404


def test_an_empty_file(ask: Line) -> None:
    assert put(ask, "/empty", b"") == 201
    found = ask("GET", b"/files/empty")
    assert (found.status, found.body, found.headers["content-length"]) == (200, b"", "0")
    assert ask("GET", b"/files/empty", {"Range": "bytes=0-"}).status == 416


def test_content_types(ask: Line) -> None:
    """What a client says of the file is kept; what curl says of every body is not."""
    for sent, kept in (
        ({"Content-Type": "image/x-own; a=b"}, "image/x-own; a=b"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "text/html"),
        ({}, "text/html"),
    ):
        ask("PUT", b"/files/page.html", sent, b"<p>")
        assert ask("GET", b"/files/page.html").headers["content-type"] == kept


def test_ranges(ask: Line) -> None:
    data = random.Random(1).randbytes(3 << 20)
    put(ask, "/big", data)
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=262143-262144", 262_143, 262_144),
        ("bytes=1000000-", 1_000_000, len(data) - 1),
        ("bytes=-100", len(data) - 100, len(data) - 1),
        (f"bytes=-{len(data) * 2}", 0, len(data) - 1),
        (f"bytes=5-{len(data) * 2}", 5, len(data) - 1),
    ):
        found = ask("GET", b"/files/big", {"Range": asked})
        assert found.status == 206, asked
        assert found.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
        assert found.body == data[first : last + 1]
        head = ask("HEAD", b"/files/big", {"Range": asked})
        assert (head.status, head.headers["content-length"]) == (206, str(last - first + 1))
    for asked in ("bytes=5-2", "bytes=1-2,4-5", "bytes=-", "lines=1-2", "bytes=a-b"):
        found = ask("GET", b"/files/big", {"Range": asked})
        assert (found.status, len(found.body)) == (200, len(data)), asked
    for asked in (f"bytes={len(data)}-", "bytes=99999999999-"):
        found = ask("GET", b"/files/big", {"Range": asked})
        assert found.status == 416
        assert found.headers["content-range"] == f"bytes */{len(data)}"
    etag = ask("HEAD", b"/files/big").headers["etag"]
    for condition, status in ((etag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        assert ask("GET", b"/files/big", headers).status == status


def test_conditions(ask: Line) -> None:
    put(ask, "/a", b"one")
    etag = ask("HEAD", b"/files/a").headers["etag"]
    for sent in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        found = ask("GET", b"/files/a", {"If-None-Match": sent})
        assert (found.status, found.body, found.headers["etag"]) == (304, b"", etag)
    assert ask("GET", b"/files/a", {"If-None-Match": '"x"'}).status == 200
    assert put(ask, "/a", b"two", If_None_Match="*") == 412
    assert put(ask, "/new", b"two", If_None_Match="*") == 201
    assert put(ask, "/a", b"two", If_Match='"x"') == 412
    assert put(ask, "/missing", b"two", If_Match="*") == 412
    assert ask("GET", b"/files/a").body == b"one"
    assert put(ask, "/a", b"two", If_Match=etag) == 200
    assert ask("GET", b"/files/a").body == b"two"


def test_listings(ask: Line) -> None:
    for name in ("a", "b", "c", "d/e", "d/f", ".aeordb-indexes/x"):
        put(ask, f"/{name}", b"x")
    for target in (b"/files", b"/files/"):
        assert names(ask, target) == ["/a", "/b", "/c", "/d"]
    assert names(ask, b"/files/d/") == names(ask, b"/files/d") == ["/d/e", "/d/f"]
    assert names(ask, b"/files/?all=true")[0] == "/.aeordb-indexes"
    first = ask("GET", b"/files/?limit=2").json()
    assert ([item["path"] for item in first["items"]], first["next"]) == (["/a", "/b"], 2)
    rest = ask("GET", b"/files/?limit=2&offset=2").json()
    assert ([item["path"] for item in rest["items"]], rest["next"]) == (["/c", "/d"], None)
    assert names(ask, b"/files/?offset=100") == []
    folder = rest["items"][1]
    assert (folder["kind"], folder["hash"], folder["size"]) == ("folder", None, 0)
    for wrong in (b"limit=0", b"limit=-1", b"offset=-1", b"limit=x", b"limit=100000"):
        answer = ask("GET", b"/files/?" + wrong)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "usage")
    assert ask("GET", b"/files/a/").status == 404


def test_folders_go_with_what_is_in_them_only_if_told(ask: Line) -> None:
    put(ask, "/d/a", b"x")
    put(ask, "/d/b/c", b"x")
    assert ask("DELETE", b"/files/d").status == 400
    answer = ask("DELETE", b"/files/d?recursive=true")
    assert (answer.status, answer.json()["deleted"]) == (200, 4)
    assert names(ask, b"/files/") == []
    put(ask, "/a", b"x")
    assert put(ask, "/a/b", b"x") == 400


def test_versions(ask: Line) -> None:
    put(ask, "/a", b"one")
    made = ask("POST", b"/versions/snapshots", {}, b'{"name": "v1"}').json()
    put(ask, "/a", b"two")
    root = made["root"].encode()
    for query in (b"snapshot=v1", b"version=v1", b"version=" + root, b"version=" + root[:10]):
        assert ask("GET", b"/files/a?" + query).body == b"one", query
        assert names(ask, b"/files/?" + query) == ["/a"]
    assert ask("GET", b"/files/a?version=HEAD").body == b"two"
    for query in (b"snapshot=HEAD", b"snapshot=v2", b"version=v2", b"version=" + b"ab" * 32):
        assert ask("GET", b"/files/a?" + query).status == 404, query
    assert ask("GET", b"/files/a?snapshot=v1&version=v1").status == 400


def test_symlinks(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/docs/a", b"one")
        db.symlink("docs/a", "/link")
        db.symlink("docs", "/folder")
        db.symlink("loop", "/loop")
        db.symlink("../../etc/passwd", "/out")
        db.symlink("/.aeordb-system/api-keys", "/system")
    with Serving(path, "--auth", "disabled") as serving, Line(serving.address) as ask:
        assert ask("GET", b"/files/link").body == b"one"
        assert ask("GET", b"/files/folder/a").body == b"one"
        assert names(ask, b"/files/folder") == ["/docs/a"]
        listed = {item["path"]: item for item in ask("GET", b"/files/").json()["items"]}
        assert (listed["/link"]["kind"], listed["/link"]["target"]) == ("symlink", "docs/a")
        assert ask("GET", b"/files/out").status == 404
        assert ask("GET", b"/files/system").status == 404
        assert ask("GET", b"/files/loop").status == 400
        # The link goes, not what it leads to; and a put takes its place.
        assert ask("DELETE", b"/files/folder").status == 200
        assert put(ask, "/link", b"two") == 200
        assert ask("GET", b"/files/docs/a").body == b"one"


def test_large_files_are_streamed(served: Serving, ask: Line) -> None:
    """Sent in chunks of no said length, they go through a file on disk, and come back."""
    expected = hashlib.sha256(BLOCK * 20).digest()
    connection = http.client.HTTPConnection(*served.address)
    connection.request("PUT", "/files/large", iter([BLOCK] * 20), encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 201
    answer.read()
    connection.request("GET", "/files/large")
    found = connection.getresponse()
    assert found.getheader("content-length") == str(len(BLOCK) * 20)
    digest = hashlib.sha256()
    while data := found.read(1 << 20):
        digest.update(data)
    assert digest.digest() == expected
    connection.close()


def test_what_the_client_gives_up_leaves_nothing(served: Serving, ask: Line) -> None:
    """Neither a body that ends too soon nor an answer that nobody reads hurts the next request."""
    put(ask, "/large", BLOCK * 8)
    for _ in range(3):
        connection = http.client.HTTPConnection(*served.address)
        connection.putrequest("PUT", "/files/half")
        connection.putheader("Content-Length", str(len(BLOCK) * 4))
        connection.endheaders(BLOCK * 2)
        connection.close()
        connection = http.client.HTTPConnection(*served.address)
        connection.request("GET", "/files/large")
        connection.getresponse().read(10)
        connection.close()
    assert ask("GET", b"/files/half").status == 404
    assert ask("GET", b"/files/large").body == BLOCK * 8


def test_request_ids(ask: Line) -> None:
    assert ask("GET", b"/files/", {"X-Request-ID": "job-7"}).headers["x-request-id"] == "job-7"
    for given in ("a b", "", "x" * 100):
        told = ask("GET", b"/files/", {"X-Request-ID": given}).headers["x-request-id"]
        assert told
        assert told != given


def test_errors_have_one_form(ask: Line) -> None:
    for method, target, status, code in (
        ("GET", b"/files/none", 404, "not_found"),
        ("GET", b"/nothing", 404, "not_found"),
        ("POST", b"/files/a", 405, "usage"),
        ("GET", b"/files/%ff", 400, "usage"),
        ("GET", b"/files/a%2fb", 400, "usage"),
        ("GET", b"/files/%zz", 400, "usage"),
        ("GET", b"/files//a", 400, "usage"),
        ("PUT", b"/files/a/", 400, "usage"),
        ("PUT", b"/files/../a", 400, "usage"),
        ("GET", b"/files/.aeordb-system/config/jwt_signing_key", 404, "not_found"),
        ("PUT", b"/files/.aeordb-config/cron.json", 404, "not_found"),
        ("POST", b"/versions/snapshots", 400, "usage"),
    ):
        answer = ask(method, target)
        assert answer.status == status, (method, target, answer)
        assert answer.json()["error"]["code"] == code
        assert answer.json()["error"]["message"]
