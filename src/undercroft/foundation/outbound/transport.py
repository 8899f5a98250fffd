"""Connections that are judged by the address they go to, at the moment they are opened.

A name is resolved once, its addresses are judged, and the connection goes to one of those: a name
that answers differently a moment later gains nothing. The name stays what TLS verifies and what
the Host header says, because only the TCP connection is diverted.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

from undercroft.foundation.outbound.addresses import Address
from undercroft.foundation.outbound.errors import TargetRefused
from undercroft.foundation.outbound.rules import Rules
from undercroft.foundation.settings import OutboundSettings

# All addresses of a name, best first. Raises OSError when there is none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# A name with a thousand addresses must not make us try them all.
MOST_ADDRESSES = 4


class SystemResolver:
    """The resolver of the machine, /etc/hosts included, in threads of its own.

    The shared pool has a few threads only, and whoever owns a slow name server could hold them.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """httpcore's way to the network, by way of the rules for targets."""

    def __init__(self, rules: Rules, resolve: Resolve) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._rules = rules
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises `TargetRefused`, `httpcore2.ConnectError`, `httpcore2.ConnectTimeout`."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._permitted(host, port)
                return await self._first_that_answers(
                    addresses, port, local_address, socket_options
                )
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        del path, timeout, socket_options
        raise TargetRefused("sockets of this machine are not called")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _permitted(self, host: str, port: int) -> list[Address]:
        try:
            texts = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("no such host") from error
        addresses = [ip_address(text) for text in texts]
        permitted = [address for address in addresses if self._rules.permits(host, address, port)]
        if not permitted:
            raise TargetRefused("this address is not called")
        return permitted[:MOST_ADDRESSES]

    async def _first_that_answers(
        self,
        addresses: Sequence[Address],
        port: int,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, None, local_address, socket_options
                )
            except httpcore2.ConnectError as error:
                failure = error
        raise failure


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx's transport over `GuardedBackend`. Knows no proxy, whatever the environment says."""

    def __init__(
        self,
        settings: OutboundSettings,
        rules: Rules,
        resolve: Resolve,
        verify: ssl.SSLContext,
    ) -> None:
        super().__init__(verify=verify, trust_env=False)
        # httpx has no argument for the backend; its pool is what would be built with it.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=settings.max_connections,
            max_keepalive_connections=20,
            keepalive_expiry=30,
            network_backend=GuardedBackend(rules, resolve),
        )
