"""The verbs on streams. The doors have checked who calls, and hold the organization's lock."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import Actor, Organization, Parts, publish
from undercroft.apps.sites import Site
from undercroft.apps.streams import queries
from undercroft.apps.streams.errors import StreamLimitReached, StreamNameTaken
from undercroft.apps.streams.events import StreamCreated, StreamDeleted, StreamUpdated
from undercroft.apps.streams.models import Stream

SEAL = "streams.video_url"


async def create_stream(
    session: AsyncSession, parts: Parts, site: Site, values: Mapping[str, Any], *, actor: Actor
) -> Stream:
    """Counted behind the organization's lock: two cannot both take the last place.

    Raises `StreamLimitReached` and `StreamNameTaken`.
    """
    limit = await _limit(session, site.organization_id)
    if await queries.count_streams(session, site.organization_id) >= limit:
        raise StreamLimitReached(limit)
    stream = Stream(site_id=site.id, **_stored(parts, values))
    session.add(stream)
    await _flush(session)
    await session.refresh(stream)
    where = (site.id, site.organization_id)
    publish(session, StreamCreated(stream.id, *where, stream.name, by=actor.user_id))
    return stream


async def update_stream(
    session: AsyncSession,
    parts: Parts,
    site: Site,
    stream: Stream,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
) -> None:
    for name, value in _stored(parts, changes).items():
        setattr(stream, name, value)
    await _flush(session)
    await session.refresh(stream)
    where, fields = (site.id, site.organization_id), tuple(changes)
    publish(session, StreamUpdated(stream.id, *where, fields, by=actor.user_id))


async def delete_stream(session: AsyncSession, site: Site, stream: Stream, *, actor: Actor) -> None:
    await session.delete(stream)
    await session.flush()
    where = (site.id, site.organization_id)
    publish(session, StreamDeleted(stream.id, *where, stream.name, by=actor.user_id))


def video_url_of(parts: Parts, stream: Stream) -> str:
    return parts.keyring.open(SEAL, stream.video_url_sealed).decode()


def _stored(parts: Parts, values: Mapping[str, Any]) -> dict[str, Any]:
    stored = dict(values)
    if "video_url" in stored:
        url: str = stored.pop("video_url")
        stored["video_url_sealed"] = parts.keyring.seal(SEAL, url.encode())
    return stored


async def _limit(session: AsyncSession, organization_id: UUID) -> int:
    organization = await session.get_one(Organization, organization_id)
    return organization.max_allowed_streams


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise StreamNameTaken from error
