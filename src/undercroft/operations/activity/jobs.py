"""What keeps the log: seals every few seconds, months made ahead, old entries taken away."""

from datetime import timedelta

import structlog
from sqlalchemy import text

from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.jobs import JobContext, enqueue, job, schedule
from undercroft.operations.activity import seals, service

log = structlog.get_logger()

MONTHS_AHEAD = text("""
    SELECT operations.ensure_activity_month(
        (now() AT TIME ZONE 'UTC' + ahead * interval '1 month')::date)
      FROM generate_series(0, 3) AS ahead
""")
# A month's partition is dropped behind its readers and writers; try again tomorrow, not for ever.
PATIENCE = text("SET LOCAL lock_timeout = '5s'")
MOST_ROUNDS = 200


@job("operations.seal_activity", max_attempts=1)
async def seal_activity(context: JobContext) -> None:
    """Chain what waits. Its head goes to the log file, out of the database's reach."""
    keyring = keyring_of(context)
    for _ in range(MOST_ROUNDS):
        async with context.unit_of_work() as session:
            sealed = await seals.seal_entries(session, keyring, now=utc_now())
        if sealed is None:
            return
        head, entries = sealed
        log.info("activity_sealed", head=str(head), entries=entries)
        if entries < seals.MOST_PER_SEAL:
            return


@job("operations.make_activity_months")
async def make_activity_months(context: JobContext) -> None:
    """Partitions for the months to come."""
    async with context.unit_of_work() as session:
        await session.execute(PATIENCE)
        await session.execute(MONTHS_AHEAD)


@job("operations.expire_activity", timeout=timedelta(minutes=30))
async def expire_activity(context: JobContext) -> None:
    """Take away what is older than `activity.retention`."""
    retention = context.settings.activity.retention
    for _ in range(MOST_ROUNDS):
        async with context.unit_of_work() as session:
            await session.execute(PATIENCE)
            gone = await service.purge_entries(
                session, keyring_of(context), retention, now=utc_now(), whole_months=True
            )
        if gone < service.MOST_AT_ONCE:
            return


@job("operations.purge_activity", timeout=timedelta(minutes=30))
async def purge_activity(context: JobContext, days: int) -> None:
    """Go on with a deletion that was too long for its request."""
    async with context.unit_of_work() as session:
        gone = await service.purge_entries(
            session, keyring_of(context), timedelta(days=days), now=utc_now()
        )
        if gone == service.MOST_AT_ONCE:
            await enqueue(session, purge_activity, days=days)


def keyring_of(context: JobContext) -> Keyring:
    secret = context.settings.secret_key
    assert secret, "a worker starts with a secret key"
    return Keyring(secret.get_secret_value())


JOBS = (seal_activity, make_activity_months, expire_activity, purge_activity)
SCHEDULES = (
    schedule(seal_activity, cron="* * * * * */10"),
    schedule(make_activity_months, cron="20 2 * * *"),
    schedule(expire_activity, cron="50 2 * * *"),
)
