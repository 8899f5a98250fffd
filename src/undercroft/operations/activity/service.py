"""The verbs on the log: add an entry by hand, count, take old ones away."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.operations.activity import queries, seals
from undercroft.operations.activity.entries import Happening, record
from undercroft.operations.activity.events import ActivityPurged
from undercroft.operations.activity.models import Entry, Purge, Seal
from undercroft.operations.activity.queries import ActivityFilter
from undercroft.operations.activity.schemas import (
    ActivityCreate,
    ActivityStatistics,
    Counted,
)

# As many as a request deletes while its caller waits.
MOST_AT_ONCE = 50_000
OWN_COLUMNS = (
    "device",
    "browser",
    "os",
    "platform",
    "endpoint",
    "method",
    "status_code",
    "duration_ms",
    "error_details",
)


async def add_entry(session: AsyncSession, new: ActivityCreate, *, actor: Actor) -> Entry:
    """Write what an application has to tell. Its secrets are masked as ours are."""
    given: Mapping[str, Any] = new.model_dump(exclude_unset=True)
    target = (new.target_type or "object", new.target_id) if new.target_id else None
    happening = Happening(
        action=new.action,
        module=new.module,
        message=new.message,
        level=new.level,
        by=actor.user_id,
        target=target,
        metadata=new.metadata,
        details={name: given[name] for name in OWN_COLUMNS if given.get(name)},
    )
    return await queries.get_entry(session, await record(session, happening))


async def count_entries(session: AsyncSession, wanted: ActivityFilter) -> ActivityStatistics:
    levels = await queries.count_by(session, wanted, Entry.level)
    actions = await queries.count_by(session, wanted, Entry.action)
    modules = await queries.count_by(session, wanted, Entry.module)
    return ActivityStatistics(
        since=wanted.since,
        until=wanted.until,
        total=sum(count for _, count in levels),
        by_level=[Counted(value=value, count=count) for value, count in levels],
        by_action=[Counted(value=value, count=count) for value, count in actions],
        by_module=[Counted(value=value, count=count) for value, count in modules],
    )


async def purge_entries(
    session: AsyncSession,
    keyring: Keyring,
    older_than: timedelta,
    *,
    now: datetime,
    by: UUID | None = None,
    most: int = MOST_AT_ONCE,
    whole_months: bool = False,
) -> int:
    """Take away entries older than `older_than`, at most `most`; return how many went.

    A signed note of it stays, with the seal at which the chain begins from now on: entries that
    are missing from before that moment break nothing, later ones do. Where `most` went and older
    ones are left, that moment is theirs.
    """
    before = now - older_than
    await session.execute(seals.LOCK)
    purge = text("SELECT operations.purge_activity(:before, :most, :whole_months)")
    values = {"before": before, "most": most, "whole_months": whole_months}
    gone: int = (await session.execute(purge, values)).scalar_one()
    if gone == 0:
        return 0
    left = await session.scalar(select(func.min(Entry.created_at)).where(Entry.created_at < before))
    anchor = await _anchor(session, left or before)
    # Of one millisecond some may be gone and some be left.
    purged_before = left + timedelta(milliseconds=1) if left else before
    note = Purge(
        id=new_id(),
        purged_at=now,
        purged_before=purged_before,
        anchor_number=anchor.number,
        anchor_hash=anchor.hash,
    )
    note.signature = seals.sign(keyring, seals.hash_of_purge(note))
    session.add(note)
    await session.flush()
    await session.execute(text("SELECT operations.forget_seals(:up_to)"), {"up_to": anchor.number})
    publish(session, ActivityPurged(purged_before, gone, by=by))
    return gone


async def _anchor(session: AsyncSession, before: datetime) -> seals.Head:
    """The last of the seals that hold nothing younger, the first of them on without a gap."""
    kept = select(Seal.number).where(Seal.newest_at >= before).order_by(Seal.number).limit(1)
    first_kept = await session.scalar(kept)
    statement = select(Seal.number, Seal.hash).order_by(Seal.number.desc()).limit(1)
    if first_kept is not None:
        statement = statement.where(Seal.number < first_kept)
    row = (await session.execute(statement)).one_or_none()
    if row:
        return seals.Head(row[0], row[1])
    anchors = select(Purge.anchor_number, Purge.anchor_hash).order_by(Purge.anchor_number.desc())
    earlier = (await session.execute(anchors.limit(1))).one_or_none()
    return seals.Head(earlier[0], earlier[1]) if earlier else seals.Head(0, seals.GENESIS)
