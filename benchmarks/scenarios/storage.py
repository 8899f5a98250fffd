"""Files: large ones beside nginx, small ones beside PocketBase, and what huge ones cost in memory.

nginx serves and takes files without accounts, rows or a wait for the disk, so it is the limit
rather than a peer. Downloads are of public files everywhere, uploads by a signed-in person through
a rule, ours durable when they are answered.
"""

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.load import Request
from benchmarks.pocketbase import PocketBase
from benchmarks.undercroft import Undercroft

LARGE, SMALL, HUGE = 10_000_000, 20_000, 2_000_000_000
ROWS = 10  # their table is not looked at here
NAMES = 10**9
RAW = {"Content-Type": "application/octet-stream"}
CONFIG = """
daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; client_max_body_size 0; client_body_temp_path {home}/body;
    proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
    scgi_temp_path {home}/s;
    server {{
        listen 127.0.0.1:{port}; root {home}/files;
        location / {{ dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""
BOUNDARY = "undercroft-bench"
POLICY = "CREATE POLICY bench ON storage.objects TO authenticated USING (bucket_id = 'bench')"


class Nginx:
    name = "nginx"

    def __init__(self, binary: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
        self.directory.chmod(0o755)
        (self.directory / "files").mkdir(mode=0o777)
        (self.directory / "files").chmod(0o777)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        config = self.directory / "nginx.conf"
        config.write_text(CONFIG.format(home=self.directory, port=port))
        self.process = subprocess.Popen([binary, "-c", str(config)], stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        self.put = Request("PUT", self.url, "/up-{n}.bin", RAW, "x" * LARGE, numbers=20)
        self.get = Request("GET", self.url, "/large.bin", {})
        (self.directory / "files" / "large.bin").write_bytes(os.urandom(LARGE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def run(console: Console, options: argparse.Namespace) -> None:
    ours = Undercroft(ROWS, workers=options.workers)
    try:
        _prepare(ours)
        table = Table(title="answers a second and p99 in ms")
        for column in ("", "Undercroft", "p99", "beside", "", "p99", "ratio", "aim"):
            table.add_column(column, justify="right")
        _large(console, table, ours, options.seconds)
        _small(console, table, ours, options.seconds)
        console.print(table)
        _huge(console, ours)
    finally:
        ours.close()


def _prepare(ours: Undercroft) -> None:
    bucket = {"name": "bench", "public": True}
    headers = ours.service
    httpx.post(f"{ours.url}/storage/v1/bucket", json=bucket, headers=headers).raise_for_status()
    ours.sql(POLICY)
    for name, size in (("large", LARGE), ("small", SMALL)):
        path = f"{ours.url}/storage/v1/object/bench/{name}.bin"
        httpx.post(path, content=os.urandom(size), headers=headers | RAW).raise_for_status()


def _get(ours: Undercroft, name: str) -> Request:
    return Request("GET", ours.url, f"/storage/v1/object/public/bench/{name}.bin", {})


def _post(ours: Undercroft, size: int, names: int) -> Request:
    headers = ours.headers | RAW | {"x-upsert": "true"}
    path = "/storage/v1/object/bench/up-{n}.bin"
    return Request("POST", ours.url, path, headers, "x" * size, numbers=names)


def _large(console: Console, table: Table, ours: Undercroft, seconds: int) -> None:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        console.print("[yellow]nginx is missing (Debian: apt-get install nginx): skipped[/yellow]")
        return
    with Nginx(binary) as nginx:
        time.sleep(0.5)
        pairs = (
            ("10 MB download", _get(ours, "large"), nginx.get),
            ("10 MB upload", _post(ours, LARGE, 20), nginx.put),
        )
        for name, mine, theirs in pairs:
            _compare(console, table, (name, nginx.name, 0.3), mine, theirs, seconds)


def _small(console: Console, table: Table, ours: Undercroft, seconds: int) -> None:
    peer = PocketBase(ROWS)
    try:
        path = peer.make_files("x" * SMALL)
        down = Request("GET", peer.url, path, {})
        form = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n{'x' * SMALL}\r\n--{BOUNDARY}--\r\n"
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        up = Request("POST", peer.url, peer.FILES, peer.headers | kind, form)
        named = peer.name
        _compare(console, table, ("20 KB download", named, 1.0), _get(ours, "small"), down, seconds)
        mine = _post(ours, SMALL, NAMES)
        _compare(console, table, ("20 KB upload", named, 1.0), mine, up, seconds)
    finally:
        peer.close()


def _compare(
    console: Console,
    table: Table,
    about: tuple[str, str, float],
    mine: Request,
    theirs: Request,
    seconds: int,
) -> None:
    name, peer, aim = about
    ours, other = load.alternate(mine, theirs, seconds)
    for label, measured in (("Undercroft", ours), (peer, other)):
        if measured.failed:
            console.print(f"[red]{label}: {measured.failed} failed in '{name}'[/red]")
    table.add_row(
        name,
        f"{ours.rate:,.0f}",
        f"{ours.p99:.0f}",
        peer,
        f"{other.rate:,.0f}",
        f"{other.p99:.0f}",
        f"{ours.rate / other.rate:.2f}" if other.rate else "",
        f"{aim:.1f}",
    )


class Watch:
    """The most memory of the server's processes while the block ran, above what it was before."""

    def __init__(self, ours: Undercroft) -> None:
        self.ours = ours
        self.most = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self.rest = self.ours.memory()[0]
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            self.most = max(self.most, self.ours.memory()[0] - self.rest)


def _huge(console: Console, ours: Undercroft) -> None:
    path = f"{ours.url}/storage/v1/object/bench/huge.bin"
    length = {"Content-Length": str(HUGE)}
    with Watch(ours) as up:
        started = time.perf_counter()
        answer = httpx.post(
            path, content=_zeros(), headers=ours.headers | RAW | length, timeout=300
        )
        answer.raise_for_status()
        up_seconds = time.perf_counter() - started
    with Watch(ours) as down:
        started = time.perf_counter()
        with httpx.stream("GET", path, headers=ours.headers, timeout=300) as found:
            received = sum(len(chunk) for chunk in found.iter_raw())
        down_seconds = time.perf_counter() - started
    assert received == HUGE
    for name, seconds, watch in (("up", up_seconds, up), ("down", down_seconds, down)):
        console.print(
            f"2 GB {name}: {seconds:.1f} s, {HUGE / 1e6 / seconds:,.0f} MB/s,"
            f" {watch.most:.0f} MB above rest (aim: under 100)"
        )


def _zeros() -> Iterator[bytes]:
    chunk = bytes(1_000_000)
    for _ in range(HUGE // len(chunk)):
        yield chunk
