"""A pool of connections for requests that leave (but for a time limit) no session state behind.

asyncpg's own pool spends a quarter of a one-row read on bookkeeping (12,900 against 18,400 calls a
second here), most of it to reset sessions. Ours have nothing to reset: every request is one
transaction and its settings end with it.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from undercroft.data.rest.errors import connection_failed, pool_timeout

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect = Callable[[], Awaitable[Connection]]

_CLOSE_WITHIN = 5.0  # seconds for a farewell, before the connection is just dropped
_CANCEL_WITHIN = 5.0  # seconds for the server to take notice of a cancelled query


@dataclass(eq=False, slots=True)
class Session:
    """A connection with what has been prepared on it.

    `statements` maps (role, SQL) to the name of a prepared statement, oldest use first; those in
    `unsure` failed on their first run, and may be there or not. The time limit of a statement is
    the one thing a session keeps: it counts only if set before. `rests` is how many visits of
    `retire` it has not been used for.
    """

    connection: Connection
    execute: Any = None
    statements: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)
    unsure: set[str] = field(default_factory=set)
    named: int = 0
    timeout: str | None = None
    opened: float = field(default_factory=time.monotonic)
    rests: int = 0

    async def limit_time(self, timeout: str | None) -> None:
        """Set the `statement_timeout` of the session; None is that of its login."""
        if timeout == self.timeout:
            return
        if timeout is None:
            await self.connection.execute("reset statement_timeout")
        else:
            await self.connection.fetch(
                "select pg_catalog.set_config('statement_timeout', $1, false)", timeout
            )
        self.timeout = timeout

    async def clean(self, *, statements: bool) -> None:
        """Take back what survives a failed transaction: locks and prepared statements."""
        await self.connection.execute("select pg_catalog.pg_advisory_unlock_all()")
        if not statements:
            return
        await self.connection.execute("deallocate all")
        await self.connection.reload_schema_state()  # what asyncpg prepared is gone as well
        self.statements.clear()
        self.unsure.clear()
        self.execute = None


class Pool:
    """Hands out the most recently used session, so that few stay warm under light load."""

    def __init__(self, connect: Connect, *, size: int = 10, acquire_timeout: float = 10.0) -> None:
        self._connect = connect
        self._size = size
        self._timeout = acquire_timeout
        self._idle: list[Session] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._following_up: set[asyncio.Task[None]] = set()
        self._closed = False
        self.timeouts = 0

    @property
    def size(self) -> int:
        return self._size

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def available(self) -> int:
        """Count the sessions that could be taken now, those not opened yet among them."""
        return self._size - self._open + len(self._idle)

    async def take(self) -> Session:
        """Take a session, opening one or waiting for one as needed. Give it back with `give`."""
        while True:
            while self._idle:
                session = self._idle.pop()
                if not session.connection.is_closed():
                    session.rests = 0
                    return session
                self._open -= 1
            if self._open < self._size:
                return await self._open_session()
            await self._wait()

    def give(self, session: Session) -> None:
        if session.connection.is_closed() or self._closed:
            self.drop(session)
            return
        self._idle.append(session)
        self._wake()

    def drop(self, session: Session) -> None:
        """Give up a session whose state is unknown."""
        if not session.connection.is_closed():
            session.connection.terminate()
        self._open -= 1
        self._wake()

    def cancel(self, session: Session) -> None:
        """Give up a session whose query was cancelled, once the server has heard of that.

        asyncpg asks the server over a connection of its own, which `drop` would cut short.
        """
        self._follow_up(self._cancel(session))

    def give_cleaned(self, session: Session, *, statements: bool) -> None:
        """Give back a session in which foreign code ran and failed; the answer need not wait."""
        self._follow_up(self._clean(session, statements=statements))

    def _follow_up(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._following_up.add(task)
        task.add_done_callback(self._following_up.discard)

    async def _clean(self, session: Session, *, statements: bool) -> None:
        try:
            async with asyncio.timeout(_CANCEL_WITHIN):
                await session.clean(statements=statements)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.drop(session)
        else:
            self.give(session)

    async def _cancel(self, session: Session) -> None:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await session.connection.close(timeout=_CANCEL_WITHIN)
        self.drop(session)

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Connection]:
        """Lend a bare connection, for work that is no request."""
        session = await self.take()
        try:
            await session.limit_time(None)
            yield session.connection
        finally:
            self.give(session)

    async def retire(self, *, older_than: float, rested: int) -> None:
        """Close idle sessions of that age, and those unused at so many visits in a row."""
        now = time.monotonic()
        kept: list[Session] = []
        retired: list[Session] = []
        for session in self._idle:
            session.rests += 1
            old = now - session.opened >= older_than or session.rests > rested
            (retired if old else kept).append(session)
        self._idle = kept
        self._open -= len(retired)
        closing = (session.connection.close(timeout=_CLOSE_WITHIN) for session in retired)
        await asyncio.gather(*closing, return_exceptions=True)

    async def close(self) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        await asyncio.gather(*self._following_up, *(session.connection.close() for session in idle))

    async def _open_session(self) -> Session:
        self._open += 1
        try:
            return Session(await self._connect())
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._open -= 1
            self._wake()
            raise connection_failed(str(error)) from error
        except BaseException:
            self._open -= 1
            self._wake()
            raise

    async def _wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait_for(future, self._timeout)
        except TimeoutError as error:
            self.timeouts += 1
            raise pool_timeout() from error
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._wake()  # the turn was ours and goes to the next
            raise

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
