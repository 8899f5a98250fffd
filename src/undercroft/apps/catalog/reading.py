"""Answers out of the cache: the bytes that were sent before, while nothing has changed since."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import CachedReads, Page, PageRequest, sorted_by
from undercroft.apps.catalog import queries
from undercroft.apps.catalog.models import Author, Movie, Series
from undercroft.apps.catalog.queries import Which
from undercroft.apps.catalog.schemas import AuthorRead, MovieRead, SeriesRead
from undercroft.apps.catalog.service import NAMESPACE

SINGLE = timedelta(seconds=30)
LISTED = timedelta(seconds=60)
AUTHOR_OF = timedelta(seconds=180)

AuthorPage = Annotated[PageRequest, sorted_by(*queries.SORTS[Author])]
MoviePage = Annotated[PageRequest, sorted_by(*queries.SORTS[Movie])]
SeriesPage = Annotated[PageRequest, sorted_by(*queries.SORTS[Series])]


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of entry as it is read. Problems are not cached."""

    noun: str
    model: Any
    shape: type[BaseModel]

    async def one(self, session: AsyncSession, reads: CachedReads, entry_id: UUID) -> Response:
        async def produce() -> BaseModel:
            found = await queries.get_entry(session, self.model, entry_id)
            return self.shape.model_validate(found)

        return await _answer(session, reads, f"{self.noun}:{entry_id}", produce, life=SINGLE)

    async def author_of(
        self, session: AsyncSession, reads: CachedReads, entry_id: UUID
    ) -> Response:
        async def produce() -> BaseModel:
            work = await queries.get_entry(session, self.model, entry_id)
            author = await queries.get_entry(session, Author, work.author_id)
            return AuthorRead.model_validate(author)

        key = f"{self.noun}:{entry_id}:author"
        return await _answer(session, reads, key, produce, life=AUTHOR_OF)

    async def page(
        self,
        session: AsyncSession,
        reads: CachedReads,
        page: PageRequest,
        which: Which,
        *,
        of: UUID | None = None,
    ) -> Response:
        """All, or those `of` an author, who must exist."""
        if of:
            which = Which(filters={"author_id": of})

        async def produce() -> BaseModel:
            if of:
                await queries.get_entry(session, Author, of)
            found, cursor, total = await queries.list_all(session, self.model, page, which)
            items = [self.shape.model_validate(entry) for entry in found]
            return Page[Any](items=items, next_cursor=cursor, total=total)

        # An author who has nothing and one who is not there are different answers.
        noun = f"author-{self.noun}" if of else self.noun
        return await _answer(session, reads, _listed(noun, page, which), produce, life=LISTED)


AUTHORS = Reader("authors", Author, AuthorRead)
MOVIES = Reader("movies", Movie, MovieRead)
SERIES = Reader("series", Series, SeriesRead)


async def _answer(
    session: AsyncSession,
    reads: CachedReads,
    key: str,
    produce: Callable[[], Awaitable[BaseModel]],
    *,
    life: timedelta,
) -> Response:
    async def make() -> bytes:
        return (await produce()).model_dump_json().encode()

    body = await reads.get(session, NAMESPACE, key, make, life=life)
    return Response(body, media_type="application/json")


def _listed(noun: str, page: PageRequest, which: Which) -> str:
    """One key per distinct question, short however long the question is."""
    question: Any = (page, sorted(_flat(which)))
    return f"{noun}:list:{sha256(repr(question).encode()).hexdigest()}"


def _flat(which: Which) -> list[tuple[str, str]]:
    named = {"search": which.search, "filters": dict(which.filters)}
    bounds = {"at_least": dict(which.at_least), "at_most": dict(which.at_most)}
    return [(name, repr(value)) for name, value in (named | bounds).items()]
