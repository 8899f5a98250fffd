"""The jobs: from an event to its deliveries, from deliveries to calls, and out with what is old."""

from datetime import UTC, datetime, timedelta
from math import ceil
from uuid import UUID

from sqlalchemy import text

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import JobContext, enqueue, job, schedule
from undercroft.webhooks.catalogue import patterns_of
from undercroft.webhooks.models import Event
from undercroft.webhooks.pump import STAY, Pump, Sender

# What is due later than this is found by the schedule, as is what a pump left that died.
SOON = timedelta(seconds=90)
BATCH = 5000

SPREAD = text("""
    INSERT INTO webhooks.deliveries
           (id, webhook_id, event_id, event_type, state, tries_left, next_attempt_at, finished_at)
    SELECT gen_random_uuid(), w.id, e.id, e.type,
           CASE WHEN w.is_enabled THEN 'pending' ELSE 'skipped' END, :tries,
           CASE WHEN w.is_enabled THEN now() END, CASE WHEN NOT w.is_enabled THEN now() END
      FROM webhooks.events e
      JOIN webhooks.webhooks w ON w.events && CAST(:patterns AS varchar[])
       AND (w.organization_id IS NULL OR w.organization_id = e.organization_id)
       AND w.created_at <= e.created_at
     WHERE e.id = :event_id
    ON CONFLICT ON CONSTRAINT uq_deliveries_webhook_id_event_id DO NOTHING
""")
# What is being noted just now goes next time: see `results.hold`.
PURGE = (
    text("""
        DELETE FROM webhooks.deliveries WHERE id IN (
               SELECT id FROM webhooks.deliveries
                WHERE created_at < :before ORDER BY created_at LIMIT :batch
                  FOR UPDATE SKIP LOCKED)
        RETURNING id
    """),
    text("""
        DELETE FROM webhooks.events WHERE id IN (
               SELECT id FROM webhooks.events
                WHERE created_at < :before ORDER BY created_at LIMIT :batch)
        RETURNING id
    """),
)
FORGET = text("""
    DELETE FROM webhooks.deliveries WHERE id IN (
           SELECT id FROM webhooks.deliveries WHERE webhook_id = :webhook_id LIMIT :batch
              FOR UPDATE SKIP LOCKED)
    RETURNING id
""")
ORPHANS = text("""
    SELECT DISTINCT d.webhook_id FROM webhooks.deliveries d
     WHERE NOT EXISTS (SELECT FROM webhooks.webhooks w WHERE w.id = d.webhook_id)
""")


@job("webhooks.spread")
async def spread(context: JobContext, event_id: UUID) -> None:
    """Make one delivery for each webhook that asked for the event, and send what is due."""
    sender: Sender = context.services["webhooks"]
    async with context.unit_of_work() as session:
        event = await session.get(Event, event_id)
        if event is None:
            return
        values = {
            "event_id": event_id,
            "patterns": patterns_of(event.type),
            "tries": sender.settings.max_attempts,
        }
        await session.execute(SPREAD, values)
    await _pump(context)


@job("webhooks.deliver")
async def deliver(context: JobContext) -> None:
    """Send what is due, unless another worker is at it."""
    await _pump(context)


@job("webhooks.purge")
async def purge(context: JobContext) -> None:
    """Forget deliveries and events past their time, and deliveries that lost their webhook."""
    values = {"before": utc_now() - context.settings.webhooks.retention, "batch": BATCH}
    for statement in PURGE:
        gone = BATCH
        while gone == BATCH:
            async with context.unit_of_work() as session:
                gone = len((await session.execute(statement, values)).all())
    async with context.unit_of_work() as session:
        orphans = list(await session.scalars(ORPHANS))
    for webhook_id in orphans:
        await _forget(context, webhook_id)


@job("webhooks.forget_webhook")
async def forget_webhook(context: JobContext, webhook_id: UUID) -> None:
    """Remove what was sent to a webhook that was deleted, batch by batch."""
    await _forget(context, webhook_id)


async def _pump(context: JobContext) -> None:
    sender: Sender = context.services["webhooks"]
    due = await Pump(context.unit_of_work, sender).run()
    now = utc_now()
    if due is None or due > now + SOON:
        return
    async with context.unit_of_work() as session:
        if due <= now + STAY:
            # This one's time was over. The queue finds delayed jobs seconds late, others at once.
            await enqueue(session, deliver)
            return
        # One wake-up per second, however many pumps find the same delivery next. The one that runs
        # now has begun at or after its second, so this is never its own key.
        second = ceil(due.timestamp())
        at = datetime.fromtimestamp(second, UTC)
        await enqueue(session, deliver, at=at, dedupe_key=str(second))


async def _forget(context: JobContext, webhook_id: UUID) -> None:
    values = {"webhook_id": webhook_id, "batch": BATCH}
    gone = BATCH
    while gone == BATCH:
        async with context.unit_of_work() as session:
            gone = len((await session.execute(FORGET, values)).all())


JOBS = (spread, deliver, purge, forget_webhook)
SCHEDULES = (schedule(deliver, cron="* * * * * */10"), schedule(purge, cron="40 3 * * *"))
