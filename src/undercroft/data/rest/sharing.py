"""Quick reads at the same time share a session: each its own transaction, none waits for the other.

Postgres then finds the next one there when it has answered the last, in place of falling asleep and
being woken: half of what a row read by its key costs it. See docs/decisions/0084.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from psycopg.pq.abc import PGresult

from undercroft.data.rest.pool import Pool, Session
from undercroft.foundation.db import ConnectionLost

# Seconds that what shares a session is expected to take together: the longest that anyone waits.
TOGETHER = 0.002
_UNSEEN = 1000.0
MOST_AT_ONCE = 8
# Who takes longer after all is left alone with the session; reads behind start again elsewhere.
_LOOK_EVERY = 0.1
# A session that always has something to do would neither be looked after nor grow old in the pool.
_SHARED_FOR = 1.0

Job = TypeVar("Job")
Result = TypeVar("Result")


class HeldUp(Exception):  # noqa: N818 - says what happened
    """The read before takes longer than was expected of it."""


class Pace:
    """How many seconds reads of one shape take, as seen so far; many until one has been seen.

    `alone` are reads that want a transaction of their own.
    """

    __slots__ = ("alone", "seconds")

    def __init__(self) -> None:
        self.seconds = _UNSEEN
        self.alone = False

    def note(self, seconds: float) -> None:
        """Believe good news sooner than bad: a slow moment is rather the machine's than ours."""
        known = self.seconds
        if known == _UNSEEN:
            self.seconds = seconds
        elif seconds < known:
            self.seconds = (known + seconds) / 2
        else:
            self.seconds = min(known * 1.02, seconds)


class Shared:
    """A session that reads share, each sent without waiting for the answers before it."""

    __slots__ = ("_began", "_expected", "_heard", "_held_up", "_readings", "readers", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.readers = 0
        self._readings: set[Reading] = set()
        self._expected = 0.0
        self._began = time.perf_counter()
        self._heard = 0.0  # of the last look
        self._held_up = False

    def has_room(self, number: int, expected: float, together: float) -> bool:
        """Whether so many reads may come in, that are expected to take so many seconds."""
        session = self.session
        return (
            self._expected + expected <= together
            and self.readers + number <= MOST_AT_ONCE
            and not session.unsettled  # what it prepares may come to nothing
            and not session.pipeline.closed
            and not self._held_up
            and session.pipeline.heard - self._began < _SHARED_FOR
        )

    def enter(self, expected: float) -> None:
        """A read begins that is expected to take so many seconds."""
        self._expected += expected
        self.readers += 1

    def leave(self, expected: float) -> None:
        self._expected -= expected
        self.readers -= 1

    def enter_together(self, reading: "Reading", expected: float) -> None:
        self._expected += expected
        self.readers += len(reading.paces)
        self._readings.add(reading)

    def leave_together(self, reading: "Reading", expected: float) -> None:
        self._expected -= expected
        self.readers -= len(reading.paces)
        self._readings.discard(reading)

    def note(self, paces: Sequence[Pace], expected: float) -> None:
        """Learn from reads that have been answered together, each by its share of that time."""
        took = self.session.pipeline.took / max(expected, 1e-9)
        for pace in {*paces}:  # several reads of one shape are one observation
            if self._held_up:
                pace.seconds = _LOOK_EVERY
            else:
                pace.note(pace.seconds * took)

    def look(self) -> None:
        """Let go of who waits behind a read that takes too long."""
        heard = self.session.pipeline.heard
        if heard == self._heard:
            self._held_up = True
            self.session.pipeline.hold_up(HeldUp())
            for reading in [*self._readings]:
                reading.held_up()
        self._heard = heard


class Sharing(Generic[Job, Result]):
    """Lends the sessions of one pool to reads that are expected to be quick.

    `trip` does a job in a session; it must queue all of it before it awaits anything. What shares
    a session is expected to take `together` seconds at most.
    """

    def __init__(
        self, pool: Pool, trip: Callable[[Session, Job], Awaitable[Result]], together: float
    ) -> None:
        self._pool = pool
        self._trip = trip
        self._together = together
        self._shared: list[Shared] = []
        self._watching = False

    async def run(self, job: Job, pace: Pace) -> Result:
        """Do a job, which must only read: it may be done twice.

        Raises ConnectionLost, and as `trip` does.
        """
        shared = self._with_room(1, pace.seconds)
        if shared is not None:
            with suppress(HeldUp, ConnectionLost):
                return await self._run(shared, job, pace)
        return await self._run(self._open(await self._pool.take()), job, pace)

    def seat(self, number: int, expected: float) -> Shared | None:
        """Find a session for reads, which are to enter it at once, if one can be had now."""
        shared = self._with_room(number, expected)
        if shared is None and expected <= self._together and (session := self._pool.take_idle()):
            return self._open(session)
        return shared

    def rest(self, shared: Shared) -> None:
        """Give the session back if nobody is left."""
        if not shared.readers:
            self._close(shared)

    def _with_room(self, number: int, expected: float) -> Shared | None:
        for shared in self._shared:
            if shared.has_room(number, expected, self._together):
                return shared
        return None

    def _open(self, session: Session) -> Shared:
        shared = Shared(session)
        self._shared.append(shared)
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_later(_LOOK_EVERY, self._watch)
        return shared

    async def _run(self, shared: Shared, job: Job, pace: Pace) -> Result:
        expected = pace.seconds
        shared.enter(expected)
        try:
            result = await self._trip(shared.session, job)
        finally:
            shared.leave(expected)
            self.rest(shared)
        shared.note((pace,), pace.seconds)
        return result

    def _close(self, shared: Shared) -> None:
        self._shared.remove(shared)
        if shared.session.pipeline.closed:
            self._pool.drop(shared.session)
        else:
            self._pool.give(shared.session)

    def _watch(self) -> None:
        for shared in list(self._shared):  # the last reader may leave
            shared.look()
        self._watching = bool(self._shared)
        if self._watching:
            asyncio.get_running_loop().call_later(_LOOK_EVERY, self._watch)


class Reading(ABC):
    """Reads that share a session without a task that waits for them; see `Pipeline.sync_for`.

    They are one transaction. One of `answered` and `failed` is called in the end, unless everybody
    has left.
    """

    __slots__ = ("_expected", "_over", "_shared", "_sharing", "paces")

    def __init__(self, paces: Sequence[Pace]) -> None:
        self.paces = paces
        self._over = False
        self._sharing: Sharing[Any, Any] | None = None

    @property
    def expected(self) -> float:
        """How many seconds they are expected to take together."""
        return sum(pace.seconds for pace in self.paces)

    def begin(self, sharing: "Sharing[Any, Any]", shared: Shared) -> None:
        self._sharing = sharing
        self._shared = shared
        self._expected = self.expected
        shared.enter_together(self, self._expected)

    @abstractmethod
    def answered(self, results: list[PGresult]) -> None:
        """Take one result for each of the statements, in their order."""

    @abstractmethod
    def failed(self) -> None:
        """Nothing has been done, or in vain, and may be done again."""

    def held_up(self) -> None:
        """Go elsewhere if one of several keeps the others waiting; one waits for itself."""
        if len(self.paces) > 1:
            for pace in self.paces:  # each has to show itself quick again
                pace.seconds = _LOOK_EVERY
            self.end()
            self.failed()

    def end(self) -> None:
        """Give up the seat."""
        if not self._over:
            self._over = True
            if self._sharing is not None:
                self._shared.leave_together(self, self._expected)
                self._sharing.rest(self._shared)

    def done(self) -> bool:
        return self._over

    def set_result(self, results: list[PGresult]) -> None:
        self._shared.note(self.paces, self._expected)
        self.end()
        self.answered(results)

    def set_exception(self, _error: Exception) -> None:
        self.end()
        self.failed()
