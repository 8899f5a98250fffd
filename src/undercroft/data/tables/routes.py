"""`/tables` and their columns: HTTP in and out."""

from typing import Annotated

from fastapi import Query
from starlette.responses import PlainTextResponse

from undercroft.data.sql_text import ExpressionInvalid, TypeInvalid
from undercroft.data.tables import columns, queries, service
from undercroft.data.tables.access import ExistingTable, SchemaName
from undercroft.data.tables.errors import (
    ColumnNotFound,
    NameTaken,
    PolicyReadsItself,
    SchemaNotFound,
    StatementRefused,
    TableBusy,
    TableExists,
    TableNotFound,
)
from undercroft.data.tables.reads import Created, TableRead, read_table
from undercroft.data.tables.schemas import (
    ColumnCreate,
    ColumnRead,
    ColumnUpdate,
    TableCreate,
    TableSummary,
    TableUpdate,
)
from undercroft.data.tables.script import write_script
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Router, Session, searched_by, sorted_by

PERMISSIONS = (
    Permission("tables:read", "See the definitions of all tables."),
    Permission("tables:create", "Create tables."),
    Permission("tables:update", "Change tables and their columns."),
    Permission("tables:delete", "Drop tables with all their rows."),
)

router = Router("/tables", tag="data")


@router.get("", access=Needs("tables:read"), problems=(SchemaNotFound,))
async def list_tables(
    session: Session,
    page: Annotated[PageRequest, sorted_by("name")],
    schema: SchemaName = "public",
    search: Annotated[str, searched_by("Part of the name.")] = "",
) -> Page[TableSummary]:
    """Tables of a schema by name."""
    await queries.check_schema(session, schema)
    rows, cursor = await queries.list_tables(session, schema, page, search=search)
    items = [TableSummary.model_validate(row) for row in rows]
    total = await queries.count_tables(session, schema, search=search) if page.count else None
    return Page[TableSummary](items=items, next_cursor=cursor, total=total)


CREATE_PROBLEMS = (
    SchemaNotFound,
    TableExists,
    NameTaken,
    TableBusy,
    ColumnNotFound,
    TypeInvalid,
    ExpressionInvalid,
    StatementRefused,
)


@router.post("", access=Needs("tables:create"), status_code=201, problems=CREATE_PROBLEMS)
async def create_table(
    new: TableCreate, session: Session, schema: SchemaName = "public"
) -> Created:
    """Create a table, closed: row security is on, and only policies let anyone in."""
    table, created = await service.create_table(session, schema, new)
    return Created(created=created, table=await read_table(session, table))


@router.get("/{table}", access=Needs("tables:read"), problems=(TableNotFound,))
async def get_table(table: ExistingTable, session: Session) -> TableRead:
    """A table with its columns, keys, constraints, indexes and policies."""
    return await read_table(session, table)


@router.get(
    "/{table}/sql",
    access=Needs("tables:read"),
    response_class=PlainTextResponse,
    problems=(TableNotFound,),
)
async def get_table_sql(table: ExistingTable, session: Session) -> PlainTextResponse:
    """The SQL that makes the table again: columns, keys, indexes, policies, grants, triggers."""
    return PlainTextResponse(await write_script(session, table))


@router.patch(
    "/{table}",
    access=Needs("tables:update"),
    problems=(TableNotFound, TableExists, TableBusy, StatementRefused, PolicyReadsItself),
)
async def change_table(
    change: TableUpdate, table: ExistingTable, session: Session, actor: CurrentActor
) -> TableRead:
    """Rename or describe a table, or switch its row security."""
    return await read_table(
        session, await service.change_table(session, table, change, actor=actor)
    )


@router.delete(
    "/{table}",
    access=Needs("tables:delete"),
    status_code=204,
    problems=(TableNotFound, TableBusy, StatementRefused),
)
async def drop_table(
    table: ExistingTable,
    session: Session,
    cascade: Annotated[bool, Query(description="Also what depends on it.")] = False,
) -> None:
    """Drop a table and its rows."""
    await service.drop_table(session, table, cascade=cascade)


@router.post(
    "/{table}/columns",
    access=Needs("tables:update"),
    status_code=201,
    problems=(TableNotFound, *CREATE_PROBLEMS),
)
async def add_column(column: ColumnCreate, table: ExistingTable, session: Session) -> ColumnRead:
    """Add a column."""
    await columns.add_column(session, table, column)
    return await _read_column(session, table, column.name)


@router.patch(
    "/{table}/columns/{column:path}",
    access=Needs("tables:update"),
    problems=(TableNotFound, *CREATE_PROBLEMS),
)
async def change_column(
    column: str, change: ColumnUpdate, table: ExistingTable, session: Session
) -> ColumnRead:
    """Rename a column; change its type, default, nullability or description."""
    await columns.change_column(session, table, column, change)
    return await _read_column(session, table, change.name or column)


@router.delete(
    "/{table}/columns/{column:path}",
    access=Needs("tables:update"),
    status_code=204,
    problems=(TableNotFound, ColumnNotFound, TableBusy, StatementRefused),
)
async def drop_column(column: str, table: ExistingTable, session: Session) -> None:
    """Drop a column with its values."""
    await columns.drop_column(session, table, column)


async def _read_column(session: Session, table: ExistingTable, name: str) -> ColumnRead:
    rows = await queries.list_columns(session, table)
    return ColumnRead.model_validate(next(row for row in rows if row["name"] == name))
