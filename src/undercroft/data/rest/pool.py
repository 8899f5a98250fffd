"""A pool of connections for requests that leave no session state behind.

Every request is one transaction, and what it sets ends with that, so that most sessions go back as
they are. One in which code of others ran is cleaned before anybody else gets it.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from secrets import token_hex
from typing import Any

from psycopg.pq.abc import PGresult

from undercroft.data.rest.errors import connection_failed, pool_timeout
from undercroft.foundation.db import ConnectionLost, Pipeline, Receiver, StatementFailed

# A statement, by the role for which it is prepared and its SQL, and its values.
Step = tuple[tuple[str, str], Sequence[bytes | None]]
Connect = Callable[[], Awaitable[Pipeline]]

_CANCEL_WITHIN = 5.0  # seconds for the server to take notice of a cancelled query
_CLEAN_WITHIN = 5.0
_STATEMENTS_KEPT = 200
_UNKNOWN_STATEMENT = "26000"
# What code of others may have left in a session, beside statements that it prepared.
CLEANING = (
    "close all",
    "unlisten *",
    "select pg_catalog.pg_advisory_unlock_all()",
    "discard temp",
    "reset all",
    "set role none",
)
# Ours are prepared by the protocol, which code cannot do.
_PREPARED = (
    "select pg_catalog.count(*) filter (where not from_sql),"
    " pg_catalog.count(*) filter (where from_sql) from pg_catalog.pg_prepared_statements"
)


class StatementsGone(ConnectionLost):
    """Code of others took away what was prepared; what ran with it was rolled back."""


class Foreign(Enum):
    """Whether code of others runs in a transaction, and whether it may run texts.

    Only a text can name a prepared statement of ours, whose names nobody can guess; code that runs
    texts is looked after, since it could read them.
    """

    NONE = 0
    FIXED = 1
    DYNAMIC = 2


class Changes:
    """What one trip prepares and deallocates, with its place among the statements of the trip."""

    __slots__ = ("forgetting", "preparing")

    def __init__(self) -> None:
        self.preparing: list[tuple[int, tuple[str, str]]] = []
        self.forgetting: list[tuple[int, tuple[str, str], str]] = []


class Session:
    """A connection with what has been prepared on it.

    With `prepared` off nothing is: a transaction-mode pooler gives each transaction another
    connection.
    """

    def __init__(self, pipeline: Pipeline, *, prepared: bool = True) -> None:
        self.pipeline = pipeline
        self._prepared = prepared
        # Names of statements by role, for which their plans are made, and SQL; oldest use first.
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._changes: Changes | None = None  # by the trip that is being queued
        self.unsettled = 0  # trips that prepare or deallocate, whose outcome nobody knows yet
        self._count = 0
        self._prefix = f"undercroft_{token_hex(8)}"  # for code must not guess what to replace
        self.opened = time.monotonic()
        self.rests = 0  # visits of `Pool.retire` since its last use

    def queue(self, sql: str, values: Sequence[bytes | None], *, role: str = "") -> None:
        """Queue a statement that will come again."""
        self._queue((role, sql), values)

    def queue_all(self, steps: Sequence[Step]) -> None:
        for key, values in steps:
            self._queue(key, values)

    def send(self, steps: Sequence[Step], receiver: Receiver) -> bool:
        """Send what is prepared already, all of it or nothing. Raises ConnectionLost."""
        for key, _ in steps:
            if key not in self._names:
                return False
        self.queue_all(steps)
        self.pipeline.sync_for(receiver)
        return True

    def _queue(self, key: tuple[str, str], values: Sequence[bytes | None]) -> None:
        if not self._prepared:
            self.pipeline.query(key[1], values)
            return
        name = self._names.get(key)
        if name is None:
            name = self._prepare(key)
        else:
            self._names.move_to_end(key)
        self.pipeline.execute(name, values)

    def prepare_nothing(self) -> None:
        """Send every statement whole from now on. Close the connection in the end."""
        self._prepared = False

    async def sync(self) -> list[PGresult]:
        """Send what is queued; one answer for each statement. Raises as `Pipeline.sync` does.

        A connection on which somebody deallocated our statements is lost (`StatementsGone`).
        """
        changes, self._changes = self._changes, None
        if changes is not None:
            self.unsettled += 1
        answer = self.pipeline.sync()
        try:
            return await answer
        except StatementFailed as error:
            if error.sqlstate == _UNKNOWN_STATEMENT and self._prefix in error.message:
                self.pipeline.close()
                raise StatementsGone("Our prepared statements were deallocated.") from None
            raise
        finally:  # whoever waited may be cancelled with the answer on its way to them
            if changes is not None and answer.done() and not answer.cancelled():
                self._settle(changes, answer.exception())

    async def roll_back(self) -> None:
        """End a transaction that is open. Raises as `sync` does."""
        if not self.pipeline.at_rest and not self.pipeline.closed:
            self.pipeline.query("rollback")
            await self.sync()

    async def clean(self, foreign: Foreign) -> None:
        """Leave nothing of a transaction to the next one, or close. Raises as `sync` does."""
        if not self.pipeline.at_rest:
            self.pipeline.query("rollback")
        for sql in CLEANING:
            self.queue(sql, ())
        if foreign is not Foreign.DYNAMIC:
            await self.sync()
            return
        self.queue(_PREPARED, ())
        found = (await self.sync())[-1]
        ours, others = (int.from_bytes(found.get_value(0, column) or b"") for column in (0, 1))
        if others or ours != len(self._names):
            self.pipeline.close()

    def _settle(self, changes: Changes, failure: BaseException | None) -> None:
        """Know what is prepared: nothing from the statement that failed on has been done."""
        if isinstance(failure, StatementFailed):
            for position, key in changes.preparing:
                if position >= failure.position:
                    del self._names[key]
            for position, key, name in reversed(changes.forgetting):
                if position >= failure.position:
                    self._names[key] = name
                    self._names.move_to_end(key, last=False)
        elif failure is not None:
            return
        self.unsettled -= 1

    def _prepare(self, key: tuple[str, str]) -> str:
        if self._changes is None:
            self._changes = Changes()
        if len(self._names) >= _STATEMENTS_KEPT:
            forgotten, oldest = self._names.popitem(last=False)
            self._changes.forgetting.append((self.pipeline.queued, forgotten, oldest))
            self.pipeline.query(f"deallocate {oldest}")
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        self._changes.preparing.append((self.pipeline.queued, key))
        self.pipeline.prepare(name, key[1])
        self._names[key] = name
        return name


class Pool:
    """Hands out the most recently used session, so that few stay warm under light load.

    Who waits gets one in turn: what comes back goes to them before anybody can take it.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        size: int = 10,
        acquire_timeout: float = 10.0,
        prepared: bool = True,
    ) -> None:
        self._connect = connect
        self._prepared = prepared
        self._size = size
        self._timeout = acquire_timeout
        self._idle: list[Session] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[Session | None]] = deque()
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
        if session := self.take_idle():
            return session
        if self._open < self._size:
            self._open += 1
            return await self._open_session()
        handed = await self._wait()
        if handed is None or handed.pipeline.closed:
            return await self._open_session()
        return handed

    def take_idle(self) -> Session | None:
        """Take a session if one can be had without waiting."""
        while self._idle:
            session = self._idle.pop()
            if not session.pipeline.closed:
                return session
            self._open -= 1
        return None

    def give(self, session: Session, foreign: Foreign = Foreign.NONE) -> None:
        """Take back a session; one that is not at rest, or ran code of others, is cleaned before.

        Nobody has to wait for that.
        """
        if session.pipeline.busy or session.unsettled:
            self._follow_up(self._cancel(session))
        elif foreign is not Foreign.NONE or not session.pipeline.at_rest:
            self._follow_up(self._clean(session, foreign))
        else:
            self._take_back(session)

    def _take_back(self, session: Session) -> None:
        if session.pipeline.closed or self._closed:
            self.drop(session)
        else:
            session.rests = 0
            if not self._pass_on(session):
                self._idle.append(session)

    def drop(self, session: Session) -> None:
        """Give up a session whose state is unknown."""
        session.pipeline.close()
        self._free_place()

    def _free_place(self) -> None:
        """Let somebody open another session."""
        if not self._pass_on(None):
            self._open -= 1

    def _pass_on(self, session: Session | None) -> bool:
        """Hand a session, or the right to open one, to who waits longest, if anybody does."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(session)
                return True
        return False

    def cancel(self, session: Session) -> None:
        """Give up a session with a query under way, once the server has heard of that."""
        self._follow_up(self._cancel(session))

    def _follow_up(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._following_up.add(task)
        task.add_done_callback(self._following_up.discard)

    async def _clean(self, session: Session, foreign: Foreign) -> None:
        try:
            async with asyncio.timeout(_CLEAN_WITHIN):
                await session.clean(foreign)
        except (TimeoutError, StatementFailed, ConnectionLost):
            self.drop(session)
        else:
            self._take_back(session)

    def retire(self, *, older_than: float, rested: int) -> None:
        """Close idle sessions of that age, and those unused at so many visits in a row."""
        now = time.monotonic()
        kept: list[Session] = []
        for session in self._idle:
            session.rests += 1
            if now - session.opened >= older_than or session.rests > rested:
                session.pipeline.close()
                self._open -= 1
            else:
                kept.append(session)
        self._idle = kept

    async def close(self) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for session in idle:
            session.pipeline.close()
        await asyncio.gather(*self._following_up)

    async def _cancel(self, session: Session) -> None:
        try:
            async with asyncio.timeout(_CANCEL_WITHIN):
                await session.pipeline.cancel()
        except TimeoutError:
            pass
        finally:
            self.drop(session)

    async def _open_session(self) -> Session:
        try:
            return Session(await self._connect(), prepared=self._prepared)
        except ConnectionLost as error:
            self._free_place()
            raise connection_failed(str(error)) from error
        except BaseException:
            self._free_place()
            raise

    async def _wait(self) -> Session | None:
        future: asyncio.Future[Session | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except (TimeoutError, asyncio.CancelledError) as error:
            if future.done() and not future.cancelled():  # the turn was ours and goes to the next
                if (session := future.result()) is None:
                    self._free_place()
                else:
                    self._take_back(session)
            if isinstance(error, TimeoutError):
                self.timeouts += 1
                raise pool_timeout() from error
            raise
