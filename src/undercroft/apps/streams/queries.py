"""Every SELECT about streams."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import PageRequest, paginate
from undercroft.apps.sites import Site
from undercroft.apps.streams.errors import StreamNotFound
from undercroft.apps.streams.models import Stream


async def get_stream(session: AsyncSession, stream_id: UUID, *, lock: bool = False) -> Stream:
    found = await session.get(Stream, stream_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise StreamNotFound
    return found


async def list_streams(
    session: AsyncSession, site_id: UUID, page: PageRequest, *, search: str | None
) -> tuple[list[Stream], str | None, int | None]:
    """By name."""
    statement = select(Stream).where(Stream.site_id == site_id)
    if search:
        statement = statement.where(Stream.name.icontains(search, autoescape=True))
    keys = (Stream.name, Stream.id)
    sorts = {"name": Stream.name, "created_at": Stream.created_at}
    return await paginate(session, statement, page, keys=keys, descending=False, sorts=sorts)


async def count_streams(session: AsyncSession, organization_id: UUID) -> int:
    """On all sites of the organization, expired ones too."""
    statement = select(func.count()).select_from(Stream).join(Site, Site.id == Stream.site_id)
    return await session.scalar(statement.where(Site.organization_id == organization_id)) or 0
