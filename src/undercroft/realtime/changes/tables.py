"""Which tables are watched: those in our two publications."""

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.realtime.errors import TableNotWatchable

LIVE = "supabase_realtime"  # clients may subscribe; the name that Supabase's migrations use
WATCHED = "undercroft_changes"  # consumers inside the platform, such as webhooks
PUBLICATIONS = (LIVE, WATCHED)
CHANNEL = "undercroft_watched"  # every process hears there when that changes
# Watching waits for transactions that use the table, and all others wait behind it.
SHORT_WAIT = text("SET LOCAL lock_timeout = '2s'")
# Not ours, locked, of a kind that Postgres does not log: the caller's to mend, not ours.
REFUSED = ("42", "55", "22", "0A")

WATCH = text("SELECT realtime.watch(CAST(:relation AS oid)::regclass, :publication)")
UNWATCH = text("SELECT realtime.unwatch(CAST(:relation AS oid)::regclass, :publication)")
FIND = text("""
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relname = :table AND c.relkind IN ('r', 'p')
""")


async def watch_table(
    session: AsyncSession, schema: str, table: str, publication: str = WATCHED
) -> bool:
    """Log the changes of a table from this commit on; False when there is no such table.

    Its whole old rows are logged too (REPLICA IDENTITY FULL), so that a delete can be judged; of a
    table with virtual columns Postgres logs the key alone. Raises `TableNotWatchable`.
    """
    return await _run(session, WATCH, schema, table, publication)


async def unwatch_table(
    session: AsyncSession, schema: str, table: str, publication: str = WATCHED
) -> bool:
    """False when there is no such table. Raises `TableNotWatchable`."""
    return await _run(session, UNWATCH, schema, table, publication)


async def _run(
    session: AsyncSession, statement: TextClause, schema: str, table: str, publication: str
) -> bool:
    relation = await session.scalar(FIND, {"schema": schema, "table": table})
    if relation is None:
        return False
    try:
        await session.execute(SHORT_WAIT)
        await session.execute(statement, {"relation": relation, "publication": publication})
    except DBAPIError as error:
        if str(getattr(error.orig, "sqlstate", "")).startswith(REFUSED):
            raise TableNotWatchable(f"{schema}.{table}") from error
        raise
    return True
