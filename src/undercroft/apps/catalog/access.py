"""Who may write, and the doors to what a path names."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft import Permission, Session
from undercroft.apps.catalog import queries
from undercroft.apps.catalog.models import Author, Movie, Series

MANAGE = "catalog:manage"
PERMISSIONS = (
    Permission(
        MANAGE, "Add, change, import and delete authors, movies and series.", ("moderator",)
    ),
)


async def _author(author_id: UUID, session: Session) -> Author:
    return await queries.get_author(session, author_id, lock=True)


async def _movie(movie_id: UUID, session: Session) -> Movie:
    return await queries.get_movie(session, movie_id, lock=True)


async def _series(series_id: UUID, session: Session) -> Series:
    return await queries.get_series(session, series_id, lock=True)


AuthorToChange = Annotated[Author, Depends(_author)]
MovieToChange = Annotated[Movie, Depends(_movie)]
SeriesToChange = Annotated[Series, Depends(_series)]
