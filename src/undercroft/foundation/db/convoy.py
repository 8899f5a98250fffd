"""Transactions of one statement each that travel together and wait for the disk once.

A commit waits until its record is on the disk, and a backend that waits falls asleep. What is
asked for while a trip is under way goes with the next one, on the same connection: each statement
is a transaction of its own, committed without that wait, and the trip ends with one that does
nothing but wait. Nobody gets an answer before it has.
"""

import asyncio
import time
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from secrets import token_hex

from psycopg.pq.abc import PGresult

from undercroft.foundation.db.pipeline import ConnectionLost, Pipeline, StatementFailed, encode

# What a statement has to say of its own commit, last in the list of what it selects.
UNWAITED = "pg_catalog.set_config('synchronous_commit', 'off', true)"
# Its commit waits as the server's settings ask, and so for all before it.
WAIT = "SELECT pg_catalog.pg_logical_emit_message(true, 'undercroft', '')"
MOST_TOGETHER = 32
# Whoever keeps others waiting for one to two of these has to go alone.
PATIENCE_SECONDS = 0.1
MOST_PREPARED = 50
OLDEST_SECONDS = 1800.0
# After such a rest it is asked whether the server is still there.
ASK_AFTER_SECONDS = 2.0
CANCELED, UNKNOWN_STATEMENT = "57014", "26000"

Hurry = Callable[[], bool]


class NotCarried(Exception):  # noqa: N818 - says what happened
    """The statement was rolled back, and may be run alone.

    Others had to wait for it, or what was prepared had been taken away by code in the session.
    """


class Convoy:
    """`size` is how many connections it may have: one, and others for those behind a slow trip."""

    def __init__(self, connect: Callable[[], Awaitable[Pipeline]], *, size: int) -> None:
        self._connect = connect
        self._size = size
        self._waiting: list[_Passenger] = []
        self._trips: set[asyncio.Task[None] | None] = set()
        self._idle: list[_Wagon] = []

    async def run(self, statement: str, values: Sequence[str | None]) -> None:
        """Return when the statement, which selects `UNWAITED`, is committed and on the disk.

        Raises StatementFailed, NotCarried, and ConnectionLost, after which nobody knows.
        """
        passenger = _Passenger(statement, encode(values))
        self._waiting.append(passenger)
        if not self._trips:
            self._set_out()
        await passenger.outcome

    async def close(self) -> None:
        trips = [trip for trip in self._trips if trip]
        for trip in trips:
            trip.cancel()
        await asyncio.gather(*trips, return_exceptions=True)
        for passenger in self._waiting:
            passenger.set_exception(ConnectionLost("It was closed."))
        while self._idle:
            self._idle.pop().pipeline.close()

    def _set_out(self) -> None:
        self._trips.add(asyncio.create_task(self._travel()))

    async def _travel(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                if aboard := [passenger for passenger in taken if not passenger.outcome.done()]:
                    await self._carry(aboard)
        finally:  # at once: whoever asks next has to know that nobody is on the way
            self._trips.discard(asyncio.current_task())

    async def _carry(self, aboard: list["_Passenger"]) -> None:
        wagon: _Wagon | None = None
        try:
            wagon = await self._take()
            await wagon.carry(aboard, self._hurry)
        except BaseException as error:
            if wagon is not None:
                wagon.pipeline.close()
            lost = ConnectionLost(f"The trip ended: {error}")
            for passenger in aboard:
                refused = None if passenger.answered else _refusal(error)
                passenger.set_exception(refused or lost)
            if not isinstance(error, Exception):
                raise
        else:
            self._give(wagon)

    def _hurry(self) -> bool:
        """Have those who wait for the end of a slow trip travel elsewhere; say if some cannot."""
        if self._waiting and len(self._trips) < self._size:
            self._set_out()
            return False
        return bool(self._waiting)

    async def _take(self) -> "_Wagon":
        while self._idle:
            wagon = self._idle.pop()
            if await wagon.is_fit():
                return wagon
            wagon.pipeline.close()
        return _Wagon(await self._connect())

    def _give(self, wagon: "_Wagon") -> None:
        if self._idle:  # that of another trip, which was slow
            wagon.pipeline.close()
        else:
            self._idle.append(wagon)


class _Passenger:
    """One statement; a `Receiver` of what the server says of it."""

    __slots__ = ("answered", "hurried", "outcome", "statement", "values")

    def __init__(self, statement: str, values: list[bytes | None]) -> None:
        self.statement = statement
        self.values = values
        self.answered = self.hurried = False
        self.outcome: Future[None] = asyncio.get_running_loop().create_future()

    def done(self) -> bool:
        return self.answered

    def set_result(self, _results: list[PGresult]) -> None:
        """It is committed, and perhaps not on the disk yet."""
        self.answered = True

    def set_exception(self, error: Exception) -> None:
        self.answered = True
        if self.outcome.done():
            return
        state = getattr(error, "sqlstate", None)
        if state == UNKNOWN_STATEMENT or (state == CANCELED and self.hurried):
            error = NotCarried()
        self.outcome.set_exception(error)

    def arrive(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)


class _Wagon:
    """A connection with what is prepared on it, under names that code of others cannot guess."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._names: dict[str, str] = {}
        self._opened = time.monotonic()
        self._rests_since = self._opened

    async def is_fit(self) -> bool:
        now = time.monotonic()
        if self.pipeline.closed or len(self._names) > MOST_PREPARED:
            return False
        if now - self._rests_since > ASK_AFTER_SECONDS:
            with suppress(ConnectionLost):  # a server that was restarted should cost nobody a file
                await self.pipeline.sync()
        return not self.pipeline.closed and now - self._opened < OLDEST_SECONDS

    async def carry(self, aboard: list[_Passenger], hurry: Hurry) -> None:
        """Send all of them, and let them go once the last commit is on the disk."""
        await self._prepare({WAIT, *(passenger.statement for passenger in aboard)})
        for passenger in aboard:
            self.pipeline.execute(self._names[passenger.statement], passenger.values)
            self.pipeline.sync_for(passenger)
        waited = self._wait()
        if await self._watch(aboard, waited, hurry):
            with suppress(StatementFailed):  # what was to stop somebody else may have ended it
                await waited
            waited = self._wait()
        await waited
        for passenger in aboard:
            passenger.arrive()
        self._rests_since = time.monotonic()

    async def _watch(
        self, aboard: list[_Passenger], waited: "Future[list[PGresult]]", hurry: Hurry
    ) -> bool:
        """Wait for the end of the trip, and say whether somebody had to be sent away for it."""
        slowest: _Passenger | None = None
        hurried = False
        while not (await asyncio.wait((waited,), timeout=PATIENCE_SECONDS))[0]:
            others = hurry() or len(aboard) > 1
            left = [passenger for passenger in aboard if not passenger.answered]
            if left and left[0] is slowest and others:
                hurried = True
                for passenger in left:  # it may meet the next one
                    passenger.hurried = True
                await self.pipeline.interrupt()
            slowest = left[0] if left else None
        return hurried

    async def _prepare(self, statements: set[str]) -> None:
        missing = statements.difference(self._names)
        if missing:
            for statement in missing:
                self._names[statement] = name = f"undercroft_{token_hex(12)}"
                self.pipeline.prepare(name, statement)
            await self.pipeline.sync()

    def _wait(self) -> "Future[list[PGresult]]":
        self.pipeline.execute(self._names[WAIT])
        return self.pipeline.sync()


def _refusal(error: BaseException) -> StatementFailed | None:
    return error if isinstance(error, StatementFailed) else None
