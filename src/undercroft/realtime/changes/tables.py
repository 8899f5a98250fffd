"""Which tables are watched: those in our two publications."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LIVE = "supabase_realtime"  # clients may subscribe; the name that Supabase's migrations use
WATCHED = "undercroft_changes"  # consumers inside the platform, such as webhooks
PUBLICATIONS = (LIVE, WATCHED)

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

    Its whole old rows are logged too (REPLICA IDENTITY FULL), so that a delete can be judged.
    """
    return await _run(session, WATCH, schema, table, publication)


async def unwatch_table(
    session: AsyncSession, schema: str, table: str, publication: str = WATCHED
) -> bool:
    return await _run(session, UNWATCH, schema, table, publication)


async def _run(
    session: AsyncSession, statement: object, schema: str, table: str, publication: str
) -> bool:
    relation = await session.scalar(FIND, {"schema": schema, "table": table})
    if relation is None:
        return False
    await session.execute(statement, {"relation": relation, "publication": publication})  # type: ignore[call-overload]
    return True
