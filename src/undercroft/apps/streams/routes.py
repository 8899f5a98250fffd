"""`/streams`, those of a site, and how many an organization may have."""

import re
from typing import Annotated

from fastapi import Depends

from undercroft import (
    Authenticated,
    CurrentActor,
    LoadOrganization,
    MissingPermission,
    Needs,
    OrganizationInactive,
    OrganizationNotFound,
    OrganizationRole,
    OrganizationToRun,
    Page,
    PageRequest,
    Parts,
    RoleTooLow,
    Router,
    Session,
    Standing,
    searched_by,
    sorted_by,
    update_organization,
    utc_now,
)
from undercroft.apps.sites import SiteNotFound, SiteToRead
from undercroft.apps.streams import queries, schemas, service
from undercroft.apps.streams.access import (
    SiteToAddTo,
    StreamToChange,
    StreamToRead,
    sees_passwords,
)
from undercroft.apps.streams.errors import StreamLimitReached, StreamNameTaken, StreamNotFound
from undercroft.apps.streams.models import Stream

router = Router("/streams", tag="streams")
site_router = Router("/sites", tag="streams")
limit_router = Router("/organizations", tag="streams")

REFUSED = (RoleTooLow, OrganizationInactive)
MANAGE = "organizations:manage"
USER = re.compile(r"^([^:]+://)[^/?#]*@")


async def _limited(
    standing: Annotated[Standing, Depends(LoadOrganization(OrganizationRole.OWNER, lock=True))],
) -> Standing:
    """Outsiders do not see it; its own people do not grant themselves more."""
    if not standing.manages_all:
        raise MissingPermission(MANAGE)
    return standing


OrganizationToLimit = Annotated[Standing, Depends(_limited)]


@site_router.get("/{site_id}/streams", access=Needs("streams:read"), problems=(SiteNotFound,))
async def list_streams(
    site: SiteToRead,
    session: Session,
    page: Annotated[PageRequest, sorted_by("name", "created_at")],
    actor: CurrentActor,
    parts: Parts,
    search: Annotated[str | None, searched_by("Part of the name.")] = None,
) -> Page[schemas.StreamRead]:
    """The streams of a site, by name."""
    found, cursor, total = await queries.list_streams(session, site.id, page, search=search)
    whole = await sees_passwords(session, site, actor)
    items = [_read(parts, stream, whole=whole) for stream in found]
    return Page[schemas.StreamRead](items=items, next_cursor=cursor, total=total)


@site_router.post(
    "/{site_id}/streams",
    access=Needs("streams:manage"),
    status_code=201,
    problems=(SiteNotFound, *REFUSED, StreamLimitReached, StreamNameTaken),
)
async def create_stream(
    new: schemas.StreamCreate,
    site: SiteToAddTo,
    session: Session,
    parts: Parts,
    actor: CurrentActor,
) -> schemas.StreamRead:
    """Add a stream to a site that you run, up to the limit of its organization."""
    stream = await service.create_stream(session, parts, site, new.model_dump(), actor=actor)
    return _read(parts, stream, whole=True)


@router.get("/{stream_id}", access=Needs("streams:read"), problems=(StreamNotFound,))
async def get_stream(found: StreamToRead, parts: Parts) -> schemas.StreamRead:
    """One stream."""
    return _read(parts, found.stream, whole=found.sees_password)


@router.patch(
    "/{stream_id}",
    access=Needs("streams:manage"),
    problems=(StreamNotFound, *REFUSED, StreamNameTaken),
)
async def update_stream(
    change: schemas.StreamUpdate,
    found: StreamToChange,
    session: Session,
    parts: Parts,
    actor: CurrentActor,
) -> schemas.StreamRead:
    """Change a stream. It stays at its site."""
    changes = change.model_dump(exclude_unset=True)
    await service.update_stream(session, parts, found.site, found.stream, changes, actor=actor)
    return _read(parts, found.stream, whole=found.sees_password)


@router.delete(
    "/{stream_id}",
    access=Needs("streams:manage"),
    status_code=204,
    problems=(StreamNotFound, *REFUSED),
)
async def delete_stream(found: StreamToChange, session: Session, actor: CurrentActor) -> None:
    """Delete a stream; another may take its place."""
    await service.delete_stream(session, found.site, found.stream, actor=actor)


@limit_router.get(
    "/{organization_id}/stream-limit",
    access=Needs("streams:read"),
    problems=(OrganizationNotFound, RoleTooLow),
)
async def get_stream_limit(standing: OrganizationToRun, session: Session) -> schemas.StreamLimit:
    """How many streams an organization that you run may have, and has."""
    return await _limit(session, standing)


@limit_router.patch(
    "/{organization_id}/stream-limit",
    access=Authenticated(),
    problems=(OrganizationNotFound, RoleTooLow, MissingPermission),
)
async def set_stream_limit(
    change: schemas.StreamLimitUpdate,
    standing: OrganizationToLimit,
    session: Session,
    actor: CurrentActor,
) -> schemas.StreamLimit:
    """Set how many streams an organization may have. Needs `organizations:manage`."""
    await update_organization(session, standing.organization, change.model_dump(), actor=actor)
    return await _limit(session, standing)


async def _limit(session: Session, standing: Standing) -> schemas.StreamLimit:
    organization = standing.organization
    return schemas.StreamLimit(
        organization_id=organization.id,
        max_allowed_streams=organization.max_allowed_streams,
        current_streams_count=await queries.count_streams(session, organization.id),
    )


def _read(parts: Parts, stream: Stream, *, whole: bool) -> schemas.StreamRead:
    url = service.video_url_of(parts, stream)
    expired = stream.expires_at is not None and stream.expires_at <= utc_now()
    known = {"video_url": url if whole else _without_password(url), "is_expired": expired}
    values = {
        name: getattr(stream, name) for name in schemas.StreamRead.model_fields if name not in known
    }
    return schemas.StreamRead(**values, **known)


def _without_password(url: str) -> str:
    return USER.sub(r"\1", url)
