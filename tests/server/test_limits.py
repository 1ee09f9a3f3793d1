"""Too slow, too much, too many: each has its answer, and a client that behaves notices nothing."""

import contextlib
import json
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from aeordb.server.settings import Limits
from tests.kit.serving import Line, Serving

Serve = Callable[[Limits], "contextmanager[tuple[str, int]]"]
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
PUT = b"PUT /files/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=60)


def until_closed(sock: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    data = b""
    try:
        while block := sock.recv(65_536):
            data += block
    except ConnectionResetError:
        pass
    sock.close()
    return data


@contextmanager
def slow(address: tuple[str, int], count: int) -> Iterator[None]:
    """So many connections that say nothing, half a header, half a body, or take no answer."""
    starts = (b"", PUT, PUT + b"Content-Length: 1000\r\n\r\nabc", b"GET /files/big HTTP/1.1\r\n")
    with ExitStack() as stack:
        for number in range(count):
            sock = stack.enter_context(connect(address))
            sock.sendall(starts[number % len(starts)])
        yield


def test_a_thousand_slow_connections(served: Serving) -> None:
    """Beside them a client puts and gets as if it were alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1_400
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("so many files may not be open at once here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        with slow(served.address, 1_000), Line(served.address) as ask:
            for number in range(50):
                assert ask("PUT", b"/files/n%d" % number, {}, b"x" * number).status == 201
                assert ask("GET", b"/files/n%d" % number).body == b"x" * number
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_headers_must_come(limited: Serve) -> None:
    with limited(Limits(header_seconds=0.3)) as address:
        for start in (b"", PUT):
            sock = connect(address)
            sock.sendall(start)
            assert until_closed(sock).startswith(b"HTTP/1.1 408 ")
        # The headers of a further request, too.
        with Line(address) as ask:
            assert ask("PUT", b"/files/a", {}, b"x").status == 201
        sock = connect(address)
        sock.sendall(b"GET /files/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + PUT)
        said = until_closed(sock)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in said


def test_bodies_must_come(limited: Serve) -> None:
    with limited(Limits(body_seconds=0.3)) as address:
        sock = connect(address)
        sock.sendall(PUT + b"Content-Length: 1000\r\n\r\nabc")
        said = until_closed(sock)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"usage"' in said
        with Line(address) as ask:
            assert ask("GET", b"/files/x").status == 404


def test_answers_must_be_taken(limited: Serve) -> None:
    with limited(Limits(body_seconds=0.3)) as address:
        with Line(address) as ask:
            ask("PUT", b"/files/big", {}, bytes(range(256)) * 65_536)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect(address)
        sock.sendall(b"GET /files/big HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        # The server drops the connection: only that ends this wait.
        poll_for_error(sock)
        sock.close()
        with Line(address) as ask:
            assert len(ask("GET", b"/files/big").body) == 256 * 65_536


def poll_for_error(sock: socket.socket) -> None:
    """Waits until the other side has reset the connection, without reading from it."""
    import select

    poll = select.poll()
    poll.register(sock, select.POLLERR | select.POLLHUP)
    assert poll.poll(60_000), "the server still waits"


def test_too_large(limited: Serve) -> None:
    limits = Limits(upload_bytes=1_000, json_bytes=500, header_bytes=2_000)
    with limited(limits) as address, Line(address) as ask:
        assert ask("PUT", b"/files/x", {}, b"x" * 1_000).status == 201
        for method, target, body in (
            ("PUT", b"/files/y", b"x" * 1_001),
            ("POST", b"/versions/export", b'{"output": "%s"}' % (b"x" * 600)),
        ):
            answer = ask(method, target, {}, body)
            assert (answer.status, answer.json()["error"]["code"]) == (413, "usage")
        # It may not say how long it will be.
        sock = connect(address)
        sock.sendall(PUT + b"Transfer-Encoding: chunked\r\n\r\n5dc\r\n" + b"x" * 1_500)
        assert until_closed(sock).startswith(b"HTTP/1.1 413 ")
        sock = connect(address)
        sock.sendall(PUT + b"X-Long: " + b"x" * 5_000)
        assert until_closed(sock).startswith(b"HTTP/1.1 400 ")
        assert ask("GET", b"/files/y").status == 404


def test_too_many_connections(limited: Serve) -> None:
    with limited(Limits(connections=3)) as address, ExitStack() as stack:
        for _ in range(3):
            line = stack.enter_context(Line(address))
            assert line("GET", b"/files/").status == 200
        said = until_closed(connect(address))
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in said
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "failed"
        assert line("GET", b"/files/").status == 200


def test_too_many_requests(limited: Serve) -> None:
    with limited(Limits(requests=2)) as address, ExitStack() as stack:
        for _ in range(2):
            sock = stack.enter_context(connect(address))
            sock.sendall(PUT + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
            # It is being worked on once its body is asked for.
            assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        with Line(address) as ask:
            answer = ask("GET", b"/files/")
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["error"]["code"] == "failed"


def test_no_memory_left_means_the_disk(limited: Serve) -> None:
    with limited(Limits(memory_bytes=100)) as address, Line(address) as ask:
        for size in (10, 100, 101, 100_000, 3_000_000):
            assert ask("PUT", b"/files/x", {}, b"x" * size).status in (200, 201)
            assert len(ask("GET", b"/files/x").body) == size


def test_headers_are_bounded_however_they_come(limited: Serve) -> None:
    """Many small ones, one in many parts, one behind another request's body; what fits, fits."""
    with limited(Limits(header_bytes=2_000)) as address:
        request = b"GET /files/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        many = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 40) for number in range(60))
        body = b"Content-Length: 50000\r\n\r\n" + b"z" * 50_000
        for said in (
            request + many + b"\r\n",
            b"GET /files/" + b"p" * 3_000 + b" HTTP/1.1\r\n\r\n",
        ):
            sock = connect(address)
            sock.sendall(said)
            assert until_closed(sock).startswith(b"HTTP/1.1 400 ")
            # The request before gets its answer in any case.
            sock = connect(address)
            sock.sendall(PUT + body + said)
            answers = until_closed(sock)
            assert answers.startswith(b"HTTP/1.1 20")
            assert b"/files/ " not in answers
        sock = connect(address)
        sock.sendall(request)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                sock.sendall(b"X-Part: " + b"p" * 50)
        assert until_closed(sock)[:13] in (b"HTTP/1.1 400 ", b"")
        # A long body does not count, nor do the headers of the request before.
        with connect(address) as sock:
            sock.sendall((PUT + body) * 3 + request + b"X: " + b"x" * 1_500)
            sock.sendall(b"\r\nConnection: close\r\n\r\n")
            said = until_closed(sock)
        assert said.count(b"HTTP/1.1 20") == 4


def test_a_request_for_another_protocol_is_answered_in_this_one(served: Serving) -> None:
    """As clients send it that would rather speak HTTP/2: a body is a body all the same."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with Line(served.address) as ask:
        assert ask("PUT", b"/files/x", {}, b"there").status == 201
    get = b"GET /files/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for body in (b"Content-Length: 3\r\n\r\nnew", CHUNKED + b"3\r\nnew\r\n0\r\n\r\n"):
        sock = connect(served.address)
        requests = get + upgrade + b"\r\n" + PUT + upgrade + body
        for part in (requests[:150], requests[150:], get + b"Connection: close\r\n\r\n"):
            sock.sendall(part)
        said = until_closed(sock)
        assert said.count(b"HTTP/1.1 200 ") == 3
        assert said.endswith(b"new")
    sock = connect(served.address)
    sock.sendall(b"CONNECT other:80 HTTP/1.1\r\nHost: other\r\n\r\nanything")
    assert until_closed(sock).startswith(b"HTTP/1.1 400 ")


def test_several_requests_at_once_are_answered_in_turn(served: Serving) -> None:
    with connect(served.address) as sock:
        puts = [PUT + b"Content-Length: 1\r\n\r\n%d" % number for number in range(9)]
        last = b"GET /files/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        sock.sendall(b"".join(puts) + last)
        said = until_closed(sock)
    assert said.count(b"HTTP/1.1 20") == 10
    assert said.endswith(b"8")


def test_what_is_no_http(served: Serving) -> None:
    for said in (
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 99,
    ):
        sock = connect(served.address)
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        assert until_closed(sock)[:13] in (b"HTTP/1.1 400 ", b"")
    # One that resets at once.
    sock = connect(served.address)
    sock.sendall(PUT + b"Content-Length: 10\r\n\r\n")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    with Line(served.address) as ask:
        assert ask("GET", b"/files/").status == 200
