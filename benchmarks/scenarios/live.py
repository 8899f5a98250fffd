"""Live changes: sockets held, one insert to all of them, a stream of inserts to some."""

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import uvloop
from rich.console import Console

from benchmarks.undercroft import Undercroft

SOCKETS = 5000
ROUNDS = 5
SUBSCRIBERS, RATE, SECONDS = 100, 1000, 5
AT_ONCE = 100
# One account at one address plays thousands of people here.
SETTINGS = {
    "UNDERCROFT_REALTIME__MAX_SOCKETS_PER_ADDRESS": "20000",
    "UNDERCROFT_REALTIME__JOINS_PER_SECOND": "20000",
    "UNDERCROFT_REALTIME__MAX_CHANNELS_PER_CALLER": "20000",
}
WISH = {"event": "INSERT", "schema": "public", "table": "items"}


def run(console: Console, options: argparse.Namespace) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.environ |= SETTINGS
    ours = Undercroft(1000, workers=options.workers)
    try:
        answer = httpx.put(f"{ours.url}/api/v1/realtime/tables/items", headers=ours.service)
        answer.raise_for_status()
        uvloop.run(_crowd(console, ours))
        uvloop.run(_stream(console, ours))
    finally:
        ours.close()


class Client(asyncio.Protocol):
    """As little of a WebSocket client as it takes, so that the server has the cores."""

    def __init__(self, ours: Undercroft, key: str, on_change: Callable[[float], None]) -> None:
        host = urlsplit(ours.url).netloc
        self._request = (
            f"GET /realtime/v1/websocket?apikey={key}&vsn=1.0.0 HTTP/1.1\r\nHost: {host}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        self._on_change = on_change
        self.transport: asyncio.WriteTransport
        self._buffer = b""
        self._open = False
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.following: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head, head
            self._open, self._buffer = True, rest
            self.opened.set_result(None)
        while (message := self._message()) is not None:
            if b'"event":"postgres_changes"' in message:
                self._on_change(time.perf_counter())
            elif b'"event":"system"' in message:
                assert b'"status":"ok"' in message, message
                self.following.set_result(None)
            elif b'"status":"error"' in message and not self.following.done():
                self.following.set_exception(RuntimeError(message.decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in (self.opened, self.following):
            if not waiting.done():
                waiting.set_exception(exc or ConnectionError("The server hung up."))

    def join(self, token: str) -> None:
        payload = {"config": {"postgres_changes": [WISH]}, "access_token": token}
        message = {"topic": "realtime:b", "event": "phx_join", "payload": payload, "ref": "1"}
        content = json.dumps(message).encode()
        mask = b"\0\0\0\0"  # a mask of zeros leaves the text as it is
        self.transport.write(b"\x81\xfe" + len(content).to_bytes(2, "big") + mask + content)

    def _message(self) -> bytes | None:
        data = self._buffer
        if len(data) < 2:
            return None
        length, at = data[1], 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at + length:
            return None
        self._buffer = data[at + length :]
        return data[at : at + length]


async def _connect(
    ours: Undercroft, number: int, on_change: Callable[[float], None]
) -> list[Client]:
    loop = asyncio.get_running_loop()
    parts = urlsplit(ours.url)
    key = ours.anon_key()
    clients: list[Client] = []
    for _ in range(0, number, AT_ONCE):
        made = await asyncio.gather(
            *(
                loop.create_connection(
                    lambda: Client(ours, key, on_change), parts.hostname, parts.port
                )
                for _ in range(AT_ONCE)
            )
        )
        clients += [client for _, client in made]
        await asyncio.gather(*(client.opened for _, client in made))
    return clients


async def _follow(ours: Undercroft, clients: list[Client]) -> None:
    token = ours.headers["Authorization"].removeprefix("Bearer ")
    for start in range(0, len(clients), AT_ONCE):
        some = clients[start : start + AT_ONCE]
        for client in some:
            client.join(token)
        await asyncio.gather(*(client.following for client in some))


async def _crowd(console: Console, ours: Undercroft) -> None:
    arrivals: list[float] = []
    before = _worker_memory(ours)
    started = time.perf_counter()
    clients = await _connect(ours, SOCKETS, arrivals.append)
    opened = _worker_memory(ours)
    await _follow(ours, clients)
    took = time.perf_counter() - started
    joined = _worker_memory(ours)
    console.print(
        f"{SOCKETS:,} sockets held, opened and joined in {took:.1f} s; a worker's memory per idle "
        f"socket {(opened - before) / SOCKETS / 1000:.1f} kB, with a channel on a table "
        f"{(joined - before) / SOCKETS / 1000:.1f} kB (aim: under 20)"
    )
    body = {"owner": ours.user_id, "name": "live", "amount": 1, "note": "one to all"}
    worst: list[float] = []
    for _ in range(ROUNDS):
        arrivals.clear()
        sent = time.perf_counter()
        async with httpx.AsyncClient(base_url=ours.url, headers=ours.headers) as client:
            (await client.post("/rest/v1/items", json=body)).raise_for_status()
        async with asyncio.timeout(30):
            while len(arrivals) < SOCKETS:  # noqa: ASYNC110 - looked at now and then
                await asyncio.sleep(0.005)
        arrivals.sort()
        worst.append(arrivals[int(SOCKETS * 0.99)] - sent)
    worst.sort()
    console.print(
        f"One insert reaches all {SOCKETS:,}: p99 {worst[len(worst) // 2] * 1000:.0f} ms "
        f"(best {worst[0] * 1000:.0f}, worst {worst[-1] * 1000:.0f} of {ROUNDS}; aim: under 500)"
    )
    for subscriber in clients:
        subscriber.transport.close()


async def _stream(console: Console, ours: Undercroft) -> None:
    arrivals: list[float] = []
    clients = await _connect(ours, SUBSCRIBERS, arrivals.append)
    await _follow(ours, clients)
    total = RATE * SECONDS
    started = time.perf_counter()
    connections = [await asyncpg.connect(ours.database_url()) for _ in range(4)]
    statement = "INSERT INTO public.items (owner, name, amount, note) VALUES ($1, 'live', 1, 'x')"

    async def write(connection: asyncpg.Connection, first: int) -> None:
        for number in range(first, total, len(connections)):
            pause = started + number / RATE - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            await connection.execute(statement, ours.user_id)

    await asyncio.gather(*(write(one, n) for n, one in enumerate(connections)))
    written = time.perf_counter() - started
    async with asyncio.timeout(60):
        while len(arrivals) < total * SUBSCRIBERS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    behind = arrivals[-1] - started - written
    console.print(
        f"{total / written:,.0f} inserts/s to {SUBSCRIBERS} subscribers: "
        f"{len(arrivals):,} of {total * SUBSCRIBERS:,} messages, the last {behind * 1000:.0f} ms "
        "after the last insert (aim: 1,000 inserts/s, none lost)"
    )
    await asyncio.gather(*(connection.close() for connection in connections))


def _worker_memory(ours: Undercroft) -> int:
    """Bytes that belong to the Python processes alone."""
    children = psutil.Process(ours.process.pid).children()
    python = [child for child in children if "serve" in " ".join(child.cmdline())]
    return sum(child.memory_full_info().uss for child in python)
