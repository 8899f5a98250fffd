"""`/tables/{table}/data`: the simple grid over a table's rows. HTTP in and out."""

from typing import Annotated, Any

from fastapi import Query, Request

from undercroft.data.parts import DataParts
from undercroft.data.tables.access import ExistingTable
from undercroft.data.tables.errors import ColumnNotFound, TableNotFound
from undercroft.data.tables.rows import service
from undercroft.data.tables.rows.errors import (
    NoPrimaryKey,
    RowKeyInvalid,
    RowNotFound,
    RowsConflict,
    RowsForbidden,
    RowsRefused,
    SchemaNotServed,
)
from undercroft.data.tables.rows.schemas import RowPage, Wanted
from undercroft.foundation.access import Authenticated, Permission
from undercroft.foundation.http import CurrentActor, Router, Session

PERMISSIONS = (
    Permission("rows:manage", "See and change all rows of all tables, past row security."),
)
READ_PROBLEMS = (TableNotFound, SchemaNotServed, ColumnNotFound, RowsRefused, RowsForbidden)
WRITE_PROBLEMS = (
    TableNotFound,
    SchemaNotServed,
    RowNotFound,
    RowsRefused,
    RowsForbidden,
    RowsConflict,
    NoPrimaryKey,
    RowKeyInvalid,
)
PastSecurity = Annotated[bool, Query(description="Past row security; needs `rows:manage`.")]
# Taken as it comes: parsed here, a number would lose digits that `numeric` keeps.
ROW_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", "additionalProperties": True}}
        },
    }
}

router = Router("/tables/{table}/data", tag="data")


@router.get("", access=Authenticated(), problems=READ_PROBLEMS)
async def list_rows(
    request: Request,
    table: ExistingTable,
    session: Session,
    actor: CurrentActor,
    data: DataParts,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 50,
    order_by: Annotated[
        list[str] | None, Query(description="`column`, `column:asc` or `column:desc`.")
    ] = None,
    filter_column: Annotated[str | None, Query(max_length=63)] = None,
    filter_value: Annotated[
        str, Query(max_length=1000, description="Part of the value, in any case.")
    ] = "",
    past_row_security: PastSecurity = False,
) -> RowPage:
    """A page of rows that the caller may see.

    Every other parameter is a filter in the language of `/rest/v1`: `amount=gt.10`.
    """
    wanted = Wanted(page, page_size, order_by or [], filter_column, filter_value)
    grid = service.Grid(data.rows, table, service.as_whom(actor, past=past_row_security))
    return await service.list_rows(session, grid, wanted, request.query_params.multi_items())


@router.post("", access=Authenticated(), status_code=201, openapi=ROW_BODY, problems=WRITE_PROBLEMS)
async def create_row(
    request: Request,
    table: ExistingTable,
    actor: CurrentActor,
    data: DataParts,
    past_row_security: PastSecurity = False,
) -> dict[str, Any]:
    """Insert a row and return it as it is kept."""
    grid = service.Grid(data.rows, table, service.as_whom(actor, past=past_row_security))
    return await service.create_row(grid, await request.body())


@router.put("/{row_id:path}", access=Authenticated(), openapi=ROW_BODY, problems=WRITE_PROBLEMS)
async def update_row(
    request: Request,
    row_id: str,
    table: ExistingTable,
    session: Session,
    actor: CurrentActor,
    data: DataParts,
    past_row_security: PastSecurity = False,
) -> dict[str, Any]:
    """Change the named columns of a row. A key of several columns is written `1,2`."""
    grid = service.Grid(data.rows, table, service.as_whom(actor, past=past_row_security))
    return await service.update_row(session, grid, row_id, await request.body())


@router.delete("/{row_id:path}", access=Authenticated(), status_code=204, problems=WRITE_PROBLEMS)
async def delete_row(
    row_id: str,
    table: ExistingTable,
    session: Session,
    actor: CurrentActor,
    data: DataParts,
    past_row_security: PastSecurity = False,
) -> None:
    """Delete a row."""
    grid = service.Grid(data.rows, table, service.as_whom(actor, past=past_row_security))
    await service.delete_row(session, grid, row_id)
