"""Housekeeping of live changes: logs stay bounded, and a slot that nobody reads goes."""

import structlog
from sqlalchemy import text

from undercroft.foundation.jobs import JobContext, job, schedule
from undercroft.realtime.changes.log import PRUNE
from undercroft.realtime.changes.slot import DROP_LAGGING
from undercroft.realtime.changes.tables import SHORT_WAIT

log = structlog.get_logger()

# What a consumer that lags may hold on to.
HARD_FACTOR = 4
PRUNE_MESSAGES = text("""
    DELETE FROM realtime.messages
     WHERE inserted_at < now() - CAST(:keep AS interval) OR expires_at < now()
""")
KEEP_OLD_ROWS = text("""
    SELECT realtime.keep_old_rows(c.oid)
      FROM pg_publication p
      JOIN pg_publication_rel r ON r.prpubid = p.oid
      JOIN pg_class c ON c.oid = r.prrelid
     WHERE p.pubname IN ('supabase_realtime', 'undercroft_changes') AND c.relkind = 'p'
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


@job("realtime.keep_old_rows")
async def keep_old_rows(context: JobContext) -> None:
    """Log whole rows of partitions that came after their table was made live.

    Where there are event triggers those have seen to it already.
    """
    async with context.unit_of_work() as session:
        await session.execute(SHORT_WAIT)
        await session.execute(KEEP_OLD_ROWS)


@job("realtime.drop_unread_slot")
async def drop_unread_slot(context: JobContext) -> None:
    """Let Postgres delete its log when no reader came for too long: the disk matters more."""
    most = {"most_bytes": int(context.settings.realtime.max_slot_lag)}
    async with context.unit_of_work() as session:
        dropped = (await session.execute(text(DROP_LAGGING), most)).all()
    if dropped:
        log.error("changes_slot_dropped", reason="no reader kept up with it")


JOBS = (prune, keep_old_rows, drop_unread_slot)
SCHEDULES = (
    schedule(prune, cron="* * * * * 5"),
    schedule(keep_old_rows, cron="* * * * * 15"),
    schedule(drop_unread_slot, cron="* * * * * 25"),
)
