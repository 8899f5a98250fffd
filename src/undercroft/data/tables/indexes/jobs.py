"""Builds an index while its table stays in use.

CREATE INDEX CONCURRENTLY waits for other transactions and cannot run inside one, so it has a
connection of its own. When it fails it leaves an index behind that costs writes and serves nothing.
"""

from datetime import timedelta
from uuid import UUID

import asyncpg

from undercroft.data.failures import is_busy
from undercroft.data.sql_text import quote
from undercroft.data.tables.ddl import RELOAD, RELOAD_CHANNEL, search_path
from undercroft.data.tables.indexes.queries import IndexBuild, find_build
from undercroft.data.tables.indexes.service import end_build
from undercroft.foundation.db import Database, notify
from undercroft.foundation.jobs import JobContext, job

LONGEST_BUILD = timedelta(hours=6)


@job("data.build_index", max_attempts=3, timeout=LONGEST_BUILD)
async def build_index(context: JobContext, build_id: UUID) -> None:
    """Build it, or note why not. A build that another worker died over starts again."""
    async with context.unit_of_work() as session:
        build = await find_build(session, build_id)
    if build is None or build.state == "failed":
        return
    reason = await _build(context, build)
    async with context.unit_of_work() as session:
        await end_build(session, build_id, reason=reason)
        await notify(session, RELOAD_CHANNEL, RELOAD)


async def _build(context: JobContext, build: IndexBuild) -> str | None:
    """Return what Postgres refused, None when the index is there."""
    database = Database(context.settings.database)
    name = f"{quote(build.schema_name)}.{quote(build.index_name)}"
    connection = await database.connector("index")()
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(f"SET search_path = {search_path(build.schema_name)}")
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        try:
            await connection.execute(build.statement)
        except asyncpg.PostgresError as error:
            # Others in the way are no reason against the index: it is tried again.
            if is_busy(error) or (error.sqlstate or "")[:2] in {"08", "53", "57", "58"}:
                raise
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            return str(error.args[0])
    finally:
        await connection.close(timeout=5)
        await database.dispose()
    return None
