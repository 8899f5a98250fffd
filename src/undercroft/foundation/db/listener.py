"""NOTIFY for facts that every process must learn at once: ended sessions, new keys, new schema.

Postgres delivers a notification only after the transaction that sent it has committed. While the
connection is down nothing is heard, so `hearing` turns false and caches that rely on it must ask
the database instead.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.db.database import connect_options
from undercroft.foundation.db.failures import DRIVER_ERRORS, is_away, told
from undercroft.foundation.settings import DatabaseSettings

log = structlog.get_logger()

# A silent half-open connection must be noticed within the second in which revocation is promised.
PING_SECONDS = 0.4
ANSWER_SECONDS = 0.4
FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 2.0


async def notify(session: AsyncSession, channel: str, payload: str = "") -> None:
    """Send on `channel` when this transaction commits."""
    await session.execute(
        text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
    )


class Listener:
    """One connection of this process that hears notifications and reconnects by itself."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self.hearing = False
        self._settings = settings
        self._handlers: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._when_deaf: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[Any] | None = None
        self._turn = asyncio.Lock()

    def on(self, channel: str, handler: Callable[[str], None]) -> None:
        """Call `handler(payload)` for each notification; register before `start`."""
        self._handlers[channel].append(handler)

    def when_deaf(self, handler: Callable[[], None]) -> None:
        """Call `handler` whenever notifications may have been missed."""
        self._when_deaf.append(handler)

    async def catch_up(self) -> bool:
        """Say whether everything announced before this call has been heard by now."""
        if self._connection is not None:
            with suppress(*DRIVER_ERRORS):
                await self._ping(self._connection)
                return True
        return False

    async def start(self) -> None:
        """Begin listening in the background; does nothing where LISTEN cannot work."""
        url = self._settings.listen_url or (None if self._settings.pooled else self._settings.url)
        if url is not None:
            self._task = asyncio.create_task(self._run(url.get_secret_value()))

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, url: str) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._listen(url)
            except Exception as error:  # noqa: BLE001 - without us this process hears nothing any more
                if self.hearing:
                    pause = FIRST_RETRY_SECONDS
                if self.hearing or not is_away(error):
                    log.warning("listener_lost", **told(error))
            finally:
                self._turn_deaf()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_RETRY_SECONDS)

    async def _listen(self, url: str) -> None:
        options = connect_options(self._settings, application="listener")
        connection: asyncpg.Connection[Any] = await asyncpg.connect(url, **options)
        try:
            for channel in self._handlers:
                await connection.add_listener(channel, self._heard)
            self._turn_deaf()  # whatever was cached before LISTEN took hold may be stale
            self.hearing = True
            self._connection = connection
            while True:
                await asyncio.sleep(PING_SECONDS)
                await self._ping(connection)
        finally:
            self._connection = None
            connection.terminate()

    async def _ping(self, connection: "asyncpg.Connection[Any]") -> None:
        async with self._turn:
            await connection.execute("SELECT 1", timeout=ANSWER_SECONDS)

    def _heard(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for handler in self._handlers[channel]:
            handler(str(payload))

    def _turn_deaf(self) -> None:
        self.hearing = False
        for handler in self._when_deaf:
            handler()
