"""Policies that would need their own table's rows to decide about a row of it.

Postgres takes them, and refuses every statement on the table from then on.
"""

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables.ddl import LONGEST_WAIT, refusal
from undercroft.data.tables.errors import PolicyReadsItself
from undercroft.data.tables.queries import Table

READS_ITSELF = text("SELECT undercroft.reads_itself(:oid, :wait, true)")


async def refuse_endless_policies(session: AsyncSession, table: Table) -> None:
    """Ask Postgres, with the change made and not yet committed. Raises `PolicyReadsItself`."""
    try:
        found = await session.scalar(READS_ITSELF, {"oid": table.oid, "wait": LONGEST_WAIT})
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        problem = refusal(cause) if isinstance(cause, asyncpg.PostgresError) else None
        if problem is None:
            raise
        raise problem from error
    if found:
        raise PolicyReadsItself(table.name)
