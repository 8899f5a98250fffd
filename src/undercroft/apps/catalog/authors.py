"""`/authors`."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response

from undercroft import CurrentActor, Needs, Page, PageQuery, Public, Reads, Router, Session
from undercroft.apps.catalog import queries, reading, schemas, service
from undercroft.apps.catalog.access import MANAGE, AuthorToChange
from undercroft.apps.catalog.errors import AuthorHasWorks, AuthorNotFound
from undercroft.apps.catalog.models import Author, Movie, Series
from undercroft.apps.catalog.queries import Which

router = Router("/authors", tag="catalog")

for_readers = Public("the catalogue is read by everybody")
Search = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="Part of the name, or nearly it."),
]
AgeBound = Annotated[int | None, Query(ge=0, le=1000)]
AuthorSort = Literal["", "name", "-name", "age", "-age", "created_at", "-created_at"]


@router.get("", access=for_readers, response_model=Page[schemas.AuthorRead])
async def list_authors(
    session: Session,
    reads: Reads,
    page: PageQuery,
    search: Search = None,
    min_age: AgeBound = None,
    max_age: AgeBound = None,
    sort: AuthorSort = "",
) -> Response:
    """Authors by name; a search puts the likeliest first.

    Never older than the last write that was answered.
    """
    which = Which(sort, search, {}, {"age": min_age}, {"age": max_age})

    async def produce() -> Page[schemas.AuthorRead]:
        found, cursor, total = await queries.list_all(session, Author, page, which)
        items = [schemas.AuthorRead.model_validate(author) for author in found]
        return Page[schemas.AuthorRead](items=items, next_cursor=cursor, total=total)

    key = reading.listed("authors", page, which)
    return await reading.answer(session, reads, key, produce, life=reading.LISTED)


@router.post("", access=Needs(MANAGE), status_code=201)
async def create_author(
    new: schemas.AuthorWrite, session: Session, reads: Reads, actor: CurrentActor
) -> schemas.AuthorRead:
    """Add an author."""
    author = await service.add(session, reads, Author(**new.model_dump()), actor=actor)
    return schemas.AuthorRead.model_validate(author)


@router.get(
    "/{author_id}",
    access=for_readers,
    response_model=schemas.AuthorRead,
    problems=(AuthorNotFound,),
)
async def get_author(author_id: UUID, session: Session, reads: Reads) -> Response:
    """One author."""

    async def produce() -> schemas.AuthorRead:
        return schemas.AuthorRead.model_validate(await queries.get_author(session, author_id))

    key = reading.single("authors", author_id)
    return await reading.answer(session, reads, key, produce, life=reading.SINGLE)


@router.put("/{author_id}", access=Needs(MANAGE), problems=(AuthorNotFound,))
async def replace_author(
    new: schemas.AuthorWrite,
    author: AuthorToChange,
    session: Session,
    reads: Reads,
    actor: CurrentActor,
) -> schemas.AuthorRead:
    """Replace an author: every field is given."""
    changed = await service.change(session, reads, author, new.model_dump(), actor=actor)
    return schemas.AuthorRead.model_validate(changed)


@router.patch("/{author_id}", access=Needs(MANAGE), problems=(AuthorNotFound,))
async def update_author(
    change: schemas.AuthorUpdate,
    author: AuthorToChange,
    session: Session,
    reads: Reads,
    actor: CurrentActor,
) -> schemas.AuthorRead:
    """Change some fields of an author."""
    values = change.model_dump(exclude_unset=True)
    changed = await service.change(session, reads, author, values, actor=actor)
    return schemas.AuthorRead.model_validate(changed)


@router.delete(
    "/{author_id}",
    access=Needs(MANAGE),
    status_code=204,
    problems=(AuthorNotFound, AuthorHasWorks),
)
async def delete_author(
    author: AuthorToChange, session: Session, reads: Reads, actor: CurrentActor
) -> None:
    """Delete an author who has no movies and no series."""
    await service.remove(session, reads, author, actor=actor)


@router.get(
    "/{author_id}/movies",
    access=for_readers,
    response_model=Page[schemas.MovieRead],
    problems=(AuthorNotFound,),
)
async def list_author_movies(
    author_id: UUID, session: Session, reads: Reads, page: PageQuery
) -> Response:
    """The author's movies, by title."""
    which = Which(filters={"author_id": author_id})

    async def produce() -> Page[schemas.MovieRead]:
        await queries.get_author(session, author_id)
        found, cursor, total = await queries.list_all(session, Movie, page, which)
        items = [schemas.MovieRead.model_validate(movie) for movie in found]
        return Page[schemas.MovieRead](items=items, next_cursor=cursor, total=total)

    key = reading.listed("author-movies", page, which)
    return await reading.answer(session, reads, key, produce, life=reading.LISTED)


@router.get(
    "/{author_id}/series",
    access=for_readers,
    response_model=Page[schemas.SeriesRead],
    problems=(AuthorNotFound,),
)
async def list_author_series(
    author_id: UUID, session: Session, reads: Reads, page: PageQuery
) -> Response:
    """The author's series, by title."""
    which = Which(filters={"author_id": author_id})

    async def produce() -> Page[schemas.SeriesRead]:
        await queries.get_author(session, author_id)
        found, cursor, total = await queries.list_all(session, Series, page, which)
        items = [schemas.SeriesRead.model_validate(series) for series in found]
        return Page[schemas.SeriesRead](items=items, next_cursor=cursor, total=total)

    key = reading.listed("author-series", page, which)
    return await reading.answer(session, reads, key, produce, life=reading.LISTED)
