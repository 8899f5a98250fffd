"""`/authors`."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from undercroft import CurrentActor, Page, Reads, Router, Session
from undercroft.apps.catalog import schemas, service
from undercroft.apps.catalog.access import AuthorToChange, for_readers, for_writers
from undercroft.apps.catalog.errors import AuthorHasWorks, AuthorNotFound
from undercroft.apps.catalog.models import Author
from undercroft.apps.catalog.queries import Which
from undercroft.apps.catalog.reading import (
    AUTHORS,
    MOVIES,
    SERIES,
    AuthorPage,
    MoviePage,
    SeriesPage,
)

router = Router("/authors", tag="catalog")

Search = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="Part of the name, or nearly it."),
]
AgeBound = Annotated[int | None, Query(ge=0, le=1000)]


@router.get("", access=for_readers, response_model=Page[schemas.AuthorRead])
async def list_authors(
    session: Session,
    reads: Reads,
    page: AuthorPage,
    search: Search = None,
    min_age: AgeBound = None,
    max_age: AgeBound = None,
) -> Response:
    """Authors by name; a search puts the likeliest first.

    Never older than the last write that was answered.
    """
    which = Which(search, {}, {"age": min_age}, {"age": max_age})
    return await AUTHORS.page(session, reads, page, which)


@router.post("", access=for_writers, status_code=201)
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
    return await AUTHORS.one(session, reads, author_id)


@router.put("/{author_id}", access=for_writers, problems=(AuthorNotFound,))
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


@router.patch("/{author_id}", access=for_writers, problems=(AuthorNotFound,))
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
    access=for_writers,
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
    author_id: UUID, session: Session, reads: Reads, page: MoviePage
) -> Response:
    """The author's movies, by title."""
    return await MOVIES.page(session, reads, page, Which(), of=author_id)


@router.get(
    "/{author_id}/series",
    access=for_readers,
    response_model=Page[schemas.SeriesRead],
    problems=(AuthorNotFound,),
)
async def list_author_series(
    author_id: UUID, session: Session, reads: Reads, page: SeriesPage
) -> Response:
    """The author's series, by title."""
    return await SERIES.page(session, reads, page, Which(), of=author_id)
