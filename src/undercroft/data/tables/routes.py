"""`/tables`: HTTP in and out."""

import time
from typing import Annotated

from fastapi import Path, Query, Request
from starlette.requests import ClientDisconnect

from undercroft.data.parts import DataParts
from undercroft.data.sql_text import ExpressionInvalid, TypeInvalid
from undercroft.data.tables import queries, service
from undercroft.data.tables.access import ExistingTable, SchemaName
from undercroft.data.tables.errors import (
    ColumnNotFound,
    ImportRefused,
    ImportsBusy,
    PolicyNotFound,
    SchemaNotFound,
    StatementRefused,
    TableExists,
    TableNotFound,
)
from undercroft.data.tables.imports import Counted, Format, import_rows
from undercroft.data.tables.queries import Table
from undercroft.data.tables.schemas import (
    ColumnCreate,
    ColumnRead,
    Created,
    Imported,
    PolicyCreate,
    PolicyRead,
    TableCreate,
    TableRead,
    TableSummary,
    TableUpdate,
)
from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page
from undercroft.foundation.http import Parts, Router, Session
from undercroft.foundation.problems import ClientGone, UnsupportedMediaType

PERMISSIONS = (
    Permission("tables:read", "See the definitions of all tables."),
    Permission("tables:create", "Create tables."),
    Permission("tables:update", "Change tables and their columns."),
    Permission("tables:delete", "Drop tables with all their rows."),
    Permission("policies:manage", "Decide who may see and write which rows."),
    Permission("tables:import", "Fill tables from files, past row security."),
)
MEDIA_TYPES: dict[str, Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}

router = Router("/tables", tag="data")


@router.get("", access=Needs("tables:read"), problems=(SchemaNotFound,))
async def list_tables(
    session: Session,
    schema: SchemaName = "public",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str, Query(max_length=63)] = "",
    search: Annotated[str, Query(max_length=63, description="Part of the name.")] = "",
) -> Page[TableSummary]:
    """Tables of a schema by name."""
    await queries.check_schema(session, schema)
    rows = await queries.list_tables(session, schema, after=cursor, limit=limit + 1, search=search)
    items = [TableSummary.model_validate(row) for row in rows[:limit]]
    more = items[-1].name if len(rows) > limit else None
    return Page[TableSummary](items=items, next_cursor=more)


CREATE_PROBLEMS = (SchemaNotFound, TableExists, TypeInvalid, ExpressionInvalid, StatementRefused)


@router.post("", access=Needs("tables:create"), status_code=201, problems=CREATE_PROBLEMS)
async def create_table(
    new: TableCreate, session: Session, schema: SchemaName = "public"
) -> Created:
    """Create a table, closed: row security is on, and only policies let anyone in."""
    table, created = await service.create_table(session, schema, new)
    return Created(created=created, table=await _read(session, table))


@router.get("/{table}", access=Needs("tables:read"), problems=(TableNotFound,))
async def get_table(table: ExistingTable, session: Session) -> TableRead:
    """A table with its columns and policies."""
    return await _read(session, table)


@router.patch("/{table}", access=Needs("tables:update"), problems=(TableNotFound, TableExists))
async def change_table(change: TableUpdate, table: ExistingTable, session: Session) -> TableRead:
    """Rename or describe a table."""
    return await _read(session, await service.change_table(session, table, change))


@router.delete(
    "/{table}",
    access=Needs("tables:delete"),
    status_code=204,
    problems=(TableNotFound, StatementRefused),
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
async def add_column(
    column: ColumnCreate, table: ExistingTable, session: Session
) -> list[ColumnRead]:
    """Add a column; answers all columns."""
    await service.add_column(session, table, column)
    return [ColumnRead.model_validate(row) for row in await queries.list_columns(session, table)]


@router.delete(
    "/{table}/columns/{column}",
    access=Needs("tables:update"),
    status_code=204,
    problems=(TableNotFound, ColumnNotFound, StatementRefused),
)
async def drop_column(column: str, table: ExistingTable, session: Session) -> None:
    """Drop a column with its values."""
    await service.drop_column(session, table, column)


@router.get("/{table}/policies", access=Needs("tables:read"), problems=(TableNotFound,))
async def list_policies(table: ExistingTable, session: Session) -> list[PolicyRead]:
    """Who may do what with which rows."""
    return [PolicyRead.model_validate(row) for row in await queries.list_policies(session, table)]


@router.post(
    "/{table}/policies",
    access=Needs("policies:manage"),
    status_code=201,
    problems=(TableNotFound, TableExists, ExpressionInvalid, StatementRefused),
)
async def create_policy(new: PolicyCreate, table: ExistingTable, session: Session) -> PolicyRead:
    """Add a policy. Its roles get the privileges on the table that the policy needs."""
    await service.create_policy(session, table, new)
    rows = await queries.list_policies(session, table)
    return PolicyRead.model_validate(next(row for row in rows if row["name"] == new.name))


@router.delete(
    "/{table}/policies/{policy}",
    access=Needs("policies:manage"),
    status_code=204,
    problems=(TableNotFound, PolicyNotFound),
)
async def drop_policy(policy: str, table: ExistingTable, session: Session) -> None:
    """Remove a policy; what only it allowed is closed at once."""
    await service.drop_policy(session, table, policy)


IMPORT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES
        },
    }
}


@router.post(
    "/{table}/import",
    access=Needs("tables:import"),
    openapi=IMPORT_BODY,
    streams=True,
    problems=(TableNotFound, ImportRefused, ImportsBusy, UnsupportedMediaType),
)
async def import_table(
    request: Request,
    table: Annotated[str, Path(max_length=63)],
    parts: Parts,
    data: DataParts,
    schema: SchemaName = "public",
    null: Annotated[str, Query(max_length=20, description="Text for NULL in CSV.")] = "",
) -> Imported:
    """Fill a table from CSV with a header line, or from NDJSON. All rows or none."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = MEDIA_TYPES.get(media_type)
    if kind is None:
        raise UnsupportedMediaType("text/csv or application/x-ndjson")
    if data.imports.locked():
        raise ImportsBusy
    # The copy takes hours if it must: no transaction of the request stays open meanwhile.
    async with parts.database.unit_of_work() as session:
        found = await queries.get_table(session, schema, table)
        known = [row["name"] for row in await queries.list_columns(session, found)]
    started = time.perf_counter()
    body = Counted(request.stream())
    async with data.imports:
        try:
            rows = await import_rows(
                parts.database, parts.settings.data, found, known, body, kind=kind, null=null
            )
        except ClientDisconnect as error:
            raise ClientGone from error
    seconds = round(time.perf_counter() - started, 3)
    return Imported(table=found.name, rows=rows, bytes=body.size, seconds=seconds)


async def _read(session: Session, table: Table) -> TableRead:
    return TableRead(
        **await queries.get_summary(session, table),
        columns=[ColumnRead.model_validate(c) for c in await queries.list_columns(session, table)],
        policies=[
            PolicyRead.model_validate(p) for p in await queries.list_policies(session, table)
        ],
    )
