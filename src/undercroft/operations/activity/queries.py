"""Every SELECT on the log. None without a time window or somebody's id."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.operations.activity.entries import time_of
from undercroft.operations.activity.errors import ActivityNotFound, WindowEmpty, WindowTooWide
from undercroft.operations.activity.models import UNSEALED, ActorType, Entry, Level

# The partitions of a quarter, walked along the key: what a question without an index may cost.
WIDEST = timedelta(days=92)
USUAL = timedelta(days=30)
OLDEST = timedelta(days=36_500)
# No entry is older: their ids count from here.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
MOST_FREQUENT = 10

SORTS: Sorts = {
    "created_at": Entry.created_at,
    "level": Entry.level,
    "action": Entry.action,
    "module": Entry.module,
}
COMPARED = (
    "level",
    "action",
    "module",
    "user_id",
    "target_id",
    "address",
    "api_key_id",
    "actor_type",
)


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """What entries must match; `since` is the first moment, `until` the first one after."""

    since: datetime
    until: datetime
    level: Level | None = None
    action: str | None = None
    module: str | None = None
    user_id: UUID | None = None
    target_id: str | None = None
    address: str | None = None
    api_key_id: UUID | None = None
    actor_type: ActorType | None = None
    # A part of the message, the action or what it is about.
    search: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        found = [Entry.created_at >= self.since, Entry.created_at < self.until]
        if self.search:
            found.append(containing(self.search, Entry.message, Entry.action, Entry.target_id))
        for name in COMPARED:
            value = getattr(self, name)
            if value is not None:
                found.append(getattr(Entry, name) == value)
        return found


def bounded(
    given: ActivityFilter, since: datetime | None, until: datetime | None, *, now: datetime
) -> ActivityFilter:
    """The filter within its window; raises `WindowTooWide` for one that would scan everything."""
    indexed = given.user_id is not None or given.target_id is not None
    until = until or now + timedelta(minutes=1)
    span = OLDEST if indexed else USUAL
    since = since or max(until, BEGINNING + span) - span
    if since >= until:
        raise WindowEmpty
    if not indexed and until - since > WIDEST:
        raise WindowTooWide(WIDEST.days)
    return replace(given, since=since, until=until)


def _matching(wanted: ActivityFilter) -> Select[Any]:
    return select(Entry).where(and_(*wanted.conditions))


async def list_entries(
    session: AsyncSession, wanted: ActivityFilter, page: PageRequest
) -> tuple[list[Entry], str | None, int | None]:
    """Newest first."""
    keys = (Entry.created_at, Entry.id)
    return await paginate(session, _matching(wanted), page, keys=keys, sorts=SORTS)


async def next_entries(
    session: AsyncSession, wanted: ActivityFilter, after: Entry | None, limit: int
) -> Sequence[Entry]:
    """Oldest first, those after `after`: exports and scripts walk along the key."""
    statement = _matching(wanted).order_by(Entry.created_at, Entry.id).limit(limit)
    if after:
        position = tuple_(Entry.created_at, Entry.id)
        statement = statement.where(position > tuple_(after.created_at, after.id))
    return (await session.scalars(statement)).all()


async def get_entry(session: AsyncSession, entry_id: UUID) -> Entry:
    """Raises `ActivityNotFound`, also for what cannot be an id of ours."""
    if entry_id.version != 7:
        raise ActivityNotFound
    found = await session.get(Entry, (time_of(entry_id), entry_id))
    if found is None:
        raise ActivityNotFound
    return found


async def count_unsealed(session: AsyncSession) -> tuple[int, float]:
    """Entries without a seal, and the age of the oldest in seconds."""
    age = func.extract("epoch", func.now() - func.min(UNSEALED.c.created_at))
    row = (await session.execute(select(func.count(), age).select_from(UNSEALED))).one()
    return row[0], float(row[1] or 0)


async def count_by(
    session: AsyncSession, wanted: ActivityFilter, column: Any, *, most: int = MOST_FREQUENT
) -> list[tuple[str, int]]:
    """(value, entries) of the most frequent values."""
    count = func.count()
    statement = (
        select(column, count)
        .where(and_(*wanted.conditions))
        .group_by(column)
        .order_by(count.desc(), column)
        .limit(most)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]
