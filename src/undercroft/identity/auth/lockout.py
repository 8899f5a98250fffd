"""A growing pause after failed sign-ins, per identifier and address.

Counted in Postgres in a transaction of its own, so that it survives the refusal, a restart and
the loss of Valkey.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.addresses import home_of
from undercroft.foundation.crypto import sha256
from undercroft.foundation.jobs import publish
from undercroft.foundation.settings import AuthSettings
from undercroft.identity.auth.errors import SignInLocked
from undercroft.identity.auth.events import SignInFailuresForgotten

LONGEST_PAUSE = timedelta(hours=24)
# A row without a failure for this long starts again at zero.
MEMORY = timedelta(hours=24)


def lock_key(name: str, address: str | None) -> bytes:
    """`name` has one spelling; of IPv6 the whole /64 counts as one address."""
    return sha256(f"{name}\n{home_of(address) if address else None}")


async def check_not_locked(
    session: AsyncSession, key: bytes, settings: AuthSettings, now: datetime
) -> None:
    """Raise `SignInLocked` while the pause lasts."""
    statement = text("SELECT locked_until FROM auth.sign_in_failures WHERE key = :key")
    check_pause(await session.scalar(statement, {"key": key}), settings, now)


def check_pause(until: datetime | None, settings: AuthSettings, now: datetime) -> None:
    """Raise `SignInLocked` before `until`."""
    if until and until > now:
        wait = math.ceil((until - now).total_seconds())
        raise SignInLocked(wait, limit=settings.lockout_failures)


async def count_failure(
    session: AsyncSession,
    key: bytes,
    settings: AuthSettings,
    now: datetime,
    user_id: UUID | None,
) -> None:
    """Add one; the fifth starts the first pause and each later one doubles it.

    Raises `SignInLocked`, and adds nothing, where a pause began while this try was checked: of a
    crowd no more are told that they were wrong, and the pause does not grow by those.
    """
    statement = text("""
        INSERT INTO auth.sign_in_failures AS f (key, failures, last_failed_at, user_id)
        VALUES (:key, 1, :now, :user_id)
        ON CONFLICT (key) DO UPDATE SET
            failures = CASE WHEN f.last_failed_at < :forgotten THEN 1 ELSE f.failures + 1 END,
            last_failed_at = :now, user_id = :user_id
            WHERE f.locked_until IS NULL OR f.locked_until <= :now
        RETURNING failures
    """)
    values = {"key": key, "now": now, "forgotten": now - MEMORY, "user_id": user_id}
    failures = await session.scalar(statement, values)
    if failures is None:
        await check_not_locked(session, key, settings, now)
        return
    over = failures - settings.lockout_failures
    if over >= 0:
        pause = min(settings.lockout_pause * 2 ** min(over, 20), LONGEST_PAUSE)
        lock = text("UPDATE auth.sign_in_failures SET locked_until = :until WHERE key = :key")
        await session.execute(lock, {"key": key, "until": now + pause})


async def list_failures(session: AsyncSession, user_id: UUID) -> Sequence[Row[Any]]:
    """What is remembered against an account, the latest first."""
    statement = text(
        "SELECT failures, last_failed_at, locked_until FROM auth.sign_in_failures"
        " WHERE user_id = :user_id ORDER BY last_failed_at DESC"
    )
    return (await session.execute(statement, {"user_id": user_id})).all()


async def forget_failures_of(session: AsyncSession, user_id: UUID, *, by: UUID | None) -> int:
    """End every pause of an account; return how many rows remembered failures."""
    statement = text("DELETE FROM auth.sign_in_failures WHERE user_id = :user_id RETURNING 1")
    forgotten = len((await session.execute(statement, {"user_id": user_id})).all())
    publish(session, SignInFailuresForgotten(user_id, by=by))
    return forgotten


async def forget_failures(session: AsyncSession, key: bytes) -> None:
    await session.execute(text("DELETE FROM auth.sign_in_failures WHERE key = :key"), {"key": key})
