"""Calls over HTTP as fast as they are answered, on connections that stay open.

httptools reads the answers and one event loop drives all connections: whatever a client library
would do beside that would be measured with the server.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

WARM_UP_SECONDS = 0.5
LONGEST_ANSWER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """`rate` in answers a second; `failed` are answers that are errors, and broken connections."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(slots=True)
class Tally:
    took: list[float]
    failed: int = 0

    def measured(self, seconds: float) -> Measured:
        times = sorted(self.took) or [0.0]
        middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
        return Measured(len(self.took) / seconds, middle * 1000, late * 1000, self.failed)


class Caller(asyncio.Protocol):
    """One connection, which asks again as soon as it is answered."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, until: float) -> None:
        self._requests, self._tally, self._until = requests, tally, until
        self._parser = httptools.HttpResponseParser(self)
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of no class of asyncio
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The parser has read a whole answer."""
        now = time.perf_counter()
        if self._parser.get_status_code() >= 400:
            self._tally.failed += 1
        else:
            self._tally.took.append(now - self._asked_at)
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if time.perf_counter() < self._until:
            self._tally.failed += 1
        self.ended.set_result(None)

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(next(self._requests))


def request(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request, up to its last."""
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def measure(url: str, requests: Iterator[bytes], *, seconds: int, connections: int) -> Measured:
    """Send from all connections for so long, after a moment of warming up."""

    async def run() -> Measured:
        await _call(url, requests, WARM_UP_SECONDS, connections)
        return (await _call(url, requests, seconds, connections)).measured(seconds)

    return uvloop.run(run())


async def _call(url: str, requests: Iterator[bytes], seconds: float, connections: int) -> Tally:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    tally, until = Tally([]), time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    callers = [
        await loop.create_connection(
            lambda: Caller(requests, tally, until),
            parts.hostname or "localhost",
            parts.port or (443 if secure else 80),
            ssl=ssl.create_default_context() if secure else None,
        )
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + LONGEST_ANSWER_SECONDS):
        await asyncio.gather(*(caller.ended for _, caller in callers))
    return tally
