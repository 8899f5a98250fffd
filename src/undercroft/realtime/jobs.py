"""Housekeeping of live changes: logs stay bounded, and a slot that nobody reads goes."""

import structlog
from sqlalchemy import text

from undercroft.foundation.jobs import JobContext, job, schedule
from undercroft.realtime.changes.log import PRUNE
from undercroft.realtime.changes.slot import DROP_LAGGING

log = structlog.get_logger()

# What a consumer that lags may hold on to.
HARD_FACTOR = 4
PRUNE_MESSAGES = text("""
    DELETE FROM realtime.messages
     WHERE inserted_at < now() - CAST(:keep AS interval) OR expires_at < now()
""")


@job("realtime.prune")
async def prune(context: JobContext) -> None:
    """Forget changes and messages beyond their time or size."""
    settings = context.settings.realtime
    async with context.unit_of_work() as session:
        await session.execute(
            PRUNE,
            {
                "keep": settings.log_retention,
                "most_bytes": int(settings.log_size),
                "hard_bytes": HARD_FACTOR * int(settings.log_size),
            },
        )
    async with context.unit_of_work() as session:
        await session.execute(PRUNE_MESSAGES, {"keep": settings.message_retention})


@job("realtime.drop_unread_slot")
async def drop_unread_slot(context: JobContext) -> None:
    """Let Postgres delete its log when no reader came for too long: the disk matters more."""
    most = {"most_bytes": int(context.settings.realtime.max_slot_lag)}
    async with context.unit_of_work() as session:
        dropped = (await session.execute(text(DROP_LAGGING), most)).all()
    if dropped:
        log.error("changes_slot_dropped", reason="no reader kept up with it")


JOBS = (prune, drop_unread_slot)
SCHEDULES = (schedule(prune, cron="* * * * *"), schedule(drop_unread_slot, cron="* * * * *"))
