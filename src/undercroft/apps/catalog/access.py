"""Who may write, and the doors to what a path names."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft import Needs, Permission, Public, Session
from undercroft.apps.catalog import queries
from undercroft.apps.catalog.models import Author

MANAGE = "catalog:manage"
PERMISSIONS = (
    Permission(
        MANAGE, "Add, change, import and delete authors, movies and series.", ("moderator",)
    ),
)


async def _author(author_id: UUID, session: Session) -> Author:
    return await queries.get_entry(session, Author, author_id, lock=True)


AuthorToChange = Annotated[Author, Depends(_author)]
for_readers = Public("the catalogue is read by everybody")
for_writers = Needs(MANAGE)
