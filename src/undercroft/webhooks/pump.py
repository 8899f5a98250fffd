"""The pump: the one place in the cluster from which webhooks are sent.

Whichever job finds the lease free becomes the pump until nothing is due. It holds one of the
worker's places however many calls are open, so slow targets keep nobody from their mail, and it
takes a few deliveries of each webhook at a time, so they do not keep each other from theirs.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import TypeAlias

import structlog
from sqlalchemy import Text, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db.failures import told
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import UnitOfWork
from undercroft.foundation.outbound import Outbound, OutboundError
from undercroft.foundation.settings import WebhookSettings
from undercroft.webhooks.body import body_of
from undercroft.webhooks.headers import headers_of
from undercroft.webhooks.metrics import WAITING
from undercroft.webhooks.models import Delivery, Event, Webhook
from undercroft.webhooks.results import DOWN_AFTER, Outcome, hold, note
from undercroft.webhooks.signing import keys_of, signed_headers

log = structlog.get_logger(__name__)

# So long nothing is sent when a pump died; it renews the lease six times as often.
LEASE = timedelta(seconds=10)
RENEWALS = 6
LOOK_AGAIN = 0.5
STAY = timedelta(seconds=10)
COUNT_EVERY = 15.0
EXCERPT_BYTES = 1024
EXCERPT_PATIENCE = timedelta(seconds=2)
LONGEST_RETRY_AFTER = timedelta(hours=1)
AGENT = "Undercroft-Webhooks"
UNFORESEEN = "internal_error"

TAKE_LEASE = text("""
    UPDATE webhooks.pump SET holder = :holder, held_until = now() + :lease
     WHERE held_until < now() OR holder = :holder
    RETURNING true
""")
END_LEASE = text("UPDATE webhooks.pump SET held_until = '-infinity' WHERE holder = :holder")

# Of each webhook that is up, its oldest; of one that is down, a single one after each pause.
CLAIM = text("""
    WITH target AS (
        SELECT w.id, (CASE WHEN w.failures >= :down_after THEN 1 ELSE :per_target END) - (
                   SELECT count(*) FROM webhooks.deliveries d
                    WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.claimed_until > now()
               ) AS room
          FROM webhooks.webhooks w
         WHERE w.is_enabled AND coalesce(w.paused_until, '-infinity') <= now()
    ), due AS (
        SELECT found.id
          FROM target CROSS JOIN LATERAL (
               SELECT d.id, d.next_attempt_at FROM webhooks.deliveries d
                WHERE d.webhook_id = target.id AND d.state = 'pending'
                  AND d.next_attempt_at <= now()
                  AND coalesce(d.claimed_until, '-infinity') <= now()
                ORDER BY d.next_attempt_at LIMIT greatest(target.room, 0)
                  FOR UPDATE SKIP LOCKED) AS found
         ORDER BY found.next_attempt_at LIMIT :free
    )
    UPDATE webhooks.deliveries AS d SET claimed_until = now() + :lease
      FROM due WHERE d.id = due.id
    RETURNING d.id
""")
NEXT_DUE = text("""
    SELECT min(greatest(next.due, w.paused_until))
      FROM webhooks.webhooks w CROSS JOIN LATERAL (
           SELECT d.next_attempt_at AS due FROM webhooks.deliveries d
            WHERE d.webhook_id = w.id AND d.state = 'pending'
              AND coalesce(d.claimed_until, '-infinity') <= now()
            ORDER BY d.next_attempt_at LIMIT 1) AS next
     WHERE w.is_enabled
""")
WAITING_NOW = text("SELECT count(*) FROM webhooks.deliveries WHERE state = 'pending'")


@dataclass(slots=True)
class Backlog:
    """All that waits, which may be a million rows: counted now and then only."""

    _counted_at: float = -inf

    async def count(self, session: AsyncSession) -> None:
        if time.monotonic() - self._counted_at < COUNT_EVERY:
            return
        self._counted_at = time.monotonic()
        WAITING.set(await session.scalar(WAITING_NOW) or 0)


@dataclass(frozen=True, slots=True)
class Sender:
    """What the pump sends with; the composition root puts it into the worker's services."""

    settings: WebhookSettings
    keyring: Keyring
    outbound: Outbound
    # Set by jobs of this process that found another one pumping.
    news: asyncio.Event = field(default_factory=asyncio.Event)
    backlog: Backlog = field(default_factory=Backlog)
    # Then another job goes on, so that a worker that is told to stop waits no longer than this.
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Parcel:
    delivery: Delivery
    event: Event
    webhook: Webhook
    data: str


Called: TypeAlias = tuple[Delivery, Outcome]


class Pump:
    def __init__(self, unit_of_work: UnitOfWork, sender: Sender) -> None:
        self._unit_of_work = unit_of_work
        self._sender = sender
        self._settings = sender.settings
        self._holder = new_id()
        self._deadline = time.monotonic() + sender.seconds
        self._running: set[asyncio.Task[Called]] = set()

    async def run(self) -> datetime | None:
        """Send what is due, if nobody else does; return when to come back.

        None: nothing waits, or whoever holds the lease will see to it. Who has let go of the lease
        looks once more, because others who found it taken have gone away.
        """
        while await self._take_lease():
            try:
                await self._drain()
            finally:
                await self._stop()
            due = await self._next_due()
            if due is None or due > utc_now() or self._is_over():
                return due
        self._sender.news.set()
        return None

    async def _drain(self) -> None:
        renewed = time.monotonic()
        while True:
            if time.monotonic() - renewed > LEASE.total_seconds() / RENEWALS:
                renewed = time.monotonic()
                if not await self._take_lease():
                    # Somebody else sends by now: take no more, see the open calls through.
                    self._deadline = renewed
            for parcel in await self._claim():
                self._running.add(asyncio.create_task(self._call(parcel)))
            if not self._running:
                if not await self._stay():
                    return
                continue
            done, self._running = await asyncio.wait(
                self._running, timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED
            )
            await self._note(done)

    async def _stay(self) -> bool:
        """Wait for what is due soon: the queue looks for delayed jobs every few seconds only."""
        due = await self._next_due()
        if due is None or self._is_over():
            return False
        wait = due - utc_now()
        if wait > STAY:
            return False
        self._sender.news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min(wait.total_seconds(), LOOK_AGAIN), 0)):
                await self._sender.news.wait()
        return True

    async def _stop(self) -> None:
        """Only a cancelled pump has calls left; they are made again when their claim is over."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        async with self._unit_of_work() as session:
            await session.execute(END_LEASE, {"holder": self._holder})

    async def _take_lease(self) -> bool:
        async with self._unit_of_work() as session:
            values = {"holder": self._holder, "lease": LEASE}
            return bool(await session.scalar(TAKE_LEASE, values))

    async def _next_due(self) -> datetime | None:
        async with self._unit_of_work() as session:
            await self._sender.backlog.count(session)
            due: datetime | None = await session.scalar(NEXT_DUE)
        return due

    async def _claim(self) -> Sequence[Parcel]:
        free = self._settings.concurrency - len(self._running)
        if free <= 0 or self._is_over():
            return []
        values = {
            "down_after": DOWN_AFTER,
            "per_target": self._settings.concurrency_per_target,
            "free": free,
            # Longer than any call, so that nobody else makes it too.
            "lease": 2 * self._settings.timeout + LEASE,
        }
        async with self._unit_of_work() as session:
            ids = list(await session.scalars(CLAIM, values))
            return await _load(session, ids) if ids else []

    async def _note(self, done: Iterable[asyncio.Task[Called]]) -> None:
        """Whatever has ended meanwhile, in one transaction.

        What cannot be noted is called again when its claim runs out; the others go on.
        """
        try:
            called = [task.result() for task in done]
            async with self._unit_of_work() as session:
                await hold(session, (delivery for delivery, _ in called))
                for delivery, outcome in called:
                    await note(session, self._settings, delivery, outcome)
        except Exception as error:
            log.exception("webhook_calls_not_noted", **told(error))

    async def _call(self, parcel: Parcel) -> Called:
        started_at, started = utc_now(), time.monotonic()
        try:
            return parcel.delivery, await self._outcome(parcel)
        except Exception:
            # A secret that cannot be opened, say: a failed try, or it is claimed again for ever.
            log.exception("webhook_not_called", webhook_id=str(parcel.webhook.id))
            took = timedelta(seconds=time.monotonic() - started)
            return parcel.delivery, Outcome(started_at, took, error=UNFORESEEN)

    async def _outcome(self, parcel: Parcel) -> Outcome:
        started_at, started = utc_now(), time.monotonic()
        body = body_of(parcel.event, parcel.data)
        keys = keys_of(parcel.webhook, self._sender.keyring, now=started_at)
        headers = {
            **headers_of(parcel.webhook, self._sender.keyring),
            "content-type": "application/json",
            "user-agent": AGENT,
            **signed_headers(keys, str(parcel.event.id), started_at, body),
        }
        try:
            async with self._sender.outbound.send(
                "POST",
                parcel.webhook.url,
                headers=headers,
                content=body,
                timeout=self._settings.timeout,
                max_bytes=EXCERPT_BYTES,
            ) as answer:
                took = timedelta(seconds=time.monotonic() - started)
                excerpt = await answer.excerpt(EXCERPT_BYTES, EXCERPT_PATIENCE)
                return Outcome(
                    started_at,
                    took,
                    status=answer.status,
                    response=_readable(excerpt),
                    retry_after=_retry_after(answer.headers.get("retry-after", "")),
                )
        except OutboundError as error:
            took = timedelta(seconds=time.monotonic() - started)
            return Outcome(started_at, took, error=error.reason)

    def _is_over(self) -> bool:
        return time.monotonic() > self._deadline


async def _load(session: AsyncSession, ids: Sequence[object]) -> list[Parcel]:
    statement = (
        select(Delivery, Event, Webhook, cast(Event.data, Text))
        .join(Event, Event.id == Delivery.event_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id.in_(ids))
        .order_by(func.coalesce(Delivery.next_attempt_at, Delivery.created_at))
    )
    return [Parcel(*row) for row in await session.execute(statement)]


def _readable(excerpt: bytes) -> str:
    return excerpt.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _retry_after(text: str) -> timedelta | None:
    """The number of seconds a target asks for; a date is not looked at."""
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        return None
    return min(timedelta(seconds=int(text)), LONGEST_RETRY_AFTER)
