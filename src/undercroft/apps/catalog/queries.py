"""Every SELECT of the catalogue."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, cast, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from undercroft import NotFound, PageRequest, paginate
from undercroft.apps.catalog.errors import AuthorNotFound, MovieNotFound, SeriesNotFound
from undercroft.apps.catalog.models import Author, Entry, Movie, Series

TRIGRAMS = text(
    "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
    " WHERE extname = 'pg_trgm'"
)
NAMED: Mapping[type[Any], InstrumentedAttribute[str]] = {
    Author: Author.name,
    Movie: Movie.title,
    Series: Series.title,
}
SORTS: Mapping[type[Any], tuple[str, ...]] = {
    Author: ("name", "age", "created_at"),
    Movie: ("title", "year_of_issue", "created_at"),
    Series: ("title", "episodes", "seasons", "created_at"),
}
MISSING: Mapping[type[Any], type[NotFound]] = {
    Author: AuthorNotFound,
    Movie: MovieNotFound,
    Series: SeriesNotFound,
}


@dataclass(frozen=True, slots=True)
class Which:
    """What a list shows. `filters` are exact."""

    search: str | None = None
    filters: Mapping[str, object] = field(default_factory=dict)
    at_least: Mapping[str, int | None] = field(default_factory=dict)
    at_most: Mapping[str, int | None] = field(default_factory=dict)


async def get_entry(
    session: AsyncSession, model: type[Entry], entry_id: UUID, *, lock: bool = False
) -> Entry:
    """Raises the problem of its kind: `AuthorNotFound`, `MovieNotFound`, `SeriesNotFound`."""
    found = await session.get(model, entry_id, with_for_update=lock)
    if found is None:
        raise MISSING[model]
    return found


async def list_all(
    session: AsyncSession, model: type[Any], page: PageRequest, which: Which
) -> tuple[list[Any], str | None, int | None]:
    """A page of authors, movies or series. A search without a sort puts the best match first."""
    statement = select(model)
    for name, value in which.filters.items():
        if value is not None:
            statement = statement.where(getattr(model, name) == value)
    for name, least in which.at_least.items():
        if least is not None:
            statement = statement.where(getattr(model, name) >= least)
    for name, most in which.at_most.items():
        if most is not None:
            statement = statement.where(getattr(model, name) <= most)
    likeness = None
    if which.search:
        condition, likeness = await _matching(session, NAMED[model], which.search)
        statement = statement.where(condition)
    first: Any = NAMED[model] if likeness is None else likeness
    keys, descending = (first, model.id), likeness is not None
    sorts = {name: getattr(model, name) for name in SORTS[model]}
    return await paginate(session, statement, page, keys=keys, descending=descending, sorts=sorts)


async def count_works(session: AsyncSession, author_id: UUID) -> int:
    movies = select(func.count()).where(Movie.author_id == author_id).scalar_subquery()
    series = select(func.count()).where(Series.author_id == author_id).scalar_subquery()
    return int(await session.scalar(select(movies + series)) or 0)


async def list_known_authors(session: AsyncSession, names: Collection[str]) -> dict[str, UUID]:
    """Ids by name; of several with one name, the oldest. They stay until the commit."""
    statement = select(Author.name, Author.id).where(Author.name.in_(names))
    ordered = statement.order_by(Author.id.desc()).with_for_update(read=True, key_share=True)
    rows = await session.execute(ordered)
    return {row.name: row.id for row in rows}


async def keep_authors(session: AsyncSession, ids: Collection[UUID]) -> set[UUID]:
    """Those of `ids` that are there, and stay until the commit."""
    statement = select(Author.id).where(Author.id.in_(ids))
    return set(await session.scalars(statement.with_for_update(read=True, key_share=True)))


async def describe_search(session: AsyncSession) -> str:
    """How search works on this server, for `/health`."""
    place = await session.scalar(TRIGRAMS)
    return "trigrams" if place else "parts of words: the server has no pg_trgm"


async def _matching(
    session: AsyncSession, column: InstrumentedAttribute[str], search: str
) -> tuple[ColumnElement[bool], ColumnElement[int] | None]:
    """(condition, likeness in thousandths). Without pg_trgm parts of the name, unranked."""
    contained = column.icontains(search, autoescape=True)
    place = await session.scalar(TRIGRAMS)
    if not place:
        return contained, None
    quoted = '"' + place.replace('"', '""') + '"'
    alike = literal(search).op(f"OPERATOR({quoted}.<%)", is_comparison=True)(column)
    # A whole number survives the way through a cursor, where a float4 would not.
    likeness = getattr(func, place).word_similarity(search, column)
    return or_(contained, alike), cast(likeness * 1000, Integer)
