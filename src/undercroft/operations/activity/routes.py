"""`/activity`: what happened, for who may see it."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.fields import in_utc
from undercroft.foundation.http import (
    CurrentActor,
    Parts,
    Router,
    Session,
    searched_by,
    sorted_by,
)
from undercroft.foundation.jobs import enqueue, publish
from undercroft.operations.activity import exports, queries, service
from undercroft.operations.activity.errors import ActivityNotFound, WindowEmpty, WindowTooWide
from undercroft.operations.activity.events import ActivityExported
from undercroft.operations.activity.jobs import purge_activity
from undercroft.operations.activity.models import ActorType, Level
from undercroft.operations.activity.queries import ActivityFilter, bounded
from undercroft.operations.activity.schemas import (
    ActivityCreate,
    ActivityPurgeReport,
    ActivityRead,
    ActivityStatistics,
    ExportFormat,
)

PERMISSIONS = (
    Permission("activity:read", "See what everybody did."),
    Permission("activity:create", "Add entries to the activity log."),
    Permission("activity:delete", "Take old entries out of the activity log."),
    Permission("activity:export", "Download the activity log."),
    Permission("activity_statistics:read", "See how often what happened."),
    Permission("own_activity:read", "See what one did oneself."),
)
BOUNDS = (WindowTooWide, WindowEmpty)
MEDIA = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
LATEST = "First moment that is not told any more."

router = Router("/activity", tag="operations")
user_router = Router("/users", tag="operations")

ActivityPage = Annotated[PageRequest, sorted_by("created_at", "level", "action", "module")]
Search = Annotated[str | None, searched_by("Part of message, action or what it is about.")]
Time = Annotated[datetime, AfterValidator(in_utc)]
Since = Annotated[Time | None, Query(description="First moment; 30 days ago unless told.")]
Until = Annotated[Time | None, Query(description=LATEST)]
UserId = Annotated[UUID | None, Query(description="Who acted.")]


async def _filter(
    since: Since = None,
    until: Until = None,
    level: Level | None = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    module: Annotated[str | None, Query(max_length=50)] = None,
    user_id: UserId = None,
    target_id: Annotated[str | None, Query(max_length=255, description="What it is about.")] = None,
    address: Annotated[str | None, Query(max_length=45)] = None,
    search: Search = None,
) -> ActivityFilter:
    now = utc_now()
    wanted = ActivityFilter(
        now, now, level, action, module, user_id, target_id, address, search=search
    )
    return bounded(wanted, since, until, now=now)


Wanted = Annotated[ActivityFilter, Depends(_filter)]


async def _page(session: Session, wanted: ActivityFilter, page: ActivityPage) -> Page[ActivityRead]:
    entries, cursor, total = await queries.list_entries(session, wanted, page)
    items = [ActivityRead.model_validate(entry) for entry in entries]
    return Page[ActivityRead](items=items, next_cursor=cursor, total=total)


@router.get("", access=Needs("activity:read"), problems=BOUNDS)
async def list_activity(session: Session, page: ActivityPage, wanted: Wanted) -> Page[ActivityRead]:
    """What happened, newest first. Without `user_id` or `target_id` a query spans 92 days."""
    return await _page(session, wanted, page)


@router.post("", access=Needs("activity:create"), status_code=201)
async def add_activity(new: ActivityCreate, session: Session, actor: CurrentActor) -> ActivityRead:
    """Add an entry of your application's own. It is sealed and kept like the platform's."""
    return ActivityRead.model_validate(await service.add_entry(session, new, actor=actor))


@router.delete("", access=Needs("activity:delete"))
async def purge_activity_log(
    session: Session,
    parts: Parts,
    actor: CurrentActor,
    older_than: Annotated[int, Query(ge=1, le=36_500, description="Days.")],
) -> ActivityPurgeReport:
    """Take away entries older than so many days. That you did stays in the log."""
    age = timedelta(days=older_than)
    deleted = await service.purge_entries(
        session, parts.keyring, age, now=utc_now(), by=actor.user_id
    )
    complete = deleted < service.MOST_AT_ONCE
    if not complete:
        await enqueue(session, purge_activity, days=older_than)
    return ActivityPurgeReport(deleted=deleted, older_than=older_than, complete=complete)


@router.get("/me", access=Needs("own_activity:read"), problems=BOUNDS)
async def list_my_activity(
    session: Session,
    page: ActivityPage,
    actor: CurrentActor,
    since: Since = None,
    until: Until = None,
) -> Page[ActivityRead]:
    """What you did, and who failed to sign in as you; newest first. A key sees what it did."""
    now = utc_now()
    kind = None if actor.user_id or actor.api_key_id else ActorType.SERVICE
    mine = ActivityFilter(
        now, now, user_id=actor.user_id, api_key_id=actor.api_key_id, actor_type=kind
    )
    return await _page(session, bounded(mine, since, until, now=now), page)


@router.get("/statistics", access=Needs("activity_statistics:read"), problems=BOUNDS)
async def get_activity_statistics(session: Session, wanted: Wanted) -> ActivityStatistics:
    """How many entries there are, by level, action and module."""
    return await service.count_entries(session, wanted)


EXPORT_BODY = {
    "responses": {
        "200": {
            "description": "The entries, streamed.",
            "content": {
                kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                for kind in MEDIA.values()
            },
        }
    }
}


@router.get(
    "/export",
    access=Needs("activity:export"),
    response_class=StreamingResponse,
    openapi=EXPORT_BODY,
    problems=BOUNDS,
)
async def export_activity(
    session: Session,
    parts: Parts,
    actor: CurrentActor,
    wanted: Wanted,
    format: ExportFormat = "csv",  # noqa: A002 - the parameter's name is the contract
) -> StreamingResponse:
    """The log as CSV or as a JSON object per line, oldest first. Takes the filters of the list."""
    publish(session, ActivityExported(format, wanted.since, wanted.until, by=actor.user_id))
    # Before the answer begins: what the database refuses must still be told as a problem.
    first = await queries.next_entries(session, wanted, None, exports.PAGE)
    return StreamingResponse(
        exports.export_entries(parts.database, wanted, format, first),
        media_type=MEDIA[format],
        headers={
            "Content-Disposition": f'attachment; filename="activity.{format}"',
            "Cache-Control": "no-store",
        },
    )


@router.get("/{entry_id}", access=Needs("activity:read"), problems=(ActivityNotFound,))
async def get_activity(entry_id: UUID, session: Session) -> ActivityRead:
    """One entry."""
    return ActivityRead.model_validate(await queries.get_entry(session, entry_id))


@user_router.get("/{user_id}/activity", access=Needs("activity:read"), problems=BOUNDS)
async def list_activity_of_user(
    user_id: UUID, session: Session, page: ActivityPage, since: Since = None, until: Until = None
) -> Page[ActivityRead]:
    """What one person did, newest first; also of an account that is gone."""
    return await _page(session, await _filter(since, until, user_id=user_id), page)
