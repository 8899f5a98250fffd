"""`/movies` and `/series`: each its own list, the rest by one shape."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from undercroft import CurrentActor, NotFound, Page, Reads, Router, Session
from undercroft.apps.catalog import queries, schemas, service
from undercroft.apps.catalog.access import for_readers, for_writers
from undercroft.apps.catalog.authors import Search
from undercroft.apps.catalog.errors import MovieNotFound, SeriesNotFound, UnknownAuthor
from undercroft.apps.catalog.models import Work
from undercroft.apps.catalog.queries import Which
from undercroft.apps.catalog.reading import MOVIES, SERIES, MoviePage, Reader, SeriesPage

Handler = TypeVar("Handler", bound=Callable[..., Any])
GenreFilter = Annotated[schemas.Genre | None, Query()]
Bound = Annotated[int | None, Query(ge=0, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes the difference between the routes of movies and those of series."""

    noun: str
    reader: Reader
    write: type[schemas.Incoming]
    update: type[schemas.Incoming]
    missing: type[NotFound]

    def named(self, verb: str, sentence: str, **types: Any) -> Callable[[Handler], Handler]:
        """Give a handler its name and words for this kind, and the types of its parameters."""

        def name(handler: Handler) -> Handler:
            handler.__name__ = verb.format(self.noun)
            handler.__doc__ = sentence.format(self.noun)
            handler.__annotations__.update(types)
            return handler

        return name

    @property
    def id_in_path(self) -> Any:
        return Annotated[UUID, Path(alias=f"{self.noun}_id")]

    @property
    def to_change(self) -> Any:
        """The door to one that is written: locked, or 404."""

        async def load(entry_id: UUID, session: Session) -> Any:
            return await queries.get_entry(session, self.reader.model, entry_id, lock=True)

        load.__annotations__["entry_id"] = self.id_in_path
        return Annotated[self.reader.model, Depends(load)]


def work_router(kind: Kind) -> Router:
    """Everything but the list, which has filters of its own."""
    router = Router(f"/{kind.reader.noun}", tag="catalog")
    _add_reads(router, kind)
    _add_writes(router, kind)
    return router


def _add_reads(router: Router, kind: Kind) -> None:
    path, read, missing = f"/{{{kind.noun}_id}}", kind.reader.shape, (kind.missing,)

    @router.get(path, access=for_readers, response_model=read, problems=missing)
    @kind.named("get_{}", "One {}.", entry_id=kind.id_in_path)
    async def get_work(entry_id: UUID, session: Session, reads: Reads) -> Response:
        return await kind.reader.one(session, reads, entry_id)

    author = f"{path}/author"

    @router.get(author, access=for_readers, response_model=schemas.AuthorRead, problems=missing)
    @kind.named("get_{}_author", "Whose {} it is.", entry_id=kind.id_in_path)
    async def get_work_author(entry_id: UUID, session: Session, reads: Reads) -> Response:
        return await kind.reader.author_of(session, reads, entry_id)


def _add_writes(router: Router, kind: Kind) -> None:
    path, read = f"/{{{kind.noun}_id}}", kind.reader.shape
    refused = (kind.missing, UnknownAuthor)

    @router.post("", access=for_writers, status_code=201, problems=(UnknownAuthor,))
    @kind.named("create_{}", "Add a {} of an author.", new=kind.write, **{"return": read})
    async def create_work(
        new: schemas.Incoming, session: Session, reads: Reads, actor: CurrentActor
    ) -> Any:
        entry = kind.reader.model(**new.model_dump())
        return read.model_validate(await service.add(session, reads, entry, actor=actor))

    async def change(
        values: dict[str, Any], entry: Work, session: Session, reads: Reads, actor: CurrentActor
    ) -> Any:
        return read.model_validate(await service.change(session, reads, entry, values, actor=actor))

    @router.put(path, access=for_writers, problems=refused)
    @kind.named(
        "replace_{}",
        "Replace a {}: what is left out is emptied.",
        new=kind.write,
        entry=kind.to_change,
        **{"return": read},
    )
    async def replace_work(
        new: schemas.Incoming, entry: Work, session: Session, reads: Reads, actor: CurrentActor
    ) -> Any:
        return await change(new.model_dump(), entry, session, reads, actor)

    @router.patch(path, access=for_writers, problems=refused)
    @kind.named(
        "update_{}",
        "Change some fields of a {}, its author included.",
        new=kind.update,
        entry=kind.to_change,
        **{"return": read},
    )
    async def update_work(
        new: schemas.Incoming, entry: Work, session: Session, reads: Reads, actor: CurrentActor
    ) -> Any:
        return await change(new.model_dump(exclude_unset=True), entry, session, reads, actor)

    @router.delete(path, access=for_writers, status_code=204, problems=(kind.missing,))
    @kind.named("delete_{}", "Delete a {}.", entry=kind.to_change)
    async def delete_work(entry: Work, session: Session, reads: Reads, actor: CurrentActor) -> None:
        await service.remove(session, reads, entry, actor=actor)


movies = work_router(Kind("movie", MOVIES, schemas.MovieWrite, schemas.MovieUpdate, MovieNotFound))
series = work_router(
    Kind("series", SERIES, schemas.SeriesWrite, schemas.SeriesUpdate, SeriesNotFound)
)


@movies.get("", access=for_readers, response_model=Page[schemas.MovieRead])
async def list_movies(
    session: Session,
    reads: Reads,
    page: MoviePage,
    search: Search = None,
    genre: GenreFilter = None,
    author_id: UUID | None = None,
    year_of_issue: Bound = None,
    min_year: Bound = None,
    max_year: Bound = None,
) -> Response:
    """Movies by title; a search puts the likeliest first.

    Never older than the last write that was answered.
    """
    exact = {"genre": genre, "author_id": author_id, "year_of_issue": year_of_issue}
    which = Which(search, exact, {"year_of_issue": min_year}, {"year_of_issue": max_year})
    return await MOVIES.page(session, reads, page, which)


@series.get("", access=for_readers, response_model=Page[schemas.SeriesRead])
async def list_series(
    session: Session,
    reads: Reads,
    page: SeriesPage,
    search: Search = None,
    genre: GenreFilter = None,
    author_id: UUID | None = None,
    min_episodes: Bound = None,
    max_episodes: Bound = None,
) -> Response:
    """Series by title; a search puts the likeliest first.

    Never older than the last write that was answered.
    """
    exact = {"genre": genre, "author_id": author_id}
    which = Which(search, exact, {"episodes": min_episodes}, {"episodes": max_episodes})
    return await SERIES.page(session, reads, page, which)
