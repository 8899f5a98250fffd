"""Valkey between the workers: what one says on a subject, all hear who asked for the subject.

While Valkey is away nothing passes; `when_back` is called once it does again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from undercroft.foundation.cache import Cache

log = structlog.get_logger()

Handler = Callable[[bytes], None]
# For an answer of Valkey, and for a connection to it, which may be away.
ANSWER_SECONDS, PATIENCE_SECONDS = 5.0, 1.0
PING_SECONDS = 2.0
END_SECONDS = 0.5
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 2.0


async def end(task: "asyncio.Task[None] | None") -> None:
    """Cancel until it is over: the client of Valkey may take a cancellation for its own."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=END_SECONDS)


class Bus:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._handlers: dict[bytes, Handler] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._when_back: list[Callable[[], None]] = []
        self._pubsub: Any = None
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None

    @property
    def connected(self) -> bool:
        return self._pubsub is not None

    def when_back(self, handler: Callable[[], None]) -> None:
        self._when_back.append(handler)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Hear a subject. Returns when Valkey confirmed it, or after a moment without."""
        name = subject.encode()
        self._handlers[name] = handler
        self._start()
        confirmed = self._confirmed[name] = asyncio.Event()
        if self._pubsub is not None:
            with suppress(*self._cache.ERRORS):
                await self._pubsub.subscribe(name)
        with suppress(TimeoutError):
            connected = self._pubsub is not None
            async with asyncio.timeout(ANSWER_SECONDS if connected else PATIENCE_SECONDS):
                await confirmed.wait()

    async def unsubscribe(self, subject: str) -> None:
        name = subject.encode()
        self._handlers.pop(name, None)
        self._confirmed.pop(name, None)
        if self._pubsub is not None:
            with suppress(*self._cache.ERRORS):
                await self._pubsub.unsubscribe(name)

    async def publish(self, subject: str, message: bytes) -> bool:
        """Say it to the other workers; False when nobody can hear it now."""
        try:
            await self._messenger().publish(subject, message)
        except self._cache.ERRORS:
            return False
        return True

    async def stop(self) -> None:
        await end(self._task)
        if self._client is not None:
            with suppress(*self._cache.ERRORS):
                await self._client.aclose()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def _messenger(self) -> Any:
        if self._client is None:
            self._client = self._cache.messenger()
        return self._client

    async def _run(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._listen()
            except self._cache.ERRORS as error:
                if self._pubsub is not None:
                    pause = FIRST_RETRY_SECONDS
                    log.warning("messages_between_workers_lost", cause=str(error))
            except Exception:  # whatever it is, without us this worker hears no other any more
                log.exception("messages_between_workers_lost")
            finally:
                self._pubsub = None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    async def _listen(self) -> None:
        pubsub = self._messenger().pubsub()
        try:
            # A subject of its own keeps the connection in the state that reads expect.
            await pubsub.subscribe(self._cache.key("realtime", "all"))
            asked: set[bytes] = set()
            while new := self._handlers.keys() - asked:  # others may come while we ask for these
                await pubsub.subscribe(*new)
                asked |= new
            self._pubsub = pubsub
            for handler in self._when_back:
                handler()
            while True:
                message = await pubsub.get_message(timeout=PING_SECONDS)
                if message is None:
                    await pubsub.ping()
                else:
                    self._heard(message)
        finally:
            with suppress(*self._cache.ERRORS):
                await pubsub.aclose()

    def _heard(self, message: Any) -> None:
        kind, subject = message["type"], message["channel"]
        if kind == "message" and subject in self._handlers:
            self._handlers[subject](message["data"])
        elif kind == "subscribe" and subject in self._confirmed:
            self._confirmed[subject].set()
