"""The server: small PUTs of 32 clients at once, a large GET, and small GETs beside an export.

Targets: PUTs at 10 x or more the rate of single durable puts through the library; a GET of 1 GB at
0.5 x or more of what nginx gives for the same bytes (left out where nginx is not installed); the
99th percentile of small GETs while an export runs at most 3 x that of an idle server.

    python bench/bench_server.py [--dir FOLDER] [--rounds 3] [--megabytes 1024]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aeordb

CLIENTS = 32
PUTS = 100
SINGLE_PUTS = 300
SIZE = 1_000
GETS = 2_000
Address = tuple[str, int]


@contextmanager
def served(folder: Path) -> Iterator[tuple[Address, str, int]]:
    """A server over a new database: its address, root key and process id."""
    command = [sys.executable, "-m", "aeordb", "start", "--json", "--port", "0"]
    command += ["-D", str(folder / "data.aeordb"), "--backup-dir", str(folder / "backups")]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())["result"]
    host, _, port = ready["url"].removeprefix("http://").rpartition(":")
    try:
        yield (host, int(port)), ready["root_key"], process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nginx(folder: Path) -> Iterator[Address]:
    """nginx over `folder`, with its usual way to send files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{ }}
        http {{
            access_log off; sendfile on;
            client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
            fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
            server {{ listen 127.0.0.1:{address[1]}; root {folder}; }}
        }}
        """
    )
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        while True:
            try:
                socket.create_connection(address).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def library_puts(folder: Path) -> float:
    """Single durable puts per second, through the library."""
    source = random.Random(1)
    with aeordb.open(folder / "single.aeordb", "x") as db:
        start = time.perf_counter()
        for i in range(SINGLE_PUTS):
            db.put(f"/folder{i % 20}/file{i}", source.randbytes(SIZE))
        seconds = time.perf_counter() - start
    (folder / "single.aeordb").unlink()
    return SINGLE_PUTS / seconds


def server_puts(address: Address, key: str, clients: int, puts: int) -> float:
    """PUTs per second of some clients at once, each waiting for its answer before the next."""
    source = random.Random(2)
    run = source.getrandbits(32)

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        for i in range(puts):
            writer.write(
                f"PUT /files/folder{number}/file{run}-{i} HTTP/1.1\r\nHost: {address[0]}\r\n"
                f"Authorization: Bearer {key}\r\nContent-Length: {SIZE}\r\n\r\n".encode()
                + source.randbytes(SIZE)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 20"):
                raise SystemExit(f"a PUT failed: {head!r}")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
        writer.close()

    async def run_all() -> float:
        start = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(clients)))
        return clients * puts / (time.perf_counter() - start)

    return asyncio.run(run_all())


class Client:
    """One kept connection."""

    def __init__(self, address: Address, key: str = "") -> None:
        self._sock = socket.create_connection(address)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: {address[0]}\r\nAuthorization: Bearer {key}\r\n"
        self._buffer = bytearray(1 << 20)

    def __call__(self, method: str, target: str, body: bytes = b"") -> int:
        """Sends a request; how many bytes its answer has."""
        head = f"{method} {target} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._sock.sendall(head.encode() + body)
        said = b""
        while b"\r\n\r\n" not in said:
            said += self._sock.recv(65_536)
        head_bytes, _, data = said.partition(b"\r\n\r\n")
        if not head_bytes.startswith(b"HTTP/1.1 20"):
            raise SystemExit(f"a request failed: {said!r}")
        length = int(head_bytes.lower().split(b"content-length: ")[1].split()[0])
        left = length - len(data)
        while left:
            left -= self._sock.recv_into(self._buffer)
        return length


def gigabytes_per_second(client: Client, target: str) -> float:
    """How fast a file comes."""
    start = time.perf_counter()
    length = client("GET", target)
    return length / (time.perf_counter() - start) / 1e9


def percentile_99(client: Client, going: Callable[[int], bool]) -> float:
    """The 99th percentile of small GETs, in milliseconds, for as long as `going` says."""
    times: list[float] = []
    while going(len(times)):
        start = time.perf_counter()
        client("GET", "/files/small")
        times.append(time.perf_counter() - start)
    times.sort()
    return times[len(times) * 99 // 100] * 1e3


def beside_export(address: Address, key: str, number: int) -> tuple[float, float]:
    """The 99th percentile of an idle server, and while it exports, in milliseconds."""
    client = Client(address, key)
    idle = percentile_99(client, lambda count: count < GETS)
    failed: list[BaseException] = []

    def export() -> None:
        try:
            body = json.dumps({"output": f"{number}.aeordb"}).encode()
            Client(address, key)("POST", "/versions/export", body)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=export)
    thread.start()
    busy = percentile_99(client, lambda count: thread.is_alive() or count < 100)
    thread.join()
    if failed:
        raise failed[0]
    return idle, busy


def main() -> None:
    """Runs the parts; what is compared runs in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        with served(folder) as (address, key, pid):
            rates: list[Any] = []
            for _ in range(options.rounds):
                single = library_puts(folder)
                one = server_puts(address, key, 1, PUTS)
                many = server_puts(address, key, CLIENTS, PUTS)
                print(
                    f"puts of {SIZE} B: library alone {single:.0f}/s, server: 1 client {one:.0f}/s,"
                    f" {CLIENTS} clients {many:.0f}/s"
                )
                rates.append((many / single, many / one))
            print(f"  against the library: {statistics.median(r[0] for r in rates):.1f} x (>= 10)")
            print(f"  against one client:  {statistics.median(r[1] for r in rates):.1f} x")

            client = Client(address, key)
            client("PUT", "/files/small", b"x" * SIZE)
            source = random.Random(3)
            data = b"".join(source.randbytes(1 << 20) for _ in range(options.megabytes))
            (folder / "large").write_bytes(data)
            client("PUT", "/files/large", data)
            del data
            if shutil.which("nginx") is None:
                print("nginx is not installed: the large GET has nothing to be compared with")
                print(f"GET: {gigabytes_per_second(client, '/files/large'):.2f} GB/s")
            else:
                with nginx(folder) as other:
                    ratios = []
                    for _ in range(options.rounds):
                        theirs = gigabytes_per_second(Client(other), "/large")
                        ours = gigabytes_per_second(client, "/files/large")
                        ratios.append(ours / theirs)
                        print(f"GET: {ours:.2f} GB/s, nginx {theirs:.2f} GB/s")
                print(f"  against nginx: {statistics.median(ratios):.2f} x (>= 0.5)")

            found = [beside_export(address, key, number) for number in range(options.rounds)]
            for idle, busy in found:
                print(f"small GETs, 99th percentile: idle {idle:.2f} ms, in export {busy:.2f} ms")
            print(f"  slower: {statistics.median(b / i for i, b in found):.1f} x (<= 3)")
            peak = Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2].split()[0]
            print(f"the server's own memory: {int(peak) >> 10} MiB")


if __name__ == "__main__":
    main()
