"""Which tables clients may follow: those in the publication that Supabase's tools know too."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.problems import NotFound
from undercroft.foundation.settings import RealtimeSettings
from undercroft.realtime.changes.tables import LIVE, unwatch_table, watch_table

LIST = text("""
    SELECT n.nspname AS schema_name, c.relname AS name, c.relreplident = 'f' AS whole_old_rows
      FROM pg_publication p
      JOIN pg_publication_rel r ON r.prpubid = p.oid
      JOIN pg_class c ON c.oid = r.prrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.pubname = :publication AND undercroft.is_exposed(n.nspname)
     ORDER BY n.nspname, c.relname
""")
IS_CUSTOMERS = text("SELECT undercroft.is_exposed(:schema)")

STATUS = text("""
    SELECT current_setting('wal_level') AS wal_level,
           EXISTS (SELECT FROM pg_publication_tables
                    WHERE pubname IN ('supabase_realtime', 'undercroft_changes')) AS watching,
           coalesce(s.active, false) AS reading,
           pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint AS unread_bytes,
           pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint AS kept_bytes,
           (SELECT coalesce(sum(size_bytes), 0) FROM realtime.change_log) AS log_bytes,
           (SELECT min(logged_at) FROM realtime.change_log) AS log_begins_at
      FROM (SELECT 1) one
      LEFT JOIN pg_replication_slots s
             ON s.database = current_database() AND s.slot_name = 'undercroft_changes_' || (
                SELECT oid FROM pg_database WHERE datname = current_database())
""")


class NotRead(Exception):  # noqa: N818 - what is wrong
    """Clients follow tables, and nobody reads their changes, or not fast enough."""


class ChangesStatus(BaseModel):
    """`state` is `idle` while no table is watched."""

    state: Literal["reading", "idle", "waiting", "impossible"]
    detail: str | None = Field(None, description="What is wrong, for the operator.")
    unread_bytes: int | None = Field(description="How far the reader is behind.")
    kept_bytes: int | None = Field(description="What Postgres keeps of its log for us.")
    log_bytes: int = Field(description="Size of our own log of changes.")
    log_begins_at: datetime | None = Field(description="Cursors from before must resynchronise.")


class LiveTable(BaseModel):
    schema_name: str = Field(serialization_alias="schema")
    name: str
    whole_old_rows: bool = Field(description="REPLICA IDENTITY FULL: deletes can be judged.")


async def list_live_tables(session: AsyncSession) -> list[LiveTable]:
    rows = await session.execute(LIST, {"publication": LIVE})
    return [LiveTable.model_validate(dict(row)) for row in rows.mappings()]


async def make_table_live(session: AsyncSession, schema: str, table: str) -> LiveTable:
    await _check(session, schema)
    if not await watch_table(session, schema, table, LIVE):
        raise NotFound
    found = await list_live_tables(session)
    return next(one for one in found if (one.schema_name, one.name) == (schema, table))


async def end_live_table(session: AsyncSession, schema: str, table: str) -> None:
    await _check(session, schema)
    if not await unwatch_table(session, schema, table, LIVE):
        raise NotFound


async def read_status(session: AsyncSession) -> ChangesStatus:
    row = (await session.execute(STATUS)).one()
    state, detail = _state(row)
    return ChangesStatus(
        state=state,
        detail=detail,
        unread_bytes=row.unread_bytes,
        kept_bytes=row.kept_bytes,
        log_bytes=row.log_bytes,
        log_begins_at=row.log_begins_at,
    )


def probing(settings: RealtimeSettings) -> Callable[[AsyncSession], Awaitable[str]]:
    """Tells the operator how the reading of changes is; raises `NotRead` before anything is lost.

    At half of what Postgres keeps for us there is time left to look after the reader.
    """
    most_bytes = int(settings.max_slot_lag) // 2

    async def probe(session: AsyncSession) -> str:
        row = (await session.execute(STATUS)).one()
        state, detail = _state(row)
        if state in {"waiting", "impossible"} and row.watching:
            raise NotRead(detail)
        behind = row.unread_bytes or 0
        if behind > most_bytes:
            raise NotRead(f"The reader is {behind} bytes behind.")
        return f"{state}, {behind} bytes behind"

    return probe


def _state(row: Any) -> tuple[Literal["reading", "idle", "waiting", "impossible"], str | None]:
    if row.wal_level != "logical":
        return "impossible", "Postgres needs wal_level = logical, and a restart."
    if row.reading:
        return "reading", None
    if not row.watching:
        return "idle", None
    return "waiting", "No worker reads the log: does `undercroft worker` run, and may its role?"


async def _check(session: AsyncSession, schema: str) -> None:
    """System schemas do not exist here."""
    if not await session.scalar(IS_CUSTOMERS, {"schema": schema}):
        raise NotFound
