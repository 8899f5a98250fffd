"""Who ran what, and which snippets somebody sees."""

from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.sql.errors import SnippetNotFound
from undercroft.data.sql.models import SqlRun, SqlSnippet
from undercroft.foundation.access import Actor
from undercroft.foundation.db import PageRequest, Sorts, containing, paginate

RUN_SORTS: Sorts = {"created_at": SqlRun.created_at, "caller": SqlRun.caller}
SNIPPET_SORTS: Sorts = {
    "created_at": SqlSnippet.created_at,
    "updated_at": SqlSnippet.updated_at,
    "name": SqlSnippet.name,
}
Found = tuple[list[SqlRun], str | None, int | None]


async def list_runs(
    session: AsyncSession, page: PageRequest, *, actor: Actor, everybody: bool, search: str
) -> Found:
    """The newest first: the caller's own, or everybody's for superusers."""
    statement = select(SqlRun)
    if not (everybody and actor.is_superuser):
        statement = statement.where(SqlRun.caller == actor.name)
    if search:
        statement = statement.where(SqlRun.query.icontains(search, autoescape=True))
    keys = (SqlRun.created_at, SqlRun.id)
    return await paginate(session, statement, page, keys=keys, sorts=RUN_SORTS)


async def list_snippets(
    session: AsyncSession, page: PageRequest, *, actor: Actor, search: str | None
) -> tuple[list[SqlSnippet], str | None, int | None]:
    """The newest first: own and shared ones."""
    statement = _seen(actor)
    if search:
        statement = statement.where(containing(search, SqlSnippet.name, SqlSnippet.sql_code))
    keys = (SqlSnippet.created_at, SqlSnippet.id)
    return await paginate(session, statement, page, keys=keys, sorts=SNIPPET_SORTS)


async def get_snippet(session: AsyncSession, snippet_id: UUID, *, actor: Actor) -> SqlSnippet:
    """Raise `SnippetNotFound` for one that is not the caller's own."""
    statement = select(SqlSnippet).where(
        SqlSnippet.id == snippet_id, SqlSnippet.user_id == actor.user_id
    )
    snippet: SqlSnippet | None = await session.scalar(statement.with_for_update())
    if snippet is None:
        raise SnippetNotFound
    return snippet


def _seen(actor: Actor) -> Select[SqlSnippet]:
    own = SqlSnippet.user_id == actor.user_id
    return select(SqlSnippet).where(or_(own, SqlSnippet.is_shared))
