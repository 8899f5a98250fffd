"""Every SELECT on the files of accounts."""

from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.storage.media.errors import MediaNotFound
from undercroft.storage.media.models import Media, MediaState

SORTS: Sorts = {
    "created_at": Media.created_at,
    "name": func.coalesce(Media.name, ""),
    "size_bytes": func.coalesce(Media.size_bytes, 0),
}
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('media:' || :owner, 0))")


async def lock_owner(session: AsyncSession, owner_id: UUID) -> None:
    """Whoever adds to one account's files counts them after all who came before."""
    await session.execute(LOCK, {"owner": str(owner_id)})


async def usage_of(session: AsyncSession, owner_id: UUID) -> tuple[int, int]:
    """(files, bytes), those being fetched counted as files."""
    statement = select(func.count(), func.coalesce(func.sum(Media.size_bytes), 0)).where(
        Media.owner_id == owner_id, Media.state != MediaState.FAILED
    )
    row = (await session.execute(statement)).one()
    return row[0] or 0, int(row[1] or 0)


async def count_pending(session: AsyncSession, owner_id: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(Media)
        .where(Media.owner_id == owner_id, Media.state == MediaState.PENDING)
    )
    return await session.scalar(statement) or 0


async def list_media(
    session: AsyncSession, page: PageRequest, owner_id: UUID, *, search: str | None
) -> tuple[list[Media], str | None, int | None]:
    """Newest first. `search` is a part of the name."""
    statement = select(Media).where(Media.owner_id == owner_id)
    if search:
        statement = statement.where(containing(search, Media.name))
    return await paginate(session, statement, page, keys=(Media.created_at, Media.id), sorts=SORTS)


async def find_media(session: AsyncSession, media_id: UUID, *, lock: bool = False) -> Media | None:
    statement = select(Media).where(Media.id == media_id)
    found: Media | None = await session.scalar(statement.with_for_update() if lock else statement)
    return found


async def get_media(session: AsyncSession, media_id: UUID, *, lock: bool = False) -> Media:
    """Raises `MediaNotFound`."""
    found = await find_media(session, media_id, lock=lock)
    if found is None:
        raise MediaNotFound
    return found
