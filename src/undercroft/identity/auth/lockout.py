"""A growing pause after failed sign-ins, per identifier and address.

Counted in Postgres in a transaction of its own, so that it survives the refusal, a restart and
the loss of Valkey.
"""

import math
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import sha256
from undercroft.foundation.settings import AuthSettings
from undercroft.identity.auth.errors import SignInLocked

LONGEST_PAUSE = timedelta(hours=24)
# A row without a failure for this long starts again at zero.
MEMORY = timedelta(hours=24)


def lock_key(identifier: str, address: str | None) -> bytes:
    return sha256(f"{identifier.casefold()}\n{address}")


async def check_not_locked(session: AsyncSession, key: bytes, now: datetime) -> None:
    """Raise `SignInLocked` while the pause lasts."""
    statement = text("SELECT locked_until FROM auth.sign_in_failures WHERE key = :key")
    until: datetime | None = await session.scalar(statement, {"key": key})
    if until and until > now:
        raise SignInLocked(math.ceil((until - now).total_seconds()))


async def count_failure(
    session: AsyncSession, key: bytes, settings: AuthSettings, now: datetime
) -> None:
    """Add one; the fifth starts the first pause and each later one doubles it."""
    statement = text("""
        INSERT INTO auth.sign_in_failures AS f (key, failures, last_failed_at)
        VALUES (:key, 1, :now)
        ON CONFLICT (key) DO UPDATE SET
            failures = CASE WHEN f.last_failed_at < :forgotten THEN 1 ELSE f.failures + 1 END,
            last_failed_at = :now
        RETURNING failures
    """)
    values = {"key": key, "now": now, "forgotten": now - MEMORY}
    failures = (await session.execute(statement, values)).scalar_one()
    over = failures - settings.lockout_failures
    if over >= 0:
        pause = min(settings.lockout_pause * 2 ** min(over, 20), LONGEST_PAUSE)
        lock = text("UPDATE auth.sign_in_failures SET locked_until = :until WHERE key = :key")
        await session.execute(lock, {"key": key, "until": now + pause})


async def forget_failures(session: AsyncSession, key: bytes) -> None:
    await session.execute(text("DELETE FROM auth.sign_in_failures WHERE key = :key"), {"key": key})
