"""`/tables/{table}/indexes`: HTTP in and out."""

from fastapi import Response

from undercroft.data.sql_text import ExpressionInvalid
from undercroft.data.tables.access import ExistingTable
from undercroft.data.tables.errors import (
    IndexNotFound,
    NameTaken,
    StatementRefused,
    TableBusy,
    TableNotFound,
)
from undercroft.data.tables.indexes import queries, service
from undercroft.data.tables.indexes.jobs import build_index
from undercroft.data.tables.indexes.schemas import IndexCreate, IndexRead
from undercroft.foundation.access import Needs
from undercroft.foundation.db import Page
from undercroft.foundation.http import Router, Session
from undercroft.foundation.jobs import enqueue

router = Router("/tables/{table}/indexes", tag="data")


@router.get("", access=Needs("tables:read"), problems=(TableNotFound,))
async def list_indexes(table: ExistingTable, session: Session) -> Page[IndexRead]:
    """Indexes of a table with their size and use, also those being built."""
    rows = await queries.list_indexes(session, table)
    return Page[IndexRead].whole([IndexRead.model_validate(row) for row in rows])


@router.post(
    "",
    access=Needs("tables:update"),
    status_code=201,
    problems=(TableNotFound, NameTaken, TableBusy, ExpressionInvalid, StatementRefused),
)
async def create_index(
    new: IndexCreate, table: ExistingTable, session: Session, response: Response
) -> IndexRead:
    """Add an index. With `concurrently` it is built later, without locking out writers (202)."""
    if new.concurrently:
        name, build_id = await service.plan_index(session, table, new)
        await enqueue(session, build_index, build_id=build_id)
        response.status_code = 202
    else:
        name = await service.create_index(session, table, new)
    return IndexRead.model_validate(await service.get_index(session, table, name))


@router.delete(
    "/{index:path}",
    access=Needs("tables:update"),
    status_code=204,
    problems=(TableNotFound, IndexNotFound, TableBusy, StatementRefused),
)
async def drop_index(index: str, table: ExistingTable, session: Session) -> None:
    """Drop an index, or forget one that could not be built."""
    await service.drop_index(session, table, index)
