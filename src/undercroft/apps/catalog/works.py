"""`/movies` and `/series`."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response

from undercroft import CurrentActor, Needs, Page, PageQuery, Reads, Router, Session
from undercroft.apps.catalog import queries, reading, schemas, service
from undercroft.apps.catalog.access import MANAGE, MovieToChange, SeriesToChange
from undercroft.apps.catalog.authors import Search, for_readers
from undercroft.apps.catalog.errors import MovieNotFound, SeriesNotFound, UnknownAuthor
from undercroft.apps.catalog.models import Movie, Series
from undercroft.apps.catalog.queries import Which

movies = Router("/movies", tag="catalog")
series = Router("/series", tag="catalog")

GenreFilter = Annotated[schemas.Genre | None, Query()]
Bound = Annotated[int | None, Query(ge=0, le=1_000_000)]
MovieSort = Literal[
    "", "title", "-title", "year_of_issue", "-year_of_issue", "created_at", "-created_at"
]
SeriesSort = Literal[
    "", "title", "-title", "episodes", "-episodes", "seasons", "-seasons", "created_at",
    "-created_at",
]  # fmt: skip


@movies.get("", access=for_readers, response_model=Page[schemas.MovieRead])
async def list_movies(
    session: Session,
    reads: Reads,
    page: PageQuery,
    search: Search = None,
    genre: GenreFilter = None,
    author_id: UUID | None = None,
    year_of_issue: Bound = None,
    min_year: Bound = None,
    max_year: Bound = None,
    sort: MovieSort = "",
) -> Response:
    """Movies by title; a search puts the likeliest first.

    Never older than the last write that was answered.
    """
    exact = {"genre": genre, "author_id": author_id, "year_of_issue": year_of_issue}
    which = Which(sort, search, exact, {"year_of_issue": min_year}, {"year_of_issue": max_year})

    async def produce() -> Page[schemas.MovieRead]:
        found, cursor, total = await queries.list_all(session, Movie, page, which)
        items = [schemas.MovieRead.model_validate(movie) for movie in found]
        return Page[schemas.MovieRead](items=items, next_cursor=cursor, total=total)

    key = reading.listed("movies", page, which)
    return await reading.answer(session, reads, key, produce, life=reading.LISTED)


@movies.post("", access=Needs(MANAGE), status_code=201, problems=(UnknownAuthor,))
async def create_movie(
    new: schemas.MovieWrite, session: Session, reads: Reads, actor: CurrentActor
) -> schemas.MovieRead:
    """Add a movie of an author."""
    movie = await service.add(session, reads, Movie(**new.model_dump()), actor=actor)
    return schemas.MovieRead.model_validate(movie)


@movies.get(
    "/{movie_id}",
    access=for_readers,
    response_model=schemas.MovieRead,
    problems=(MovieNotFound,),
)
async def get_movie(movie_id: UUID, session: Session, reads: Reads) -> Response:
    """One movie."""

    async def produce() -> schemas.MovieRead:
        return schemas.MovieRead.model_validate(await queries.get_movie(session, movie_id))

    key = reading.single("movies", movie_id)
    return await reading.answer(session, reads, key, produce, life=reading.SINGLE)


@movies.get(
    "/{movie_id}/author",
    access=for_readers,
    response_model=schemas.AuthorRead,
    problems=(MovieNotFound,),
)
async def get_movie_author(movie_id: UUID, session: Session, reads: Reads) -> Response:
    """Whose movie it is."""

    async def produce() -> schemas.AuthorRead:
        movie = await queries.get_movie(session, movie_id)
        author = await queries.get_author(session, movie.author_id)
        return schemas.AuthorRead.model_validate(author)

    key = reading.single("movies", movie_id, "author")
    return await reading.answer(session, reads, key, produce, life=reading.AUTHOR_OF)


@movies.put("/{movie_id}", access=Needs(MANAGE), problems=(MovieNotFound, UnknownAuthor))
async def replace_movie(
    new: schemas.MovieWrite,
    movie: MovieToChange,
    session: Session,
    reads: Reads,
    actor: CurrentActor,
) -> schemas.MovieRead:
    """Replace a movie: what is left out is emptied."""
    changed = await service.change(session, reads, movie, new.model_dump(), actor=actor)
    return schemas.MovieRead.model_validate(changed)


@movies.patch("/{movie_id}", access=Needs(MANAGE), problems=(MovieNotFound, UnknownAuthor))
async def update_movie(
    change: schemas.MovieUpdate,
    movie: MovieToChange,
    session: Session,
    reads: Reads,
    actor: CurrentActor,
) -> schemas.MovieRead:
    """Change some fields of a movie, its author included."""
    values = change.model_dump(exclude_unset=True)
    changed = await service.change(session, reads, movie, values, actor=actor)
    return schemas.MovieRead.model_validate(changed)


@movies.delete("/{movie_id}", access=Needs(MANAGE), status_code=204, problems=(MovieNotFound,))
async def delete_movie(
    movie: MovieToChange, session: Session, reads: Reads, actor: CurrentActor
) -> None:
    """Delete a movie."""
    await service.remove(session, reads, movie, actor=actor)


@series.get("", access=for_readers, response_model=Page[schemas.SeriesRead])
async def list_series(
    session: Session,
    reads: Reads,
    page: PageQuery,
    search: Search = None,
    genre: GenreFilter = None,
    author_id: UUID | None = None,
    min_episodes: Bound = None,
    max_episodes: Bound = None,
    sort: SeriesSort = "",
) -> Response:
    """Series by title; a search puts the likeliest first.

    Never older than the last write that was answered.
    """
    exact = {"genre": genre, "author_id": author_id}
    which = Which(sort, search, exact, {"episodes": min_episodes}, {"episodes": max_episodes})

    async def produce() -> Page[schemas.SeriesRead]:
        found, cursor, total = await queries.list_all(session, Series, page, which)
        items = [schemas.SeriesRead.model_validate(entry) for entry in found]
        return Page[schemas.SeriesRead](items=items, next_cursor=cursor, total=total)

    key = reading.listed("series", page, which)
    return await reading.answer(session, reads, key, produce, life=reading.LISTED)


@series.post("", access=Needs(MANAGE), status_code=201, problems=(UnknownAuthor,))
async def create_series(
    new: schemas.SeriesWrite, session: Session, reads: Reads, actor: CurrentActor
) -> schemas.SeriesRead:
    """Add a series of an author."""
    entry = await service.add(session, reads, Series(**new.model_dump()), actor=actor)
    return schemas.SeriesRead.model_validate(entry)


@series.get(
    "/{series_id}",
    access=for_readers,
    response_model=schemas.SeriesRead,
    problems=(SeriesNotFound,),
)
async def get_series(series_id: UUID, session: Session, reads: Reads) -> Response:
    """One series."""

    async def produce() -> schemas.SeriesRead:
        return schemas.SeriesRead.model_validate(await queries.get_series(session, series_id))

    key = reading.single("series", series_id)
    return await reading.answer(session, reads, key, produce, life=reading.SINGLE)


@series.get(
    "/{series_id}/author",
    access=for_readers,
    response_model=schemas.AuthorRead,
    problems=(SeriesNotFound,),
)
async def get_series_author(series_id: UUID, session: Session, reads: Reads) -> Response:
    """Whose series it is."""

    async def produce() -> schemas.AuthorRead:
        entry = await queries.get_series(session, series_id)
        author = await queries.get_author(session, entry.author_id)
        return schemas.AuthorRead.model_validate(author)

    key = reading.single("series", series_id, "author")
    return await reading.answer(session, reads, key, produce, life=reading.AUTHOR_OF)


@series.put("/{series_id}", access=Needs(MANAGE), problems=(SeriesNotFound, UnknownAuthor))
async def replace_series(
    new: schemas.SeriesWrite,
    entry: SeriesToChange,
    session: Session,
    reads: Reads,
    actor: CurrentActor,
) -> schemas.SeriesRead:
    """Replace a series: what is left out is emptied."""
    changed = await service.change(session, reads, entry, new.model_dump(), actor=actor)
    return schemas.SeriesRead.model_validate(changed)


@series.patch("/{series_id}", access=Needs(MANAGE), problems=(SeriesNotFound, UnknownAuthor))
async def update_series(
    change: schemas.SeriesUpdate,
    entry: SeriesToChange,
    session: Session,
    reads: Reads,
    actor: CurrentActor,
) -> schemas.SeriesRead:
    """Change some fields of a series, its author included."""
    values = change.model_dump(exclude_unset=True)
    changed = await service.change(session, reads, entry, values, actor=actor)
    return schemas.SeriesRead.model_validate(changed)


@series.delete("/{series_id}", access=Needs(MANAGE), status_code=204, problems=(SeriesNotFound,))
async def delete_series(
    entry: SeriesToChange, session: Session, reads: Reads, actor: CurrentActor
) -> None:
    """Delete a series."""
    await service.remove(session, reads, entry, actor=actor)
