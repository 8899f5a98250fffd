"""`/realtime/v1`: the socket, and broadcasts by HTTP. Plain ASGI: a socket may live for days."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from undercroft.foundation.access import Actor
from undercroft.foundation.cache import Cache
from undercroft.foundation.db import Database, Listener
from undercroft.foundation.db.failures import is_away, told
from undercroft.foundation.problems import NotFound, Unauthorized
from undercroft.foundation.settings import Settings
from undercroft.identity.auth.gate import CHANNEL as RIGHTS_CHANNEL
from undercroft.identity.auth.gate import EVERYONE, Gate
from undercroft.identity.auth.keys import CHANNEL as KEYS_CHANNEL
from undercroft.realtime import metrics
from undercroft.realtime.changes.tables import CHANNEL as WATCHED_CHANNEL
from undercroft.realtime.sockets.admission import Admission
from undercroft.realtime.sockets.bus import Bus
from undercroft.realtime.sockets.catalog import Catalog
from undercroft.realtime.sockets.channel import Channel
from undercroft.realtime.sockets.channels import SESSION_OVER, Channels
from undercroft.realtime.sockets.delivery import Delivery
from undercroft.realtime.sockets.feed import Feed
from undercroft.realtime.sockets.judge import Judge
from undercroft.realtime.sockets.posts import Posts
from undercroft.realtime.sockets.presence import Presence
from undercroft.realtime.sockets.protocol import (
    AsgiMessage,
    Incoming,
    Malformed,
    Version,
    read_binary,
    read_text,
)
from undercroft.realtime.sockets.rates import Rates
from undercroft.realtime.sockets.rooms import Rooms
from undercroft.realtime.sockets.socket import POLICY, TRY_AGAIN, Socket
from undercroft.realtime.sockets.stored import StoredMessages

log = structlog.get_logger()

PREFIX = "/realtime/v1"
WEBSOCKET = f"{PREFIX}/websocket"
RELOAD_CHANNEL = "pgrst"
VERSIONS: dict[str, Version] = {"1.0.0": "1.0.0", "2.0.0": "2.0.0"}
SWEEP_SECONDS = 1.0
# Policies may depend on data that no announcement tells of: private channels are asked again.
RECHECK_SECONDS = 60.0
MALFORMED = 1007
UNAVAILABLE = 503


class RealtimePlane:
    """An ASGI application with all that the sockets of one worker share."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        database: Database,
        cache: Cache,
        listener: Listener,
    ) -> None:
        own = settings.realtime
        self._settings = own
        self._listener = listener
        self._catalog = Catalog(database)
        self._judge = Judge(settings, database)
        self._bus = Bus(cache)
        delivery = Delivery(self._catalog, self._judge)
        self._feed = Feed(database, cache, self._bus, listener, delivery)
        rooms = Rooms(cache, self._bus)
        self._presence = Presence(cache, self._bus, rooms)
        self._stored = StoredMessages(database, listener, rooms)
        self._admission = Admission(gate, self._catalog, self._judge)
        self._rates = Rates(own)
        self._channels = Channels(
            own,
            self._admission,
            self._catalog,
            self._judge,
            self._feed,
            rooms,
            self._presence,
            self._stored,
            self._rates,
        )
        self._posts = Posts(gate, self._admission, rooms, self._stored, self._rates, own)
        self._sockets: set[Socket] = set()
        self._addresses: Counter[str] = Counter()
        self._numbers = count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rechecked_at = time.monotonic()
        self._all_due = False
        listener.on(RIGHTS_CHANNEL, self._rights_changed)
        listener.on(KEYS_CHANNEL, lambda _payload: self._rights_changed(EVERYONE))
        listener.on(RELOAD_CHANNEL, self._schema_changed)
        listener.on(WATCHED_CHANNEL, lambda _payload: self._catalog.forget())
        listener.when_deaf(self._turned_deaf)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._settings.enabled:
            if scope["type"] == "http":
                raise NotFound
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await self._posts(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def start(self) -> None:
        self._keep(self._sweep())

    async def stop(self) -> None:
        """Part with everybody; they come back to another worker."""
        for socket in self._sockets:
            socket.close(TRY_AGAIN, "This worker stops; connect again.")
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channels.stop()
        await self._feed.stop()
        await self._stored.stop()
        await self._presence.stop()
        await self._bus.stop()
        await self._judge.stop()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # the handshake
        socket = await self._open(scope, send)
        if socket is None:
            return
        self._sockets.add(socket)
        self._addresses[socket.address] += 1
        metrics.SOCKETS.inc()
        try:
            await self._converse(socket, receive)
        finally:
            await self._part(socket)

    async def _open(self, scope: Scope, send: Send) -> Socket | None:
        """Accept or refuse the handshake."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        headers = Headers(scope=scope)
        # The address holds a key, which the server would log; nothing of the head is needed later.
        scope["query_string"], scope["headers"] = b"", []
        version = VERSIONS.get(query.get("vsn", ["1.0.0"])[0])
        address = scope["client"][0] if scope.get("client") else "unknown"
        try:
            actor, api_key = await self._identify(query, headers)
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("socket_refused", **told(error))
            await _deny(scope, send, UNAVAILABLE)
            return None
        if actor is None or version is None:
            await _deny(scope, send, 401 if actor is None else 404)
            return None
        if self._is_full(address):
            await _deny(scope, send, 429)
            return None
        await send({"type": "websocket.accept"})
        return Socket(
            send,
            version=version,
            actor=actor,
            api_key=api_key,
            address=address,
            origin=headers.get("origin"),
            most_bytes=int(self._settings.send_queue_size),
            frames="undercroft.frames" in scope.get("extensions", {}),
        )

    async def _identify(
        self, query: dict[str, list[str]], headers: Headers
    ) -> tuple[Actor | None, str]:
        """The key may stand in the query here: browsers cannot set headers on a socket."""
        # Thousands come with the same one.
        api_key = sys.intern(query.get("apikey", [""])[0] or headers.get("apikey", ""))
        if not api_key:
            return None, ""
        try:
            return await self._admission.key(api_key, headers.get("origin")), api_key
        except Unauthorized:
            return None, ""

    def _is_full(self, address: str) -> bool:
        full = len(self._sockets) >= self._settings.max_sockets
        return full or self._addresses[address] >= self._settings.max_sockets_per_address

    async def _converse(self, socket: Socket, receive: Receive) -> None:
        number = next(self._numbers)
        while (message := await receive())["type"] != "websocket.disconnect":
            socket.heard_at = time.monotonic()
            if not socket.closing:
                await self._take(socket, number, message)
            del message  # or it is kept until the next one comes

    async def _take(self, socket: Socket, number: int, message: Message) -> None:
        if not await self._rates.may_speak(number):
            metrics.DROPPED.labels("flood").inc()
            socket.close(POLICY, "Too many messages.")
            return
        try:
            incoming = _read(message, socket.version)
        except Malformed as error:
            metrics.DROPPED.labels("malformed").inc()
            socket.close(MALFORMED, f"Not a message: {error}.")
            return
        await self._handle(socket, incoming)

    async def _handle(self, socket: Socket, incoming: Incoming) -> None:
        metrics.MESSAGES.labels(incoming.event if incoming.event in KNOWN else "other").inc()
        try:
            await self._channels.handle(socket, incoming)
        except Exception as error:
            log.exception("socket_message_failed", message_event=incoming.event[:50], **told(error))
            socket.fail()

    async def _part(self, socket: Socket) -> None:
        socket.abandon()
        self._sockets.discard(socket)
        self._addresses[socket.address] -= 1
        if not self._addresses[socket.address]:
            del self._addresses[socket.address]
        metrics.SOCKETS.dec()
        await asyncio.shield(self._keep(self._channels.leave_all(socket)))

    def _rights_changed(self, subject: str) -> None:
        if subject == EVERYONE:
            self._keep(self._recheck_everybody())
        elif channels := self._channels.about(subject):
            self._keep(self._recheck(channels))

    def _turned_deaf(self) -> None:
        self._catalog.forget()
        self._all_due = True  # whose session ended meanwhile, nobody said

    async def _recheck(self, channels: Iterable[Channel]) -> None:
        try:
            await self._channels.recheck(channels)
        except Exception as error:  # noqa: BLE001 - they may not stay because Postgres is not there
            log.warning("rights_not_checked", **told(error))
            self._all_due = True

    async def _recheck_everybody(self) -> None:
        """See whether all may stay; tried again with the next sweep until it was done."""
        self._all_due = False
        try:
            for socket in [*self._sockets]:
                try:
                    await self._admission.key(socket.api_key, socket.origin)
                except Unauthorized:
                    socket.close(SESSION_OVER, "The API key has ended.")
                else:
                    await self._channels.recheck([*socket.channels.values()])
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("rights_not_checked", **told(error))
            self._all_due = True

    def _schema_changed(self, _payload: str) -> None:
        self._catalog.forget()
        self._rechecked_at = 0.0  # soon, once for many changes

    async def _sweep(self) -> None:
        """End what has expired or fallen silent."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._sweep_once()
            except Exception:  # whatever it is, what expires later must end all the same
                log.exception("sockets_not_swept")

    async def _sweep_once(self) -> None:
        now = time.monotonic()
        longest = self._settings.heartbeat_timeout.total_seconds()
        private: list[Channel] = []
        for socket in [*self._sockets]:
            if now - socket.heard_at > longest:
                metrics.DROPPED.labels("silent").inc()
                socket.close(POLICY, "No heartbeat.")
                continue
            for channel in [*socket.channels.values()]:
                await self._channels.expel_expired(channel)
                if channel.config.private:
                    private.append(channel)
        if self._all_due or not self._listener.hearing:
            await self._recheck_everybody()
        elif now - self._rechecked_at > RECHECK_SECONDS:
            self._rechecked_at = now
            await self._recheck(private)

    def _keep(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


KNOWN = frozenset({"heartbeat", "phx_join", "phx_leave", "broadcast", "presence", "access_token"})


def _read(message: Message, version: Version) -> Incoming:
    text = message.get("text")
    if text is not None:
        return read_text(text, version)
    return read_binary(message.get("bytes") or b"")


async def _deny(scope: Scope, send: Callable[[AsgiMessage], Awaitable[None]], status: int) -> None:
    """Refuse the handshake with a status that people can read in their tools."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY})
        return
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    if status == UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b""})
