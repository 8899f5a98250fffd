"""What a web worker does: uvicorn on connections that all workers share out."""

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import uvicorn

from undercroft.app import Application, create_app
from undercroft.foundation.scheduling import work_in_batches
from undercroft.foundation.settings import Settings
from undercroft.identity.auth.hashing import HashQueue
from undercroft.server.protocol import LeanSocketProtocol, bounded_protocol
from undercroft.server.seats import Seats

_log = logging.getLogger(__name__)

GRACE_SECONDS = 10
# Longer than the idle time of the usual proxies (60 s), so that they close first and never send
# a request into a connection that we are closing.
KEEP_ALIVE_SECONDS = 75
# The listener stays readable while a connection waits that nothing here has room for: without a
# pause a worker would do nothing but look.
FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
FULL_PAUSE_SECONDS = 0.1
FULL_TOLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker shares: the socket with its connections, its own seat, the hashing process."""

    listener: socket.socket
    seats: Seats
    seat: int
    hashing: HashQueue | None = None


def run_web_worker(settings: Settings, place: Place, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM, then finish what is in flight."""
    work_in_batches()
    _allow_many_connections()
    app = create_app(settings, hashing=place.hashing)
    WebServer(app, settings, place, on_ready).run()


def _allow_many_connections() -> None:
    """As many descriptors as the system lets us have: sockets for live changes stay open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class CountedConnections(set[Any]):
    """uvicorn's set of connections, telling the other workers its size."""

    def __init__(self, seats: Seats, seat: int) -> None:
        super().__init__()
        self._seats = seats
        self._seat = seat
        self.taking = False

    def add(self, connection: Any) -> None:
        super().add(connection)
        self.tell()

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self.tell()

    remove = discard

    def tell(self) -> None:
        if self.taking:
            self._seats.count(self._seat, len(self))


class WebServer(uvicorn.Server):
    def __init__(
        self, app: Application, settings: Settings, place: Place, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(_configured(app, settings))
        self._app = app
        self._listener = place.listener
        self._seats = place.seats
        self._seat = place.seat
        self._on_ready = on_ready
        self._pause: asyncio.TimerHandle | None = None
        self._full_told = float("-inf")
        self._accepting: set[asyncio.Task[Any]] = set()
        self._connections = CountedConnections(place.seats, place.seat)
        self.server_state.connections = self._connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await super().startup(sockets=[])  # starts the application; we do the accepting
        self._listen()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._seats.inbox(self._seat), self._take)
        self._connections.taking = True
        self._connections.tell()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        self._app.parts.stopping = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        if self._pause:
            self._pause.cancel()
        loop.remove_reader(self._seats.inbox(self._seat))
        self._connections.taking = False
        self._seats.close(self._seat)
        await super().shutdown(sockets=[self._listener])

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Take every waiting connection and place each with the worker that holds the fewest."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:  # another worker was faster, or the caller is gone
                if error.errno in FULL:
                    self._wait_for_room(error)
                return
            seat = self._seats.least_busy(self._seat)
            if seat != self._seat and self._seats.hand_over(connection, seat):
                connection.close()
            else:
                self._serve_connection(connection)

    def _wait_for_room(self, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._pause = loop.call_later(FULL_PAUSE_SECONDS, self._listen)
        if time.monotonic() - self._full_told > FULL_TOLD_SECONDS:
            self._full_told = time.monotonic()
            _log.error("New connections wait: %s", error.strerror)

    def _take(self) -> None:
        if connection := self._seats.receive(self._seat):
            self._serve_connection(connection)

    def _serve_connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepted)
        self._seats.count(self._seat, len(self._connections) + len(self._accepting))

    def _accepted(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        task.exception()  # a caller who left at once is no news

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _configured(app: Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded_protocol(int(settings.http.max_header_bytes)),
        ws=LeanSocketProtocol,
        ws_max_size=int(settings.realtime.max_message_size),
        ws_ping_interval=None,  # clients send heartbeats, and one sweep looks for the silent
        ws_per_message_deflate=False,  # a compressor for each idle socket outweighs the socket
        lifespan="on",
        log_config=None,  # the application configures logs, requests included
        access_log=False,
        proxy_headers=False,  # the application believes only `http.trusted_proxies`
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
