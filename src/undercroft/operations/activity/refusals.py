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


@dataclass(frozen=True, slots=True)
class Finding:
    """What a request is noted for: a refusal with its code, a suspicion with its kind."""

    action: str
    word: str
    code: str | None


@dataclass(slots=True)
class Window:
    """One minute of one caller's refusals at one route; `more` counts the unwritten ones."""

    request: RequestContext
    finding: Finding
    ends_at: float = 0.0
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
        await self._count(request, Finding("access.refused", "Refused", request.problem))

    async def suspect(self, request: RequestContext, kind: str) -> None:
        """Note what input screening found; what the caller sent is not told."""
        await self._count(request, Finding("input.suspected", "Suspected", kind))

    async def _count(self, request: RequestContext, finding: Finding) -> None:
        now = time.monotonic()
        key = _key(request, finding)
        window = self._windows.get(key)
        if window is None or window.ends_at < now:
            if window and window.more:
                await self._write(window, window.more)
            if len(self._windows) >= MOST_KEPT:
                key = EVERYBODY_ELSE
            window = self._windows.setdefault(key, Window(request, finding))
            window.request, window.ends_at, window.more = request, now + WINDOW_SECONDS, 0
            if self._may_write(now):
                await self._write(window, 1)
                return
        window.more += 1

    async def flush(self, *, all_of_them: bool = False) -> None:
        """Write down what was counted in windows that are over."""
        now = time.monotonic()
        over = [(k, w) for k, w in self._windows.items() if all_of_them or w.ends_at < now]
        for key, window in over:
            del self._windows[key]
            if window.more:
                await self._write(window, window.more)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WINDOW_SECONDS / 6)
            await self.flush()

    def _may_write(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._written = int(now), 0
        self._written += 1
        return self._written <= self.most_per_second

    async def _write(self, window: Window, times: int) -> None:
        """Never fails the request: the database may be away."""
        request, finding = window.request, window.finding
        happening = Happening(
            action=finding.action,
            module=request.plane,
            message=_sentence(request, finding, times),
            level=Level.WARN,
            metadata={"code": finding.code, "times": times},
        )
        try:
            async with self._database.unit_of_work() as session:
                await record(session, happening, request=request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log line says it
            log.warning("refusal_not_recorded", cause=str(error), times=times)


def _key(request: RequestContext, finding: Finding) -> Key:
    signed_in = request.actor and request.actor.is_signed_in
    caller = request.actor.name if request.actor and signed_in else f"at {request.address}"
    # The route's template: paths that differ in ids are the same door. Hot planes have one door.
    where = f"{request.method} {request.route or request.plane}"
    return caller, where, f"{finding.action} {finding.code}"


def _sentence(request: RequestContext, finding: Finding, times: int) -> str:
    what = f"{finding.word} {request.method} {request.route or request.path}"
    return what if times == 1 else f"{what}, {times} times in a minute"
