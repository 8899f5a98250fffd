"""The verbs on the catalogue."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import Actor, CachedReads, publish
from undercroft.apps.catalog.errors import AuthorHasWorks, UnknownAuthor
from undercroft.apps.catalog.events import CatalogChanged
from undercroft.apps.catalog.models import Author, Entry, Movie, Series
from undercroft.apps.catalog.queries import count_works

# One for all: a movie's change concerns lists, its author's works and searches alike.
NAMESPACE = "catalog"


async def add(session: AsyncSession, reads: CachedReads, entry: Entry, *, actor: Actor) -> Entry:
    """Raises `UnknownAuthor`, also when the author is deleted at the same moment."""
    session.add(entry)
    await _flush(session)
    await session.refresh(entry)
    await _announce(session, reads, entry, "created", actor)
    return entry


async def change(
    session: AsyncSession,
    reads: CachedReads,
    entry: Entry,
    values: Mapping[str, Any],
    *,
    actor: Actor,
) -> Entry:
    for name, value in values.items():
        setattr(entry, name, value)
    await _flush(session)
    await session.refresh(entry)
    await _announce(session, reads, entry, "updated", actor)
    return entry


async def remove(
    session: AsyncSession, reads: CachedReads, entry: Author | Movie | Series, *, actor: Actor
) -> None:
    """Raises `AuthorHasWorks`; whose author is being deleted is not added to meanwhile."""
    if isinstance(entry, Author) and await count_works(session, entry.id):
        raise AuthorHasWorks
    await session.delete(entry)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AuthorHasWorks from error
    await _announce(session, reads, entry, "deleted", actor)


async def _announce(
    session: AsyncSession,
    reads: CachedReads,
    entry: Author | Movie | Series,
    verb: str,
    actor: Actor,
) -> None:
    publish(session, CatalogChanged(entry.__tablename__, entry.id, verb, by=actor.user_id))
    await reads.written(session, NAMESPACE)


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise UnknownAuthor from error
