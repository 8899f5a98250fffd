"""The verbs on snippets. Only their owner changes them; to others they do not exist."""

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql.models import SqlSnippet
from undercroft.data.sql.schemas import SnippetCreate, SnippetUpdate
from undercroft.foundation.access import Actor, UsersOnly


async def create_snippet(session: AsyncSession, new: SnippetCreate, *, actor: Actor) -> SqlSnippet:
    if actor.user_id is None:
        raise UsersOnly
    snippet = SqlSnippet(user_id=actor.user_id, **new.model_dump())
    session.add(snippet)
    await session.flush()
    await session.refresh(snippet)
    return snippet


async def change_snippet(
    session: AsyncSession, snippet: SqlSnippet, change: SnippetUpdate
) -> SqlSnippet:
    for name, value in change.model_dump(exclude_unset=True).items():
        if value is not None or name == "description":
            setattr(snippet, name, value)
    await session.flush()
    return snippet


async def delete_snippet(session: AsyncSession, snippet: SqlSnippet) -> None:
    await session.delete(snippet)
    await session.flush()
