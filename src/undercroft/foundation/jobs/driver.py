"""The worker's one connection to the queue, which outlives the server it is connected to.

PgQueuer's loop ends when its database does. Here a statement that lost its connection waits for
the server and is sent again, so a restart of Postgres costs a pause and not the running jobs.
Sending again is safe: a claim whose answer was lost is returned by the sweep, all others can be
repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeAlias, TypeVar

import asyncpg
import structlog
from pgqueuer.core.tm import TaskManager
from pgqueuer.ports.driver import Driver, NotifyCallback

from undercroft.foundation.db import connect_options
from undercroft.foundation.settings import DatabaseSettings

log = structlog.get_logger()

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Every statement of the queue takes milliseconds; one that hangs has lost its server.
STATEMENT_TIMEOUT = 30.0
CLOSE_TIMEOUT = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

CONNECTION_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalClientError,  # of a connection to which Postgres has just said goodbye
)


class QueueDriver(Driver):
    """PgQueuer's port to Postgres. `shutdown`, once set, ends the waiting for a lost server."""

    def __init__(self, database: DatabaseSettings) -> None:
        url = database.listen_url or database.url
        assert url, "a worker starts when the engines are open"
        self._url = url
        self._settings = database
        # A transaction-mode pooler gives each transaction another session: nothing that
        # belongs to a session (LISTEN, prepared statements) works, polling does.
        self._pooled = database.pooled and database.listen_url is None
        self._listeners: list[tuple[str, Callable[..., None]]] = []
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._shutdown = asyncio.Event()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        rows = await self._send(lambda connection: connection.fetch(query, *args))
        return [dict(row) for row in rows]

    async def execute(self, query: str, *args: object) -> str:
        return await self._send(lambda connection: connection.execute(query, *args))

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        def relay(_connection: object, _pid: object, _channel: object, payload: object) -> None:
            callback(str(payload))

        if not self._pooled:
            await self._send(lambda connection: connection.add_listener(channel, relay))
            self._listeners.append((channel, relay))

    async def close(self) -> None:
        self._shutdown.set()
        if self._connection:
            with suppress(Exception):
                await self._connection.close(timeout=CLOSE_TIMEOUT)

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> TaskManager:
        return TaskManager()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The queue manager and the scheduler both enter and leave; `close` ends it."""

    async def _send(self, statement: Callable[[Connection], Awaitable[T]]) -> T:
        """Run one statement, for as long as it takes to find a server that does."""
        async with self._lock:
            pause = FIRST_PAUSE
            while True:
                try:
                    return await self._try(statement)
                except Exception as error:
                    if self._shutdown.is_set() or not self._is_lost(error):
                        raise
                    log.warning("queue_connection_lost", error=str(error), pause=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._shutdown.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _try(self, statement: Callable[[Connection], Awaitable[T]]) -> T:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await self._connect()
        if not self._pooled:
            return await statement(connection)
        async with connection.transaction():
            return await statement(connection)

    async def _connect(self) -> Connection:
        options = connect_options(self._settings, application="worker")
        if not self._pooled:
            # A crash may forget that a job was done: it is done again. Not waiting for the disk
            # makes a worker several times faster; the jobs' own transactions still wait.
            options["server_settings"] |= {"synchronous_commit": "off"}
        connection: Connection = await asyncpg.connect(
            self._url.get_secret_value(), command_timeout=STATEMENT_TIMEOUT, **options
        )
        for channel, relay in self._listeners:
            await connection.add_listener(channel, relay)
        return connection

    def _is_lost(self, error: Exception) -> bool:
        """Whether the connection failed, and not the statement on it."""
        connection, lost = self._connection, isinstance(error, CONNECTION_LOST)
        if lost and connection:
            connection.terminate()  # after a timeout its state is unknown
        return lost or connection is None or connection.is_closed()
