"""`/realtime/tables`, which clients may follow, and `/realtime/status`."""

from typing import Annotated

from fastapi import Path, Query

from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page
from undercroft.foundation.http import Router, Session
from undercroft.foundation.problems import NotFound
from undercroft.realtime import live_tables
from undercroft.realtime.errors import TableNotWatchable
from undercroft.realtime.live_tables import ChangesStatus, LiveTable

PERMISSIONS = (Permission("realtime:manage", "Decide which tables clients may follow live."),)

router = Router("/realtime/tables", tag="realtime")
status_router = Router("/realtime/status", tag="realtime")

TableName = Annotated[str, Path(max_length=63)]
SchemaName = Annotated[
    str, Query(alias="schema", max_length=63, description="Schema of the table.")
]


@router.get("", access=Needs("realtime:manage"))
async def list_live_tables(session: Session) -> Page[LiveTable]:
    """Tables whose changes clients may subscribe to.

    Without `whole_old_rows`, deletes reach only those whom no policy holds back, because nobody
    can tell who could see the row.
    """
    return Page(items=await live_tables.list_live_tables(session), next_cursor=None)


@status_router.get("", access=Needs("realtime:manage"))
async def get_changes_status(session: Session) -> ChangesStatus:
    """Whether table changes are being read, how far behind, and how far back clients may resume."""
    return await live_tables.read_status(session)


@router.put("/{table}", access=Needs("realtime:manage"), problems=(NotFound, TableNotWatchable))
async def make_table_live(
    session: Session, table: TableName, schema: SchemaName = "public"
) -> LiveTable:
    """Let clients follow a table: each hears of the rows that its policies let them read.

    Postgres then logs whole old rows of it (REPLICA IDENTITY FULL), but not of tables with virtual
    columns, of which it cannot. The same as `ALTER PUBLICATION supabase_realtime ADD TABLE …` in
    SQL, but for that.
    """
    return await live_tables.make_table_live(session, schema, table)


@router.delete(
    "/{table}",
    access=Needs("realtime:manage"),
    status_code=204,
    problems=(NotFound, TableNotWatchable),
)
async def end_live_table(session: Session, table: TableName, schema: SchemaName = "public") -> None:
    """Let clients follow a table no more."""
    await live_tables.end_live_table(session, schema, table)
