"""The ten statistics, put together from what the domains count.

Each is kept in the cache until an account changes, and for a minute at most; what is asked for by
many at once is counted once in a process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.cache import CachedReads
from undercroft.identity import statistics as accounts
from undercroft.operations.dashboard import schemas

NAMESPACE = "dashboard"
LIFE = timedelta(minutes=1)
SIGN_INS_LIFE = timedelta(seconds=5)
WEEKS = MONTHS = 12
# Roles that systems before us counted, and the group that each one is.
ROLES = {
    "superusers": "super_admin",
    "admins": "admin",
    "business": "business",
    "developers": "developer",
    "accountants": "accountant",
    "regular_users": "user",
}

Statistic = TypeVar("Statistic", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The boundaries of days as somebody in `zone` sees them at `now`."""

    zone: ZoneInfo
    now: datetime

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def start_of(self, day: date) -> datetime:
        """Its midnight, or what comes next where the clocks skip it."""
        return datetime.combine(day, time(), self.zone)

    def buckets(self, period: schemas.Period, days: int) -> list[date]:
        """The first day of each bucket, oldest first, the present one last."""
        match period:
            case "daily":
                return [self.today - timedelta(days=ago) for ago in reversed(range(days))]
            case "weekly":
                monday = self.today - timedelta(days=self.today.weekday())
                return [monday - timedelta(weeks=ago) for ago in reversed(range(WEEKS))]
            case "monthly":
                return [_months_before(self.today, ago) for ago in reversed(range(MONTHS))]


@dataclass(slots=True)
class Statistics:
    """What one process knows about who counts what at the moment."""

    reads: CachedReads
    _counting: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def overview(self, session: AsyncSession, calendar: Calendar) -> schemas.Overview:
        async def count() -> schemas.Overview:
            found = await accounts.count_accounts(
                session,
                today=calendar.start_of(calendar.today),
                this_week=calendar.now - timedelta(days=7),
                this_month=calendar.start_of(calendar.today.replace(day=1)),
            )
            return _overview(found)

        key = f"overview:{calendar.zone.key}:{calendar.today}"
        return await self._kept(session, key, schemas.Overview, count)

    async def by(
        self, session: AsyncSession, name: accounts.Property, shape: type[Statistic]
    ) -> Statistic:
        """Accounts by one of their properties; `shape` has one list, of its values with counts."""
        (lines,) = shape.model_fields

        async def count() -> Statistic:
            found = await accounts.count_by(session, name)
            return shape.model_validate({lines: [{name: value, "count": n} for value, n in found]})

        return await self._kept(session, f"by_{name}", shape, count)

    async def growth(
        self, session: AsyncSession, calendar: Calendar, period: schemas.Period, days: int
    ) -> schemas.UserGrowth:
        async def count() -> schemas.UserGrowth:
            return await _growth(session, calendar, period, days)

        key = f"growth:{period}:{days}:{calendar.zone.key}:{calendar.today}"
        return await self._kept(session, key, schemas.UserGrowth, count)

    async def roles(self, session: AsyncSession) -> schemas.Roles:
        async def count() -> schemas.Roles:
            found = await accounts.count_members(session)
            ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
            groups = [schemas.GroupCount(group=name, count=n) for name, n in ordered]
            named = {role: found.get(group, 0) for role, group in ROLES.items()}
            return schemas.Roles(**named, groups=groups)

        return await self._kept(session, "roles", schemas.Roles, count)

    async def recent_sign_ins(
        self, session: AsyncSession, calendar: Calendar, hours: int
    ) -> schemas.RecentSignIns:
        """A few seconds old at most: sign-ins are too many for each to be told to the cache."""

        async def count() -> schemas.RecentSignIns:
            since = {
                "last_hour": calendar.now - timedelta(hours=1),
                "asked": calendar.now - timedelta(hours=hours),
                "today": calendar.start_of(calendar.today),
            }
            found = await accounts.count_sign_ins(session, since)
            counted = {
                "total_with_sign_in": found["ever"],
                "last_hour": found["last_hour"],
                f"last_{hours}_hours": found["asked"],
                "today": found["today"],
            }
            return schemas.RecentSignIns(recent_sign_ins=counted)

        key = f"sign_ins:{hours}:{calendar.zone.key}:{calendar.today}"
        return await self._kept(session, key, schemas.RecentSignIns, count, life=SIGN_INS_LIFE)

    async def everything(self, session: AsyncSession, calendar: Calendar) -> schemas.AllStatistics:
        by_status = await self.by(session, "status", schemas.UsersByStatus)
        by_type = await self.by(session, "user_type", schemas.UsersByType)
        by_auth_type = await self.by(session, "auth_type", schemas.UsersByAuthType)
        return schemas.AllStatistics(
            generated_at=calendar.now,
            overview=await self.overview(session, calendar),
            by_status=by_status.users_by_status,
            by_type=by_type.users_by_type,
            by_auth_type=by_auth_type.users_by_auth_type,
            roles=await self.roles(session),
        )

    async def _kept(
        self,
        session: AsyncSession,
        key: str,
        model: type[Statistic],
        count: Callable[[], Awaitable[Statistic]],
        *,
        life: timedelta = LIFE,
    ) -> Statistic:
        async def produce() -> bytes:
            return (await count()).model_dump_json().encode()

        lock = self._counting.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                kept = await self.reads.get(session, NAMESPACE, key, produce, life=life)
        finally:
            if not lock.locked():
                self._counting.pop(key, None)
        return model.model_validate_json(kept)


async def _growth(
    session: AsyncSession, calendar: Calendar, period: schemas.Period, days: int
) -> schemas.UserGrowth:
    buckets = calendar.buckets(period, days)
    counts = await accounts.count_created(session, [calendar.start_of(day) for day in buckets])
    form = "%Y-%m" if period == "monthly" else "%Y-%m-%d"
    lines = [
        schemas.GrowthCount(period=day.strftime(form), count=count)
        for day, count in zip(buckets, counts, strict=True)
    ]
    return schemas.UserGrowth(period=period, timezone=calendar.zone.key, growth=lines)


def _overview(found: accounts.Overview) -> schemas.Overview:
    return schemas.Overview(
        total_users=found.total_users,
        active_users=found.active_users,
        verified_users=found.verified_users,
        email_verified=found.email_verified,
        phone_verified=found.phone_verified,
        new_users=schemas.NewUsers(
            today=found.today, this_week=found.this_week, this_month=found.this_month
        ),
        users_with_sign_in=found.users_with_sign_in,
    )


def _months_before(day: date, months: int) -> date:
    """The first of the month so many months ago."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
