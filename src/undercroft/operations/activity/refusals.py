"""Denied doors in the log, without giving whoever knocks a hammer against Postgres.

The first refusal of a caller at a route is written at once, in a transaction of its own. More of
the same within a minute are counted, and told by one entry when the minute is over. Each process
writes at most `MOST_PER_SECOND` of them; whatever is above that is counted too.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import structlog

from undercroft.foundation.context import RequestContext
from undercroft.foundation.db import Database
from undercroft.operations.activity.entries import Happening, record
from undercroft.operations.activity.metrics import REFUSED
from undercroft.operations.activity.models import Level

log = structlog.get_logger()

WINDOW_SECONDS = 60.0
MOST_PER_SECOND = 20
# Beyond so many callers at once the next ones share a line: memory is bounded as the writes are.
MOST_KEPT = 5_000
EVERYBODY_ELSE = ("many", "many", "many")
CREDENTIALS = (b"authorization", b"x-session-token", b"apikey")

Key = tuple[str, str, str]


@dataclass(slots=True)
class Window:
    """One minute of one caller's refusals at one route; `more` counts the unwritten ones."""

    request: RequestContext
    ends_at: float
    more: int = 0


class Refusals:
    """`note` is called after each answer of 401 or 403; `run` tells what was only counted."""

    def __init__(self, database: Database) -> None:
        self.most_per_second = MOST_PER_SECOND
        self._database = database
        self._windows: dict[Key, Window] = {}
        self._second = 0
        self._written = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.flush(all_of_them=True)

    async def note(self, request: RequestContext) -> None:
        if request.status == 401 and not any(map(request.header, CREDENTIALS)):
            return  # nobody tried anything: a browser without a session, a probe
        REFUSED.labels(request.plane, str(request.status)).inc()
        now = time.monotonic()
        key = _key(request)
        window = self._windows.get(key)
        if window is None or window.ends_at < now:
            if window and window.more:
                await self._write(window.request, window.more)
            if len(self._windows) >= MOST_KEPT:
                key = EVERYBODY_ELSE
            window = self._windows.setdefault(key, Window(request, 0.0))
            window.request, window.ends_at, window.more = request, now + WINDOW_SECONDS, 0
            if self._may_write(now):
                await self._write(request, 1)
                return
        window.more += 1

    async def flush(self, *, all_of_them: bool = False) -> None:
        """Write down what was counted in windows that are over."""
        now = time.monotonic()
        over = [(k, w) for k, w in self._windows.items() if all_of_them or w.ends_at < now]
        for key, window in over:
            del self._windows[key]
            if window.more:
                await self._write(window.request, window.more)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WINDOW_SECONDS / 6)
            await self.flush()

    def _may_write(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._written = int(now), 0
        self._written += 1
        return self._written <= self.most_per_second

    async def _write(self, request: RequestContext, times: int) -> None:
        """Never fails the request: it is answered already, and the database may be away."""
        happening = Happening(
            action="access.refused",
            module=request.plane,
            message=_sentence(request, times),
            level=Level.WARN,
            metadata={"code": request.problem, "times": times},
        )
        try:
            async with self._database.unit_of_work() as session:
                await record(session, happening, request=request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log line says it
            log.warning("refusal_not_recorded", cause=str(error), times=times)


def _key(request: RequestContext) -> Key:
    signed_in = request.actor and request.actor.is_signed_in
    caller = request.actor.name if request.actor and signed_in else f"at {request.address}"
    # The route's template: paths that differ in ids are the same door. Hot planes have one door.
    return caller, f"{request.method} {request.route or request.plane}", request.problem or ""


def _sentence(request: RequestContext, times: int) -> str:
    what = f"{request.method} {request.route or request.path}"
    return f"Refused {what}" if times == 1 else f"Refused {what}, {times} times in a minute"
