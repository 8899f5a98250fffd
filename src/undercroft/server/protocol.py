"""HTTP/1.1 and WebSockets as uvicorn speaks them, with an end to what would last or grow."""

import asyncio
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from undercroft.foundation.http.protocol import LeanProtocol

LONGEST_HEAD_SECONDS = 20.0
_PROBLEM = (
    b'{"type": "/problems/headers-too-large", "title": "The headers are too large", '
    b'"status": 431, "code": "headers_too_large"}'
)
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_PROBLEM), _PROBLEM)
)


class BoundedProtocol(LeanProtocol):
    """Bounds what is read before a request begins.

    What a head that arrived whole may hold is for the application to judge; here only those end
    that would otherwise grow, or keep a connection waiting, for ever.
    """

    max_head_bytes = 65_536
    _head_open = False
    _head_bytes = 0
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._head_open = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._forget_deadline()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        was_open = self._head_open
        super().data_received(data)
        if not self._head_open:
            return
        self._expect_head()
        if was_open:
            self._head_bytes += len(data)
        if self._head_bytes > self.max_head_bytes and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def _expect_head(self) -> None:
        if self._head_deadline is None:
            loop: Any = self.loop
            self._head_deadline = loop.call_later(LONGEST_HEAD_SECONDS, self.transport.close)

    def _forget_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


class Inbox:
    """What uvicorn uses of a queue that one task reads; asyncio's keeps four deques, 3 kB."""

    __slots__ = ("_messages", "_reader")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def empty(self) -> bool:
        return not self._messages

    async def get(self) -> Any:
        while not self._messages:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._messages.pop(0)


# For the sockets that may write, which are nearly all: an event keeps a deque.
WRITABLE = asyncio.Event()
WRITABLE.set()


class LeanSocketProtocol(WebSocketsSansIOProtocol):
    """Keeps nothing of handshake and messages while a socket lives: 10 kB each, for thousands.

    A message to thousands is framed once, by whoever sends it, and several go out in one write: the
    extension `undercroft.frames` says that `send` takes `frames`, whole ones of a server.
    """

    # Python shares the names of an object's attributes with others of its class up to thirty.
    __slots__ = (
        "close_timeout",
        "close_timer",
        "curr_msg_data_type",
        "initial_response",
        "last_ping_rtt",
        "pending_ping_payload",
        "ping_interval",
        "ping_sent_at",
        "ping_timeout",
        "ping_timer",
        "pong_timer",
    )

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self.queue: Any = Inbox()
        self.writable = WRITABLE

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()

    def resume_writing(self) -> None:
        self.writable.set()
        self.writable = WRITABLE

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        del self.request
        # The parser goes on where it read them, and keeps them.
        event.headers.clear()
        event.path = ""
        self.scope.setdefault("extensions", {})["undercroft.frames"] = {}

    def handle_text(self, event: Frame) -> None:
        super().handle_text(event)
        event.data = b""

    def handle_bytes(self, event: Frame) -> None:
        super().handle_bytes(event)
        event.data = b""

    async def send(self, message: Any) -> None:
        frames = message.get("frames")
        if frames is None:
            await super().send(message)
            if message["type"] == "websocket.accept":
                self.response.headers.clear()
            elif self.close_sent:
                self.handshake_complete = True  # or uvicorn complains of each that we refused
            return
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        self.transport.write(frames)


def bounded_protocol(max_head_bytes: int) -> type[asyncio.Protocol]:
    """The class for uvicorn's `http` option."""
    return type("Protocol", (BoundedProtocol,), {"max_head_bytes": max_head_bytes})
