"""How many accounts there are, of which kind and since when: what a dashboard shows.

Deleted accounts count nowhere but in `users_by_status`. Every statement reads the accounts once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ARRAY, ColumnElement, DateTime, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.identity.auth.models import SignInFailure
from undercroft.identity.users.models import User, UserStatus, UserType

Property = Literal["status", "user_type", "auth_type", "country", "language"]
UNKNOWN = "unknown"
# Buckets that are told even when nobody is in them.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "status": tuple(status.value for status in UserStatus),
    "user_type": tuple(kind.value for kind in UserType),
}
MOST_COUNTRIES = 20
THERE = User.status != UserStatus.DELETED


@dataclass(frozen=True, slots=True)
class Overview:
    total_users: int
    active_users: int
    verified_users: int
    email_verified: int
    phone_verified: int
    today: int
    this_week: int
    this_month: int
    users_with_sign_in: int


async def count_accounts(
    session: AsyncSession, *, today: datetime, this_week: datetime, this_month: datetime
) -> Overview:
    """`today`, `this_week` and `this_month` are the moments since when accounts are new."""
    by_mail, by_phone = User.email_verified_at.is_not(None), User.phone_verified_at.is_not(None)
    counted = (
        func.count(),
        _where(User.status == UserStatus.ACTIVE),
        _where(by_mail | by_phone),
        _where(by_mail),
        _where(by_phone),
        *(_where(User.created_at >= since) for since in (today, this_week, this_month)),
        func.count(User.last_sign_in_at),
    )
    row = (await session.execute(select(*counted).select_from(User).where(THERE))).one()
    return Overview(*(int(count) for count in row))


async def count_by(session: AsyncSession, name: Property) -> list[tuple[str, int]]:
    """(value, accounts), the most frequent first; of countries the first twenty."""
    column = getattr(User, name)
    statement = select(column, func.count()).group_by(column)
    if name != "status":
        statement = statement.where(THERE)
    found = dict.fromkeys(KNOWN.get(name, ()), 0)
    for value, count in await session.execute(statement):
        found[value or UNKNOWN] = found.get(value or UNKNOWN, 0) + count
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return ordered[:MOST_COUNTRIES] if name == "country" else ordered


async def count_created(session: AsyncSession, starts: Sequence[datetime]) -> list[int]:
    """Accounts made from each of these moments to the next, from the last one until now.

    Moments and not a time zone: Postgres may not know the zones that Python does.
    """
    bounds = bindparam("starts", list(starts), ARRAY(DateTime(timezone=True)))
    bucket = func.width_bucket(User.created_at, bounds).label("bucket")
    statement = (
        select(bucket, func.count()).where(THERE, User.created_at >= starts[0]).group_by(bucket)
    )
    found = {row[0]: row[1] for row in await session.execute(statement)}
    return [found.get(number, 0) for number in range(1, len(starts) + 1)]


async def count_sign_ins(session: AsyncSession, since: Mapping[str, datetime]) -> dict[str, int]:
    """Accounts whose last sign-in is not older, by the name of each moment; and `ever`."""
    counted = [_where(User.last_sign_in_at >= moment).label(name) for name, moment in since.items()]
    statement = select(func.count(User.last_sign_in_at).label("ever"), *counted).where(THERE)
    return dict((await session.execute(statement)).one()._mapping)  # noqa: SLF001 - its public name


async def count_locks(session: AsyncSession) -> int:
    """Identifiers that wait out a pause after failed sign-ins."""
    locked = select(func.count()).select_from(SignInFailure)
    return await session.scalar(locked.where(SignInFailure.locked_until > func.now())) or 0


async def count_members(session: AsyncSession) -> dict[str, int]:
    """Accounts in each group by its codename."""
    return {row.codename: row.members for row in await session.execute(MEMBERS)}


# Memberships are counted without their accounts; of the few deleted ones they are taken off again.
MEMBERS = text("""
    SELECT g.codename, coalesce(every.members, 0) - coalesce(gone.members, 0) AS members
      FROM auth.groups g
      LEFT JOIN (SELECT group_id, count(*) AS members FROM auth.user_groups GROUP BY group_id)
             AS every ON every.group_id = g.id
      LEFT JOIN (SELECT ug.group_id, count(*) AS members
                   FROM auth.users u JOIN auth.user_groups ug ON ug.user_id = u.id
                  WHERE u.deleted_at IS NOT NULL AND u.erased_at IS NULL AND u.status = 'deleted'
                  GROUP BY ug.group_id)
             AS gone ON gone.group_id = g.id
     ORDER BY g.codename
""")


def _where(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)
