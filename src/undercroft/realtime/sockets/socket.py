"""One client's connection: its channels, and a bounded queue to it."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from undercroft.foundation.access import Actor
from undercroft.realtime import metrics
from undercroft.realtime.sockets.protocol import AsgiMessage, Outgoing, Version, framed

if TYPE_CHECKING:
    from undercroft.realtime.sockets.channel import Channel

TOO_SLOW, POLICY, FAILED, TRY_AGAIN = 4008, 1008, 1011, 1013
# What a message costs beside its text.
OVERHEAD_BYTES = 200
SEND = "websocket.send"
WRITE_BYTES = 64 * 1024


class Socket:
    """`push` never waits: what a client does not take piles up to a limit, then it is dropped."""

    __slots__ = (
        "_draining",
        "_frames",
        "_most_bytes",
        "_queue",
        "_queued_bytes",
        "_send",
        "actor",
        "address",
        "api_key",
        "channels",
        "closing",
        "heard_at",
        "origin",
        "version",
    )

    def __init__(
        self,
        send: Callable[[AsgiMessage], Awaitable[None]],
        *,
        version: Version,
        actor: Actor,
        api_key: str,
        address: str,
        origin: str | None,
        most_bytes: int,
        frames: bool,
    ) -> None:
        self.version: Version = version
        self.actor = actor
        self.api_key = api_key
        self.address = address
        self.origin = origin
        self.channels: dict[str, Channel] = {}
        self.closing = False
        self.heard_at = time.monotonic()
        self._send = send
        self._most_bytes = most_bytes
        self._frames = frames
        # Only while something waits in it: an empty one takes 760 bytes.
        self._queue: deque[AsgiMessage] | None = None
        self._queued_bytes = 0
        self._draining: asyncio.Task[None] | None = None

    def push(self, message: Outgoing) -> None:
        if (encoded := message.encoded(self.version)) is not None:
            self.put(encoded)

    def put(self, message: AsgiMessage) -> None:
        if self.closing:
            return
        self._queued_bytes += _size(message)
        if self._queue is None:
            self._drain_from(deque((message,)))
            return
        self._queue.append(message)
        if self._queued_bytes > self._most_bytes:
            metrics.DROPPED.labels("slow").inc()
            self.close(TOO_SLOW, "This client does not read as fast as messages come.")

    def close(self, code: int, reason: str) -> None:
        """Tell the client why and end; what still waits for it is forgotten."""
        if self.closing:
            return
        self.closing = True
        self._queued_bytes = 0
        last = {"type": "websocket.close", "code": code, "reason": reason}
        if self._queue is None:
            self._drain_from(deque((last,)))
            return
        self._queue.clear()
        self._queue.append(last)

    def fail(self) -> None:
        self.close(FAILED, "An error of ours; connect again.")

    def abandon(self) -> None:
        """The connection is gone."""
        self.closing = True
        if self._draining is not None:
            self._draining.cancel()

    def _drain_from(self, queue: deque[AsgiMessage]) -> None:
        self._queue = queue
        self._draining = asyncio.get_running_loop().create_task(self._drain(queue))

    async def _drain(self, queue: deque[AsgiMessage]) -> None:
        try:
            while queue:
                await self._send(self._next(queue))
        except (OSError, RuntimeError):
            self.closing = True  # the connection ended under our hands; its reader cleans up
        finally:
            self._queue = self._draining = None

    def _next(self, queue: deque[AsgiMessage]) -> AsgiMessage:
        """A message, or as many as one write may carry."""
        message = queue.popleft()
        self._queued_bytes -= _size(message)
        if not self._frames or message["type"] != SEND:
            return message
        frames = [framed(message)]
        size = len(frames[0])
        while queue and size < WRITE_BYTES and queue[0]["type"] == SEND:
            message = queue.popleft()
            self._queued_bytes -= _size(message)
            frames.append(framed(message))
            size += len(frames[-1])
        return {"type": SEND, "frames": b"".join(frames)}


def _size(message: AsgiMessage) -> int:
    content = message.get("text") or message.get("bytes") or ""
    return len(content) + OVERHEAD_BYTES
