"""Housekeeping of sign-in: what is over is forgotten."""

from datetime import timedelta

from sqlalchemy import text

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import JobContext, job, schedule
from undercroft.identity.auth.codes.delivery import deliver_secret

# Long enough for the hourly limits and for somebody who asks what happened yesterday.
SECRETS_KEPT = timedelta(days=1)
SESSIONS_KEPT = timedelta(days=30)
FAILURES_KEPT = timedelta(days=2)


@job("identity.purge_expired")
async def purge_expired(context: JobContext) -> None:
    """Delete secrets, challenges and flows that expired, and sessions long over."""
    now = utc_now()
    for statement, oldest in (
        ("DELETE FROM auth.one_time_secrets WHERE expires_at < :oldest", now - SECRETS_KEPT),
        ("DELETE FROM auth.passkey_challenges WHERE expires_at < :oldest", now),
        ("DELETE FROM auth.provider_flows WHERE expires_at < :oldest", now),
        ("DELETE FROM auth.sign_in_grants WHERE expires_at < :oldest", now),
        ("DELETE FROM auth.sign_in_failures WHERE last_failed_at < :oldest", now - FAILURES_KEPT),
        (
            # Whichever came first, its end or its expiry.
            "DELETE FROM auth.sessions WHERE least(ended_at, expires_at) < :oldest",
            now - SESSIONS_KEPT,
        ),
    ):
        async with context.unit_of_work() as session:
            await session.execute(text(statement), {"oldest": oldest})


JOBS = (deliver_secret, purge_expired)
SCHEDULES = (schedule(purge_expired, cron="41 * * * *"),)
